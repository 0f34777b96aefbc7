"""A model that attacks on its second case; each variant in another way."""

from pathlib import Path

from harness import Model, Resources, Variant, hookimpl

ATTACKS = (
    "probe-everything",
    "outputs",
    "events",
    "fork-bomb",
    "memory-bomb",
    "memory-bomb-without-a-name",
    "fill-inodes",
    "fill-out",
    "fill-out-deep",
    "fill-unlinked",
    "fill-volume",
    "rewrite-disk",
    "many-files",
    "million-files",
    "flood-stdout",
    "hang-in-case",
    "stop-itself",
    "hang-at-import",
    "hang-at-exit",
    "spam-progress",
    "daemonise",
    "close-out",
    "hide-events",
    "everything-at-once",
    "neighbour",
)


@hookimpl
def bench_models():
    """Return the model."""
    return [
        Model(
            name="hostile",
            title="Hostile",
            summary="Attacks the machine it runs on.",
            version="1",
            root=Path(__file__).parent,
            variants=tuple(Variant(attack, params={"attack": attack}) for attack in ATTACKS),
            resources=Resources(
                memory_gb=0.25,
                cpus=1,
                pids=64,
                tmp_gb=1 / 32,
                shm_gb=1 / 32,
                out_gb=1 / 16,
                start_minutes=0.1,
                case_minutes=5 / 60,
            ),
            adapter="adapter:Hostile",
        )
    ]
