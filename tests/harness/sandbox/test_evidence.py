"""What is known of a container's death is stored under the same keys for ever, and read back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.engines.base import Exit
from harness.sandbox.evidence import PredictionEvidence, TrainingEvidence, death_text, exit_text, last_lines

END = Exit(137, oom=True, error="lost", peak_bytes=5, state="dead")
SHARED = {
    "exit_code": 137,
    "oom": True,
    "engine_said": "lost",
    "peak_bytes": 5,
    "memory_limit_bytes": 10,
    "last_lines": ["a", "b"],
}
PREDICTING = {
    **SHARED,
    "state": "dead",
    "ended_by_us": True,
    "lived_s": 1.5,
    "last_event": {"event": "progress", "stage": "case", "case": "c"},
}


def test_evidence_of_a_prediction() -> None:
    """Ten facts, the same as ever, and back again."""
    event = {"event": "progress", "stage": "case", "case": "c"}
    evidence = PredictionEvidence(END, 10, ["a", "b"], ended_by_us=True, lived_s=1.5, last_event=event)
    assert evidence.document() == PREDICTING
    assert PredictionEvidence.read(PREDICTING) == evidence


def test_evidence_of_a_training() -> None:
    """What all containers leave, and the step that was reached."""
    assert TrainingEvidence(END, 10, ("a", "b"), last_step=7).document() == {**SHARED, "last_step": 7}


def test_no_event_is_stored_as_nothing() -> None:
    """A container that never said anything has no last event."""
    evidence = PredictionEvidence(END, 10, [])
    assert evidence.document()["last_event"] is None
    assert PredictionEvidence.read(evidence.document()) == evidence


@pytest.mark.parametrize("document", [{}, {"warnings": ["cut"]}])
def test_a_case_without_a_death_has_no_evidence(document: dict[str, object]) -> None:
    """Warnings alone are not evidence of one."""
    assert PredictionEvidence.read(document) is None


def test_rows_of_earlier_versions_are_read() -> None:
    """Before the container's state was kept, it had exited by itself as far as anybody knows."""
    earlier = {key: value for key, value in PREDICTING.items() if key not in ("state", "ended_by_us")}
    read = PredictionEvidence.read(earlier)
    assert read is not None
    assert (read.end.state, read.ended_by_us) == ("exited", False)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "the container ended with exit code 1"),
        (128, "the container ended with exit code 128"),
        (137, "the container was ended by SIGKILL (exit code 137)"),
        (139, "the container was ended by SIGSEGV (exit code 139)"),
        (255, "the container ended with exit code 255"),
    ],
)
def test_signals_have_names(code: int, words: str) -> None:
    """An exit code beyond 128 names its signal, where there is one."""
    assert exit_text(code) == words


def test_a_death_is_told_with_the_last_line(tmp_path: Path) -> None:
    """Where the container printed anything."""
    log = tmp_path / "log"
    assert death_text(1, log) == "the container ended with exit code 1"
    log.write_text("Traceback\nValueError: no\n\n")
    assert death_text(1, log) == "the container ended with exit code 1; its last line: ValueError: no"


def test_last_lines_are_few_short_and_safe(tmp_path: Path) -> None:
    """Control characters, endless lines and bytes that are not text reach neither a terminal nor a page."""
    log = tmp_path / "log"
    log.write_bytes(b"x" * 100_000 + b"\n \n\x1b[2Jred\xff\n" + b"y" * 1000)
    assert last_lines(log, 2) == ["[2Jred\N{REPLACEMENT CHARACTER}", "y" * 300]
    assert last_lines(tmp_path / "nothing", 2) == []
