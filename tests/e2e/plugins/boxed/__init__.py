"""A model that answers with what it was shown: the boxes of a box prompt, and nothing for a text."""

from __future__ import annotations

from pathlib import Path

from harness import Model, Prompt, Resources, Variant, hookimpl


@hookimpl
def bench_models() -> list[Model]:
    """Return the model."""
    return [
        Model(
            name="boxed",
            title="Boxed",
            summary="Fills the boxes that it is given.",
            version="1",
            root=Path(__file__).parent,
            variants=(
                Variant("box", prompt=Prompt.BOX),
                Variant("text"),
                Variant("tuned", prompt=Prompt.BOX, fine_tuned=True),
            ),
            resources=Resources(memory_gb=0.5, cpus=1, pids=64, tmp_gb=1 / 32, out_gb=1 / 16),
            adapter="adapter:Boxed",
        )
    ]
