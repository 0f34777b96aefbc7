"""Whether a training survives that its machine goes down: it is killed, taken up again, and its checkpoint predicts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness.authoring.answers import Answers
from harness.authoring.verdict import PluginCheck, Surroundings
from harness.errors import Interrupted
from harness.foreign import parse_json

#: Steps after which a training is killed.
STEPS = 3

#: Seconds for so many steps.
_PATIENCE_S = 600.0


def kill_a_training(answers: Answers, around: Surroundings) -> int | None:
    """Begin the training of a variant in a process of its own, and kill that once it has taken three steps.

    Returns
    -------
    int or None
        The steps it had reported; None where it ended before it was killed.

    Raises
    ------
    Interrupted
        When the check is.
    """
    request = answers.request
    command = [sys.executable, "-P", "-m", "groundbench", "--home", str(around.own_home), "run", "--plugin-dir"]
    command += [str(request.plugin.model.root), "--plugin", request.plugin.name, "--variant", request.variant.name]
    command += ["--dataset", str(answers.folder), "--engine", around.engine, "--weights", request.weights]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (around.work / "killed.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=around.work, start_new_session=True
        )
    try:
        late = time.monotonic() + _PATIENCE_S
        while process.poll() is None and time.monotonic() < late:
            if around.stop.soon.is_set():
                raise Interrupted("the check was interrupted")
            reached = max(_steps(around), default=0)
            if reached >= STEPS:
                return reached
            time.sleep(0.02)
        return None if process.poll() is not None else max(_steps(around), default=0)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _steps(around: Surroundings) -> Iterator[int]:
    for folder, _, names in os.walk(around.own_home / "checkpoints"):  # folders may go while they are read
        if "events.jsonl" in names:
            with contextlib.suppress(OSError):
                for line in Path(folder, "events.jsonl").read_bytes().split(b"\n")[:-1]:
                    with contextlib.suppress(ValueError):
                        event = parse_json(line)
                        if event.get("event") == "train":
                            yield int(event.get("step", 0))


def check_training(answers: Answers, killed: int | None) -> PluginCheck:
    """Return what was seen, once the same variant has been run again: it was trained, and has predicted."""
    fix = "keep what a training needs in training.state, each file written at once, and deliver a checkpoint at its end"
    if answers.failed:
        said = "; ".join(f"{words}: {ended}" for words, ended in answers.failed.items())
        return PluginCheck("trains", "FAIL", f"its checkpoint does not predict: {said}", fix)
    how = (
        "it had ended before three steps were seen"
        if killed is None
        else f"killed after step {killed} and taken up again"
    )
    return PluginCheck("trains", "pass", f"{how}; its checkpoint predicts")
