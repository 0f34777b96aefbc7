"""SAT: segment anything by text, the Pro size, out of the box and fine-tuned as in the paper (section 4)."""

from __future__ import annotations

from pathlib import Path

from harness import Hub, Model, Params, Resources, TrainingResources, Upstream, Variant, hookimpl

CODE = Upstream(
    "https://github.com/zhaoziheng/SAT", "5676be5a62f5cd517264b948c6198e38ddfeb0e2", licence="none", prefix="sat"
)
WEIGHTS = Hub("zzh99/SAT")
LANGUAGE = Hub("FremyCompany/BioLORD-2023-C", licence="other: IHTSDO and NLM agreements", prefix="biolord--")

#: Pro on the published windows; Nano on small ones for a CPU.
PRO = Params(backbone="UNET-L", side=288, depth=96, voxel=1.0)
SMALL = Params(backbone="UNET", side=64, depth=32, voxel=4.0)

RECIPE = Params(
    crop_depth=64,
    steps=40000,
    batch=1,
    rate=1e-4,
    warmup=0.05,
    queries=32,
    foreground=0.8,
    bf16=True,
)


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
                    "zero-shot", PRO, reduced=SMALL, summary="Pro out of the box, the finding's text in lower case."
                ),
                Variant.trained(
                    "fine-tuned",
                    PRO | RECIPE,
                    reduced=SMALL | {"crop_depth": 32, "queries": 2},
                    summary="Pro with all parts trained, the text encoder included.",
                ),
            ),
            resources=Resources(memory_gb=20, cpus=6, gpus=1, gpu_gb=24, start_minutes=15, case_minutes=60),
            # The output: the cache, two states of 16 GB while one replaces the other, the checkpoint.
            training=TrainingResources(memory_gb=96, cpus=12, gpu_gb=56, shm_gb=16, out_gb=176, start_minutes=15),
            licence="none",
            homepage=CODE.git,
            citation="Zhao et al., One Model to Rule them All: Universal Segmentation by Text Prompts, 2023",
            sources=CODE.folders(
                model="4bb00c3291f0d3d32156b1914e3527506d6c6f61",
                train="282b1dfc4d7220c214aa9316bb3eaa1e3ae804ac",
            ),
            weights=(
                *WEIGHTS.files("Pro/SAT_Pro.pth", "Pro/text_encoder.pth"),
                *LANGUAGE.files(
                    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"
                ),
            ),
        )
    ]
