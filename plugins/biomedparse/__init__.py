"""BiomedParse, version 1: a 2-D model asked by text, out of the box and fine-tuned as in the paper (section 4)."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Param, Prompt, Resources, Source, Variant, Weights, hookimpl

_GIT = "https://github.com/microsoft/BiomedParse"
_COMMIT = "750eb40d4624398561fe586418101f48ae9b0f1d"

#: The published network on the published size of a picture, and a window of upstream's that shows the chest whole.
_PUBLISHED: dict[str, Param] = {
    "network": "published",
    "image_size": 1024,
    "window_low": -1000,
    "window_high": 1000,
    "slices_at_once": 4,
}
#: The same modules with few channels and layers, for a CPU.
_SMALL: dict[str, Param] = {"network": "small", "image_size": 64, "slices_at_once": 16}

#: Paper, section 4: 512 x 512, 10 epochs, rate 1e-4. The rest is upstream's (batch, decay, encoders at a tenth).
_TRAINING: dict[str, Param] = {
    **_PUBLISHED,
    "image_size": 512,
    "epochs": 10,
    "steps": 0,
    "batch": 4,
    "rate": 1e-4,
    "encoder_rate": 0.1,
    "decay": 0.05,
    "bf16": True,
    "validations": 5,
    "processes": 1,
    "workers": 6,
    "cache_mb": 131072,
}
_TRAINING_SMALL: dict[str, Param] = {
    **_SMALL,
    "steps": 2,
    "batch": 2,
    "validations": 1,
    "processes": 2,
    "workers": 1,
    "cache_mb": 64,
}

_NAMES = ("biomedparse_v1.pt", "clip--vocab.json", "clip--merges.txt")


def _source(folder: str, tree: str) -> Source:
    """Declare one folder of upstream's repository; its examples and figures stay out."""
    return Source(f"biomedparse-{folder}", _GIT, _COMMIT, licence="Apache-2.0", tree=tree, path=folder)


def _clip(file: str, sha256: str, size: int) -> Weights:
    """Declare a file of the tokenizer; the text encoder's weights are in the published file."""
    return Weights(
        name=f"clip--{file}",
        repo="openai/clip-vit-base-patch32",
        file=file,
        revision="3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
        sha256=sha256,
        size=size,
        licence="MIT",
    )


@hookimpl
def bench_models() -> list[Model]:
    """Return the one model of this plugin."""
    return [
        Model(
            name="biomedparse",
            title="BiomedParse",
            summary="2-D model asked by text; a CT is read slice by slice, without the slices around.",
            version="1.0.0",
            root=Path(__file__).resolve().parent,
            variants=(
                Variant(
                    "zero-shot",
                    prompt=Prompt.TEXT,
                    summary="Version 1 out of the box, the finding's text.",
                    params=_PUBLISHED,
                    reduced=_SMALL,
                    weights=_NAMES,
                ),
                Variant(
                    "fine-tuned",
                    prompt=Prompt.TEXT,
                    fine_tuned=True,
                    summary="Version 1 with all parts trained, on slices that hold the finding.",
                    params=_TRAINING,
                    reduced=_TRAINING_SMALL,
                    weights=_NAMES,
                ),
            ),
            resources=Resources(
                memory_mb=20480, cpus=4.0, gpus=1, gpu_memory_mb=12000, start_timeout_s=900.0, case_timeout_s=3600.0
            ),
            training=Resources(
                memory_mb=65536,
                cpus=12.0,
                gpus=1,
                gpu_memory_mb=20000,
                shm_mb=8192,
                out_mb=163840,
                start_timeout_s=900.0,
                stall_timeout_s=14_400.0,  # a validation says nothing until all its cases are done
            ),
            licence="Apache-2.0",
            homepage=_GIT,
            citation="Zhao et al., A foundation model for joint segmentation, detection and recognition of biomedical "
            "objects across nine modalities, Nature Methods 2025",
            sources=(
                _source("modeling", "90f4e0610722e5612f57ff9b15372ec6e9adbabf"),
                _source("utilities", "07074ac70d4e1e9e7f61300071ff22151a0573b4"),
                _source("configs", "d447436facfb2883caf177a8d44fd6060192e98d"),
                Source(
                    "biomedparse-detectron2",
                    "https://github.com/MaureenZOU/detectron2-xyz",
                    "42121d75e10d9f858f3a91b6a39f5722c02868f0",
                    licence="Apache-2.0",
                    tree="0239db07737f6b352a5296aebbb2c1de495930a2",
                    path="detectron2",
                ),
            ),
            weights=(
                Weights(
                    name="biomedparse_v1.pt",
                    repo="microsoft/BiomedParse",
                    file="biomedparse_v1.pt",
                    revision="",
                    sha256="",
                    size=0,
                    licence="CC-BY-NC-SA-4.0",
                    gated=True,
                ),
                _clip("vocab.json", "5047b556ce86ccaf6aa22b3ffccfc52d391ea4accdab9c2f2407da5b742d4363", 862_328),
                _clip("merges.txt", "f526393189112391ce6f9795d4695f704121ce452c3aad1f5335cc41337eba85", 524_657),
            ),
        )
    ]
