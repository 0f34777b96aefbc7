"""SAT: segment anything by text, the Pro size, out of the box and fine-tuned as in the paper (section 4)."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Param, Prompt, Resources, Source, Variant, Weights, hookimpl

_COMMIT = "5676be5a62f5cd517264b948c6198e38ddfeb0e2"
_GIT = "https://github.com/zhaoziheng/SAT"

#: Pro on the published windows; Nano on small ones for a CPU.
_PRO: dict[str, Param] = {"backbone": "UNET-L", "side": 288, "depth": 96, "voxel": 1.0}
_SMALL: dict[str, Param] = {"backbone": "UNET", "side": 64, "depth": 32, "voxel": 4.0}

#: Paper, section 4: 40,000 steps, rate 1e-4, 2,000 of warm-up, crops of 288 x 288 x 64, bfloat16. 32 queries: upstream.
_TRAINING: dict[str, Param] = {
    **_PRO,
    "crop_depth": 64,
    "steps": 40000,
    "batch": 1,
    "rate": 1e-4,
    "warmup": 0.05,
    "queries": 32,
    "foreground": 0.8,
    "bf16": True,
    "validations": 10,
    "processes": 1,
    "workers": 6,
    "cache_mb": 131072,
}
_TRAINING_SMALL: dict[str, Param] = {
    **_SMALL,
    "crop_depth": 32,
    "steps": 2,
    "queries": 2,
    "validations": 1,
    "processes": 2,
    "workers": 1,
    "cache_mb": 64,
}

_LANGUAGE = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_NAMES = ("SAT_Pro.pth", "text_encoder.pth", *(f"biolord--{file}" for file in _LANGUAGE))


def _source(folder: str, tree: str) -> Source:
    """Declare one folder of upstream's repository, whose authors state no licence."""
    return Source(f"sat-{folder}", _GIT, _COMMIT, licence="none", tree=tree, path=folder)


def _weights(name: str, repo: str, file: str, licence: str) -> Weights:
    return Weights(name=name, repo=repo, file=file, revision="", sha256="", size=0, licence=licence)


@hookimpl
def bench_models() -> list[Model]:
    """Return the one model of this plugin."""
    return [
        Model(
            name="sat",
            title="SAT",
            summary="3-D U-Net and mask former asked by BioLORD's reading of a text, in windows of 288 x 288 x 96.",
            version="1.0.0",
            root=Path(__file__).resolve().parent,
            variants=(
                Variant(
                    "zero-shot",
                    prompt=Prompt.TEXT,
                    summary="Pro out of the box, the finding's text in lower case.",
                    params=_PRO,
                    reduced=_SMALL,
                    weights=_NAMES,
                ),
                Variant(
                    "fine-tuned",
                    prompt=Prompt.TEXT,
                    fine_tuned=True,
                    summary="Pro with all parts trained, the text encoder included.",
                    params=_TRAINING,
                    reduced=_TRAINING_SMALL,
                    weights=_NAMES,
                ),
            ),
            resources=Resources(
                memory_mb=20480, cpus=6.0, gpus=1, gpu_memory_mb=24000, start_timeout_s=900.0, case_timeout_s=3600.0
            ),
            training=Resources(
                memory_mb=98304,
                cpus=12.0,
                gpus=1,
                gpu_memory_mb=56000,
                shm_mb=16384,
                out_mb=180224,  # the cache, two states of 16 GB while one replaces the other, the checkpoint
                start_timeout_s=900.0,
                stall_timeout_s=14_400.0,  # a validation says nothing until all its cases are done
            ),
            licence="none",
            homepage=_GIT,
            citation="Zhao et al., One Model to Rule them All: Universal Segmentation by Text Prompts, 2023",
            sources=(
                _source("model", "4bb00c3291f0d3d32156b1914e3527506d6c6f61"),
                _source("train", "282b1dfc4d7220c214aa9316bb3eaa1e3ae804ac"),
            ),
            weights=(
                _weights("SAT_Pro.pth", "zzh99/SAT", "Pro/SAT_Pro.pth", "not stated"),
                _weights("text_encoder.pth", "zzh99/SAT", "Pro/text_encoder.pth", "not stated"),
                *(
                    _weights(
                        f"biolord--{file}", "FremyCompany/BioLORD-2023-C", file, "other: IHTSDO and NLM agreements"
                    )
                    for file in _LANGUAGE
                ),
            ),
        )
    ]
