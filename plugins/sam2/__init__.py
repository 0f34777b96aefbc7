"""SAM 2.1: Meta's segmentation model for pictures and films, prompted with one box an entity (paper, section 4.1)."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Prompt, Resources, Variant, Weights, hookimpl

#: Variant -> size in the names of configurations, and of files and repositories. The first is the default.
_SIZES = {"large": ("l", "large"), "base-plus": ("b+", "base_plus"), "small": ("s", "small"), "tiny": ("t", "tiny")}

#: Variant -> commit of its repository, digest and bytes of its file, which stand in many public records of downloads.
_PINS = {
    "large": (
        "665f8e2ad61cf5f53d65644ff27c8ee525124610",
        "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
        898_083_611,
    ),
    "base-plus": (
        "b7320756a13354e7530a63935656d35b2f91a290",
        "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
        323_606_802,
    ),
    "small": (
        "ee5bba1d82bb8749febdf90f45e84b687142ba03",
        "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
        184_416_285,
    ),
    "tiny": (
        "de431c4043854a71d8101e17995dfe596bf101a5",
        "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
        156_008_466,
    ),
}


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
    revision, sha256, size = _PINS[name]
    file = f"sam2.1_hiera_{file}.pt"
    return Weights(file, f"facebook/sam2.1-hiera-{name}", file, revision, sha256, size, licence="Apache-2.0")


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
                gpu_memory_mb=6_000,
                start_timeout_s=300.0,
                case_timeout_s=14_400.0,
            ),
            licence="Apache-2.0",
            homepage="https://github.com/facebookresearch/sam2",
            citation="Ravi et al., SAM 2: Segment Anything in Images and Videos, 2024",
            weights=tuple(_weights(name, file) for name, (_, file) in _SIZES.items()),
        )
    ]
