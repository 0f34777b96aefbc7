"""A plugin whose declaration is wrong: a name with capitals and spaces."""

from pathlib import Path

from harness import Model, hookimpl


@hookimpl
def bench_models():
    """Return a model that cannot be."""
    return [Model(name="My Model", title="T", summary="S", version="1", root=Path(__file__).parent)]
