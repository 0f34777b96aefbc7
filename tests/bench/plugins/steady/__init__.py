"""A model that works for a given time on every case, and finds nothing: what the harness adds can be seen beside it."""

from pathlib import Path

from harness import Model, Resources, Variant, hookimpl


@hookimpl
def bench_models():
    """Return the model."""
    return [
        Model(
            name="steady",
            title="Steady",
            summary="Works for a given time on every case.",
            version="1",
            root=Path(__file__).parent,
            variants=(
                Variant("at-once", params={"seconds": 0.0}),
                Variant("one-second", params={"seconds": 1.0}),
            ),
            resources=Resources(memory_gb=0.5, cpus=1),
            adapter="adapter:Steady",
        )
    ]
