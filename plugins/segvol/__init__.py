"""SegVol: a 3-D model asked by text or by boxes, out of the box and fine-tuned as in the paper (section 4)."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Param, Prompt, Resources, Source, Variant, Weights, hookimpl

_COMMIT = "5768c9795794a327a2629ce7f137ab03d5ea8378"
_GIT = "https://github.com/BAAI-DCAI/SegVol"

#: The input that the weights were published for, and one that a CPU sees through in seconds.
_PUBLISHED: dict[str, Param] = {"depth": 32, "side": 256}
_SMALL: dict[str, Param] = {"depth": 8, "side": 32}

#: Paper, section 4: 64 x 256 x 256, 50 epochs, base rate 1e-4. The rest is upstream's (batch, warm-up, decay).
_TRAINING: dict[str, Param] = {
    "depth": 64,
    "side": 256,
    "epochs": 50,
    "steps": 0,
    "batch": 4,
    "rate": 1e-4,
    "warmup": 0.2,
    "validations": 10,
    "processes": 1,
    "train_projection": True,
    "workers": 4,
    "cache_mb": 49152,
}
_TRAINING_SMALL: dict[str, Param] = {
    **_SMALL,
    "steps": 2,
    "batch": 1,
    "validations": 1,
    "processes": 2,
    "workers": 1,
    "cache_mb": 64,
}


def _part(folder: str, tree: str) -> Source:
    """Declare one folder of upstream's repository; its demonstration data stays out."""
    return Source(f"segvol-{folder.split('_', maxsplit=1)[0]}", _GIT, _COMMIT, licence="MIT", tree=tree, path=folder)


@hookimpl
def bench_models() -> list[Model]:
    """Return the one model of this plugin."""
    return [
        Model(
            name="segvol",
            title="SegVol",
            summary="3-D model: the whole CT at 32 or 64 x 256 x 256, asked by a text through CLIP or by boxes.",
            version="1.0.0",
            root=Path(__file__).resolve().parent,
            variants=(
                Variant(
                    "text",
                    prompt=Prompt.TEXT,
                    summary="Out of the box, the finding's text; no zoom.",
                    params={"prompt": "text", **_PUBLISHED},
                    reduced=_SMALL,
                    weights=("SegVol_v1.pth",),
                ),
                Variant(
                    "text-fine-tuned",
                    prompt=Prompt.TEXT,
                    fine_tuned=True,
                    summary="Trained with the findings' texts alone, no pseudo masks; no zoom.",
                    params={"prompt": "text", **_TRAINING},
                    reduced=_TRAINING_SMALL,
                    weights=("SegVol_v1.pth",),
                ),
                Variant(
                    "box",
                    prompt=Prompt.BOX,
                    summary="Out of the box, a box an entity from the truth; no text, no zoom.",
                    params={"prompt": "box", **_PUBLISHED},
                    reduced=_SMALL,
                    weights=("SegVol_v1.pth",),
                ),
            ),
            resources=Resources(
                memory_mb=16384, cpus=4.0, gpus=1, gpu_memory_mb=6000, start_timeout_s=600.0, case_timeout_s=1200.0
            ),
            training=Resources(
                memory_mb=65536,
                cpus=8.0,
                gpus=1,
                gpu_memory_mb=66000,
                shm_mb=8192,
                out_mb=65536,
                start_timeout_s=600.0,
                stall_timeout_s=7200.0,  # a validation says nothing until all its cases are done
            ),
            licence="MIT",
            homepage=_GIT,
            citation="Du et al., SegVol: Universal and Interactive Volumetric Medical Image Segmentation, NeurIPS 2024",
            sources=(
                _part("segment_anything_volumetric", "fe3e05e7048da5e6add2999e9e9ff8c0b2146afc"),
                _part("network", "3e2e72186d0641d451ec0f60aaee25492e878d8f"),
                _part("utils", "4b8dfe24a08bc6e7628bd5ef0421686620e87b0c"),
                _part("config", "47a338be56a1103cb8d8c0f6bc3c4f67c5e22f86"),
            ),
            weights=(
                Weights(
                    name="SegVol_v1.pth",
                    repo="BAAI/SegVol",
                    file="SegVol_v1.pth",
                    revision="",
                    sha256="",
                    size=0,
                    licence="MIT",
                ),
            ),
        )
    ]
