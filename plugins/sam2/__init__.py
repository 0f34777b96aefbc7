"""SAM 2.1: Meta's segmentation model for pictures and films, prompted with one box an entity (paper, section 4.1)."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Prompt, Resources, Variant, Weights, hookimpl

#: Variant -> size in the names of configurations, and of files and repositories. The first is the default.
_SIZES = {"large": ("l", "large"), "base-plus": ("b+", "base_plus"), "small": ("s", "small"), "tiny": ("t", "tiny")}


def _variant(name: str, config: str, file: str) -> Variant:
    return Variant(
        name,
        prompt=Prompt.BOX,
        summary=f"Boxes, Hiera {name}, followed through the whole volume",
        params={
            "config": f"configs/sam2.1/sam2.1_hiera_{config}.yaml",
            "checkpoint": f"sam2.1_hiera_{file}.pt",
            "image_size": 1024,
            "window_low": -1000,
            "window_high": 400,
            "slices_each_way": 0,
        },
        weights=(f"sam2.1_hiera_{file}.pt",),
        reduced={"image_size": 128, "slices_each_way": 1},
    )


def _weights(name: str, file: str) -> Weights:
    file = f"sam2.1_hiera_{file}.pt"
    # Digests, sizes and revisions could not be looked up when this was written.
    return Weights(file, f"facebook/sam2.1-hiera-{name}", file, revision="", sha256="", size=0, licence="Apache-2.0")


@hookimpl
def bench_models() -> list[Model]:
    """Return the model."""
    return [
        Model(
            name="sam2",
            title="SAM2",
            summary="Meta's promptable model for films; a box around each entity, followed slice by slice.",
            version="1.0.0",
            root=Path(__file__).resolve().parent,
            variants=tuple(_variant(name, config, file) for name, (config, file) in _SIZES.items()),
            resources=Resources(
                memory_mb=16_384,
                cpus=4.0,
                shm_mb=256,
                gpus=1,
                gpu_memory_mb=16_000,
                start_timeout_s=300.0,
                case_timeout_s=14_400.0,
            ),
            licence="Apache-2.0",
            homepage="https://github.com/facebookresearch/sam2",
            citation="Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024",
            weights=tuple(_weights(name, file) for name, (_, file) in _SIZES.items()),
        )
    ]
