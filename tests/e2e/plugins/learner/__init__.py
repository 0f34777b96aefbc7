"""A model that learns one number a finding; each variant goes wrong in another way, or not at all."""

from pathlib import Path

from harness import Model, Resources, Variant, hookimpl

FAULTS = (
    "none",
    "slow",
    "nan",
    "raises",
    "stalls",
    "silent",
    "memory",
    "exits",
    "fills-out",
    "no-checkpoint",
    "empty-checkpoint",
    "link",
    "fifo",
    "odd-name",
    "forges-events",
)


@hookimpl
def bench_models():
    """Return the model."""
    limits = Resources(
        memory_gb=0.25, cpus=1, pids=64, tmp_gb=1 / 32, out_gb=1 / 16, start_minutes=1 / 3, stall_minutes=1 / 6
    )
    return [
        Model(
            name="learner",
            title="Learner",
            summary="Learns the mean Hounsfield units of a finding.",
            version="1",
            root=Path(__file__).parent,
            variants=(
                Variant("zero-shot"),
                *(Variant(fault, fine_tuned=True, params={"fault": fault, "pause_s": 0.4}) for fault in FAULTS),
            ),
            resources=limits,
            training=limits,
            adapter="adapter:Learner",
        )
    ]
