"""How a model behaves as a process: sealed off, after a case that fails, and when it is asked to end."""

from __future__ import annotations

import time
from pathlib import Path

from harness.authoring.answers import Answers
from harness.authoring.verdict import PluginCheck, Surroundings
from harness.engines.base import Container, ContainerSpec, Engine, container_user
from harness.engines.owners import own_labels
from harness.runs.spec import ShardSpec
from harness.sandbox.folder import remove_tree
from harness.sandbox.job import write_job

#: Seconds between the request to end and the kill, as most schedulers give them at least.
_GRACE_S = 10.0

#: Seconds for a model to begin with its first case.
_BEGIN_S = 120.0


def check_behaviour(first: Answers, again: Answers, around: Surroundings, engine: Engine) -> PluginCheck:
    """Return what was seen of a model as a process.

    Parameters
    ----------
    first, again
        Its runs; the second began with a CT that cannot be read.
    around
        Where it was run.
    engine
        What ran it.
    """
    faults, fixes = [], []
    if again.tried_again and not first.tried_again:
        faults.append("after a CT that cannot be read, others failed until each had a container of its own")
        fixes.append("catch the errors of one case, and begin the next one anew")
    seconds = _seconds_to_end(first, around, engine)
    if seconds == float("inf"):
        faults.append(f"it still ran {_GRACE_S:g} s after SIGTERM, and had to be killed")
        fixes.append("let the program be what the ENTRYPOINT starts (no shell before it), and end it on SIGTERM")
    if faults:
        return PluginCheck("behaves", "FAIL", "; ".join(faults), "; ".join(fixes))
    sealed = f"as user {container_user()[0]}, read-only and without network" if engine.isolates else "not sealed off"
    ended = "it had finished before it could be asked to end" if seconds is None else "it ends on SIGTERM"
    return PluginCheck("behaves", "pass", f"{sealed}; a CT that cannot be read leaves the others alone; {ended}")


def _seconds_to_end(answers: Answers, around: Surroundings, engine: Engine) -> float | None:
    """Return how long the model takes to end in the middle of its cases; None where it was faster, inf where never."""
    home = around.own_home
    (file,) = sorted((answers.run_folder / "specs").glob("*.json"))[:1]
    planned = ShardSpec.from_json(file.read_text(encoding="utf-8"), home.resolve())
    root = around.work / "ended"
    write_job(root, planned.job.model_copy(update={"threads": 1}), planned.cases)
    container = engine.start(
        ContainerSpec(
            name=f"groundbench-check-{time.time_ns()}",
            plugin=answers.request.plugin,
            image=planned.image,
            root=root,
            mounts=(*planned.mounts, *(mount for case in planned.cases for mount in case.mounts)),
            log=around.work / "ended.log",
            resources=planned.plugin.model.resources,
            labels=own_labels(planned.run),
        )
    )
    try:
        if not _at_work(container, root / "out" / "events.jsonl", around):
            return None
        container.ask()
        asked = time.monotonic()
        return float("inf") if container.wait(_GRACE_S) is None else time.monotonic() - asked
    finally:
        container.stop()
        container.remove()
        remove_tree(root)


def _at_work(container: Container, events: Path, around: Surroundings) -> bool:
    """Wait until a container has answered a case, and return whether it still runs then."""
    late = time.monotonic() + _BEGIN_S
    while time.monotonic() < late and not around.stop.soon.is_set():
        if container.wait(0.02) is not None:
            return False
        if events.is_file() and b"case_done" in events.read_bytes():
            return True
    return container.wait(0) is None
