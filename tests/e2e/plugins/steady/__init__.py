"""A model that takes a while for every case, with limits that no busy machine reaches."""

from pathlib import Path

from harness import Model, Resources, Variant, hookimpl


@hookimpl
def bench_models():
    """Return the model."""
    return [
        Model(
            name="steady",
            title="Steady",
            summary="Takes half a second a case.",
            version="1",
            root=Path(__file__).parent,
            variants=(Variant("only", params={"seconds": 0.5}),),
            resources=Resources(memory_gb=0.25, cpus=1, start_minutes=2, case_minutes=1),
            adapter="adapter:Steady",
        )
    ]
