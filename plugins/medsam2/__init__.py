"""MedSAM2: SAM 2.1 trained further on medical volumes, prompted with one box an entity (paper, section 4.1)."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Prompt, Resources, Source, Variant, Weights, hookimpl

#: Variant -> released file, and what it was trained on. The first is the default.
_CHECKPOINTS = {
    "latest": ("MedSAM2_latest.pt", "the authors' newest weights"),
    "ct-lesion": ("MedSAM2_CTLesion.pt", "weights for lesions in CT"),
    "base": ("MedSAM2_2411.pt", "the authors' first weights, November 2024"),
}

#: File -> commit of the repository, digest and bytes, which stand in several public records of downloads.
_PINS = {
    "MedSAM2_latest.pt": (
        "e4a6f35edd7e091619cbc0750f462f1574e23955",
        "c92743b99f00d078bf32a3afcc38aaa9faf1c1692dffe3eaa7a90938c1991060",
        156_040_129,
    )
}


def _variant(name: str, file: str, what: str) -> Variant:
    return Variant(
        name,
        prompt=Prompt.BOX,
        summary=f"Boxes, {what}, followed through the whole volume",
        params={
            "config": "configs/sam2.1_hiera_t512.yaml",
            "checkpoint": file,
            "image_size": 512,
            "window_low": -1000,
            "window_high": 400,
            "slices_each_way": 0,
        },
        weights=(file,),
        reduced={"image_size": 128, "slices_each_way": 1},
    )


def _weights(file: str) -> Weights:
    revision, sha256, size = _PINS.get(file, ("", "", 0))  # the others could not be looked up
    return Weights(
        file, "wanglab/MedSAM2", file, revision, sha256, size, "CC-BY-SA-4.0, for research and education only"
    )


def _source(name: str, path: str, tree: str) -> Source:
    commit = "332f30d420f1d1b08e2a79b3ae6a602458808383"
    return Source(name, "https://github.com/bowang-lab/MedSAM2", commit, "Apache-2.0", tree, path)


@hookimpl
def bench_models() -> list[Model]:
    """Return the model."""
    return [
        Model(
            name="medsam2",
            title="MedSAM2",
            summary="SAM2 trained further on medical volumes; a box around each entity, followed slice by slice.",
            version="1.0.0",
            root=Path(__file__).resolve().parent,
            variants=tuple(_variant(name, file, what) for name, (file, what) in _CHECKPOINTS.items()),
            resources=Resources(
                memory_mb=16_384,
                cpus=4.0,
                shm_mb=256,
                gpus=1,
                gpu_memory_mb=3_000,
                start_timeout_s=300.0,
                case_timeout_s=14_400.0,
            ),
            licence="Apache-2.0",
            homepage="https://github.com/bowang-lab/MedSAM2",
            citation="Ma et al., MedSAM2: Segment Anything in 3D Medical Images and Videos, 2025",
            sources=(
                _source("medsam2", "sam2", "c9fe39de785bb7c0e2e2f21ff9438d267c3eda5c"),
                # One class of the image encoder comes from here.
                _source("medsam2-efficient", "efficient_track_anything", "f963d4196cf75a109d910482d9819cb7c73e83c9"),
            ),
            weights=tuple(_weights(file) for file, _ in _CHECKPOINTS.values()),
        )
    ]
