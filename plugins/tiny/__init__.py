"""A small text-conditioned 3-D U-Net of our own: learns on a CPU in minutes, and shows how a model is trained here."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Param, Prompt, Resources, Variant, hookimpl

#: What both variants share, and the recipe; README.md says why each number is what it is.
NET: dict[str, Param] = {
    "width": 16,
    "words": 32,
    "dropout": 0.1,
    "grid_mm": 3.5,
    "margin_mm": 12.0,
    "threshold": 0.5,
}
RECIPE: dict[str, Param] = {
    "steps": 500,
    "batch": 4,
    "crop": 32,
    "centred": 0.7,
    "rate": 0.004,
    "warmup": 20,
    "final_rate": 0.02,
    "weight_decay": 0.001,
    "clip_norm": 1.0,
    "cross_entropy": 0.2,
    "place": 0.3,
    "place_jitter": 0.04,
    "bf16": False,
    "workers": 0,
    "processes": 1,
    "cache_mb": 1024,
    "validate_every": 50,
    "report_every": 20,
    "save_every_s": 30.0,
}


@hookimpl
def bench_models() -> list[Model]:
    """Return the one model of this plugin."""
    return [
        Model(
            name="tiny",
            title="Tiny U-Net",
            summary="Small text-conditioned 3-D U-Net with trained word vectors; learns on a CPU in minutes.",
            version="1.0.0",
            root=Path(__file__).resolve().parent,
            variants=(
                Variant("zero-shot", prompt=Prompt.TEXT, summary="Untrained: it finds nothing.", params=dict(NET)),
                Variant(
                    "fine-tuned",
                    prompt=Prompt.TEXT,
                    fine_tuned=True,
                    summary="Trained on the train split, chosen by the val split.",
                    params={**NET, **RECIPE},
                ),
            ),
            resources=Resources(memory_mb=4096, cpus=2.0, pids=128, start_timeout_s=120.0, case_timeout_s=600.0),
            training=Resources(
                memory_mb=6144,
                cpus=2.0,
                pids=256,
                shm_mb=512,
                out_mb=2048,
                start_timeout_s=120.0,
                stall_timeout_s=900.0,
            ),
            adapter="adapter:Tiny",
            licence="Apache-2.0",
        )
    ]
