"""VoxTell: the open state of the art of 3-D segmentation by free text, out of the box and trained in a loop of ours."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Param, Prompt, Resources, Variant, Weights, hookimpl

#: The published network, and the same layers with few channels on small patches.
_PUBLISHED: dict[str, Param] = {"patch": 192, "features": 32, "queries": 2048, "prompts_at_once": 4}
_SMALL: dict[str, Param] = {"patch": 64, "features": 4, "queries": 64}

#: None of these is upstream's: no training with texts is published.
_TRAINING: dict[str, Param] = {
    **_PUBLISHED,
    "steps": 40000,
    "batch": 1,
    "accumulate": 2,
    "rate": 1e-4,
    "warmup": 0.05,
    "foreground": 0.67,
    "bf16": True,
    "validations": 10,
    "processes": 1,
    "workers": 6,
    "cache_mb": 131072,
}
_TRAINING_SMALL: dict[str, Param] = {
    **_SMALL,
    # At 64 the deepest stage is 2 voxels wide, where oneDNN's bfloat16 gradient of a convolution is not the same twice.
    "patch": 96,
    "steps": 2,
    "accumulate": 1,
    "validations": 1,
    "processes": 2,
    "workers": 1,
    "cache_mb": 64,
}

_ENCODER = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
)
_NAMES = ("checkpoint_final.pth", *(f"qwen--{file}" for file in _ENCODER))


def _weights(name: str, repo: str, file: str, licence: str) -> Weights:
    return Weights(name=name, repo=repo, file=file, revision="", sha256="", size=0, licence=licence)


@hookimpl
def bench_models() -> list[Model]:
    """Return the one model of this plugin."""
    return [
        Model(
            name="voxtell",
            title="VoxTell",
            summary="3-D U-Net whose stages are asked by vectors that a language model makes of any text.",
            version="1.0.0",
            root=Path(__file__).resolve().parent,
            variants=(
                Variant(
                    "zero-shot",
                    prompt=Prompt.TEXT,
                    summary="Out of the box, the finding's text in lower case.",
                    params=_PUBLISHED,
                    reduced=_SMALL,
                    weights=_NAMES,
                ),
                Variant(
                    "fine-tuned",
                    prompt=Prompt.TEXT,
                    fine_tuned=True,
                    summary="Trained with the findings' texts; the language model stays frozen.",
                    params=_TRAINING,
                    reduced=_TRAINING_SMALL,
                    weights=_NAMES,
                ),
            ),
            resources=Resources(
                memory_mb=20480,
                cpus=6.0,
                gpus=1,
                gpu_memory_mb=20000,
                shm_mb=1024,
                start_timeout_s=1200.0,
                case_timeout_s=3600.0,
            ),
            training=Resources(
                memory_mb=98304,
                cpus=12.0,
                gpus=1,
                gpu_memory_mb=24000,
                shm_mb=16384,
                out_mb=163840,
                start_timeout_s=1200.0,
                stall_timeout_s=14_400.0,  # a validation says nothing until all its cases are done
            ),
            licence="Apache-2.0",
            homepage="https://github.com/MIC-DKFZ/VoxTell",
            citation="Rokuss et al., VoxTell: Free-Text Promptable Universal 3D Medical Image Segmentation, CVPR 2026",
            weights=(
                _weights(
                    "checkpoint_final.pth", "mrokuss/VoxTell", "voxtell_v1.1/fold_0/checkpoint_final.pth", "not stated"
                ),
                *(_weights(f"qwen--{file}", "Qwen/Qwen3-Embedding-4B", file, "Apache-2.0") for file in _ENCODER),
            ),
        )
    ]
