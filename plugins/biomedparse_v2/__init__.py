"""BiomedParse v2: a model of single slices that sees their neighbours, asked by a text; no row of the paper."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Param, Prompt, Resources, Source, Variant, Weights, hookimpl

_HOME = "https://github.com/microsoft/BiomedParse"
_GIT = "https://github.com/eliritchie15/BiomedParse-Experimentation"  # see README: upstream's own commit cannot be had
_COMMIT = "062e601d3b273504a15c2c92b354d946b8e84236"

#: The published network on its own pictures; a small one on small pictures for a CPU.
_PUBLISHED: dict[str, Param] = {
    "network": "published",
    "image_size": 512,
    "window_low": -1000,
    "window_high": 1000,
    "existence": 0.5,
    "slices_at_once": 4,
}
_SMALL: dict[str, Param] = {"network": "small", "image_size": 128, "slices_at_once": 16}

#: Paper, section 4, of its predecessor: slices with truth, 10 epochs, rate 1e-4. The rest is upstream's.
_TRAINING: dict[str, Param] = {
    **_PUBLISHED,
    "epochs": 10,
    "steps": 0,
    "batch": 8,
    "rate": 1e-4,
    "negatives": 0.15,
    "bf16": True,
    "validations": 10,
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
    "cache_mb": 256,
}

_NAMES = ("biomedparse_v2.ckpt", "clip--vocab.json", "clip--merges.txt")


def _clip(file: str, sha256: str, size: int) -> Weights:
    """Declare a file of the tokenizer; the text encoder's weights are in the checkpoint."""
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
            name="biomedparse-v2",
            title="BiomedParse v2",
            summary="Slices of 512 x 512, each with its two neighbours, asked by a text; the model may say: not here.",
            version="1.0.0",
            root=Path(__file__).resolve().parent,
            variants=(
                Variant(
                    "zero-shot",
                    prompt=Prompt.TEXT,
                    summary="Out of the box, the finding's text as it stands, at slices where the model says it is.",
                    params=_PUBLISHED,
                    reduced=_SMALL,
                    weights=_NAMES,
                ),
                Variant(
                    "fine-tuned",
                    prompt=Prompt.TEXT,
                    fine_tuned=True,
                    summary="All of it trained, on slices with truth and some without.",
                    params=_TRAINING,
                    reduced=_TRAINING_SMALL,
                    weights=_NAMES,
                ),
            ),
            resources=Resources(
                memory_mb=20480, cpus=4.0, gpus=1, gpu_memory_mb=6000, start_timeout_s=900.0, case_timeout_s=3600.0
            ),
            training=Resources(
                memory_mb=65536,
                cpus=8.0,
                gpus=1,
                gpu_memory_mb=28000,
                shm_mb=8192,
                out_mb=163840,
                start_timeout_s=900.0,
                stall_timeout_s=14_400.0,  # a validation says nothing until all its cases are done
            ),
            licence="Apache-2.0",
            homepage=_HOME,
            citation="Zhao et al., Boltzmann Attention Sampling for Image Analysis with Small Objects, CVPR 2025",
            sources=(
                Source(
                    "biomedparse-v2",
                    _GIT,
                    _COMMIT,
                    licence="Apache-2.0",
                    tree="f492190d66e44711d8c99aa848c53b68ac417649",
                    path="src",
                ),
            ),
            weights=(
                Weights(
                    name="biomedparse_v2.ckpt",
                    repo="microsoft/BiomedParse",
                    file="biomedparse_v2.ckpt",
                    revision="e473e5b2b1a3f44649734afd3dc7cf1770aaa9e2",
                    sha256="6ea0bee43b983a7490e0b48689add96440c4405ca4b50b9f2fe21d5d03fd9440",
                    size=4_460_902_829,
                    licence="CC-BY-NC-SA-4.0",
                    gated=True,
                ),
                _clip("vocab.json", "5047b556ce86ccaf6aa22b3ffccfc52d391ea4accdab9c2f2407da5b742d4363", 862_328),
                _clip("merges.txt", "f526393189112391ce6f9795d4695f704121ce452c3aad1f5335cc41337eba85", 524_657),
            ),
        )
    ]
