"""A baseline without learning: reads the finding's text and segments by lung geometry, HU ranges and shape filters."""

from harness import Model, Resources, Variant, hookimpl, ours


@hookimpl
def bench_models() -> Model:
    """Return the one model of this plugin."""
    return Model(
        name="rules",
        title="Rules",
        summary="CPU baseline without learning: text grammar, lung geometry, HU ranges, blob and plate filters.",
        version="1.1.0",
        variants=(
            Variant(
                "zero-shot",
                exposure=ours("none", "no weights; its rules were written on the phantom and other collections"),
                summary="The finding's free text, verbatim.",
            ),
        ),
        sees=ours("3-D", "it reads the whole volume"),
        resources=Resources(memory_gb=6, cpus=1, pids=64, start_minutes=1, case_minutes=10),
        adapter="adapter:Rules",
        licence="Apache-2.0",
    )
