"""A baseline without learning: reads the finding's text and segments by lung geometry, HU ranges and shape filters."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Prompt, Resources, Variant, hookimpl


@hookimpl
def bench_models() -> list[Model]:
    """Return the one model of this plugin."""
    return [
        Model(
            name="rules",
            title="Rules",
            summary="CPU baseline without learning: text grammar, lung geometry, HU ranges, blob and plate filters.",
            version="1.0.0",
            root=Path(__file__).resolve().parent,
            variants=(Variant("zero-shot", prompt=Prompt.TEXT, summary="The finding's free text as it stands."),),
            resources=Resources(memory_mb=6144, cpus=1.0, pids=64, start_timeout_s=60.0, case_timeout_s=600.0),
            adapter="adapter:Rules",
            licence="Apache-2.0",
        )
    ]
