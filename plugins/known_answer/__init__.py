"""Six models whose scores are known before they run: the harness's check on itself.

They go through the same images, containers, masks and scoring as any model. They alone are given the ground truth,
and no run of theirs is ever ranked.
"""

from harness import Model, Resources, Variant, hookimpl, ours


def _model(answer: str, summary: str, variant: str = "default", **params: int) -> Model:
    return Model(
        name=answer,
        title=f"Known answer: {answer}",
        summary=summary,
        version="1.0.0",
        variants=(Variant(variant, summary=summary, params={"answer": answer, **params}),),
        sees=ours("nothing", "it reads the truth"),
        resources=Resources(memory_gb=4, cpus=1, pids=64, start_minutes=1, case_minutes=5),
        adapter="adapter:KnownAnswer",
        licence="Apache-2.0",
        reads_truth=True,
    )


@hookimpl
def bench_models() -> list[Model]:
    """Return the six known answers."""
    return [
        _model("oracle", "The ground truth itself; every Dice is exactly 1."),
        _model("empty", "No voxel of any finding; every Dice is exactly 0."),
        _model("full", "Every voxel of the volume, for every finding."),
        _model("shifted", "The ground truth moved 3 voxels along the first axis.", "by-3", axis=0, voxels=3),
        _model("flipped", "The ground truth mirrored from left to right."),
        _model("dropped", "The ground truth without the last finding of each case."),
    ]
