"""A model that does one thing wrong on its second case; each variant another thing."""

from pathlib import Path

from harness import Model, Resources, Variant, hookimpl

FAULTS = (
    "none",
    "slow",
    "slower",
    "exit-1",
    "exit-1-at-import",
    "segfault",
    "raises",
    "hangs",
    "hangs-at-import",
    "ignores-sigterm",
    "writes-nothing",
    "writes-4d-stack",
    "other-grid",
    "float-nan",
    "wrong-affine",
    "bomb",
    "symlink",
    "hard-link",
    "fifo",
    "truncated",
    "not-nifti",
    "memory",
    "fills-out",
    "floods-log",
    "forges-events",
    "warns",
    "no-events",
)


@hookimpl
def bench_models():
    """Return the model."""
    return [
        Model(
            name="misbehaving",
            title="Misbehaving",
            summary="Does one thing wrong on its second case.",
            version="1",
            root=Path(__file__).parent,
            variants=tuple(Variant(fault, params={"fault": fault}) for fault in FAULTS),
            resources=Resources(
                memory_gb=0.25,
                cpus=1,
                pids=64,
                tmp_gb=1 / 32,
                out_gb=1 / 16,
                start_minutes=5 / 60,
                case_minutes=2 / 60,
            ),
            adapter="adapter:Misbehaving",
        )
    ]
