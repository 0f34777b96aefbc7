"""Which process of a training was lost, by what torchrun knows; the processes themselves run in the torch checks."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groundbench_sdk.events import Events
from groundbench_sdk.finetuning import TrainingFailed, log_failure
from groundbench_sdk.together import reason_of


def _end(exitcode: int, message: str = "", ns: int = 0) -> Any:
    left = {"message": message, "ns": ns} if message else {"message": "<NONE>"}
    return SimpleNamespace(exitcode=exitcode, error_file_data=left)


@pytest.mark.parametrize(
    ("failures", "reason"),
    [
        ({0: _end(1, "no answer", 5), 1: _end(-9, "", 6)}, "process 1 was ended by SIGKILL, as the kernel does"),
        ({0: _end(-15), 1: _end(1, "no answer"), 2: _end(-11)}, "process 2 was ended by SIGSEGV"),
        ({0: _end(1, "no answer", 6), 1: _end(1, "ValueError: a", 5)}, "ValueError: a"),
        ({0: _end(1, "ValueError: a", 5), 1: _end(1, "no answer", 6)}, "ValueError: a"),
        ({0: _end(1, "no answer", 5), 1: _end(3)}, "process 1 ended with exit code 3"),
        ({0: _end(-6), 1: _end(-9)}, "process 1 was ended by SIGKILL"),
        ({0: _end(-6), 1: _end(-11)}, "process 1 was ended by SIGSEGV"),
        ({0: _end(-6), 1: _end(1, "ValueError: a")}, "ValueError: a; process 0 was ended by SIGABRT"),
        ({0: _end(-15), 1: _end(-6)}, "process 1 was ended by SIGABRT"),
        ({0: _end(-15)}, "its processes were ended"),
    ],
)
def test_the_cause_is_told_and_not_the_symptom(failures: dict[int, Any], reason: str) -> None:
    """A signal comes first, then what failed first."""
    assert reason_of(failures).startswith(reason)


@pytest.mark.parametrize("together", [True, False])
def test_a_process_leaves_its_error_to_the_one_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    """Alone it writes the event; what it knows for certain (a loss that is not finite) it always writes."""
    if together:
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    else:
        monkeypatch.delenv("TORCHELASTIC_ERROR_FILE", raising=False)
    events = Events(tmp_path)
    log_failure(events, ValueError("a"))
    log_failure(events, TrainingFailed("nan_loss", "b"))
    events.close()
    written = [json.loads(line)["kind"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert written == (["nan_loss"] if together else ["error", "nan_loss"])
    if together:
        assert json.loads((tmp_path / "error.json").read_text())["message"] == "ValueError: a"
