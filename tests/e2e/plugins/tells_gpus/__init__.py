"""A model that prints the GPUs that its container sees."""

from pathlib import Path

from harness import Model, Resources, Variant, hookimpl


@hookimpl
def bench_models():
    """Return the model."""
    return [
        Model(
            name="tells-gpus",
            title="Tells its GPUs",
            summary="Prints its environment.",
            version="1",
            root=Path(__file__).parent,
            variants=(Variant("default"),),
            resources=Resources(memory_gb=0.25, cpus=1, pids=64),
            adapter="adapter:Tells",
        )
    ]
