"""Two controls that are prompted with boxes and read no voxel of the CT: the floor of the models that get boxes."""

from harness import Model, Params, Prompt, Resources, Variant, hookimpl, ours


def _control(shape: str, summary: str) -> Model:
    return Model(
        name=shape,
        title=f"Control: {shape}",
        summary=summary,
        version="1.0.0",
        variants=(
            Variant(
                "no-image",
                Params(shape=ours(shape)),
                prompt=Prompt.BOX,
                exposure=ours("none", "it has no weights and reads no image"),
                summary=summary,
            ),
        ),
        sees=ours("nothing", "it fills boxes"),
        resources=Resources(memory_gb=4, cpus=1, pids=64, start_minutes=1, case_minutes=5),
        adapter="adapter:Control",
        licence="Apache-2.0",
    )


@hookimpl
def bench_models() -> list[Model]:
    """Return both controls."""
    return [
        _control("box", "Every voxel of every box; no voxel of the CT is read."),
        _control("ellipsoid", "The ellipsoid that touches the sides of every box; no voxel of the CT is read."),
    ]
