"""A container's events are followed while they are written, within bounds, whatever else is in the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.sandbox import events
from harness.sandbox.contract import MAX_EVENT_BYTES, CaseDone, Started
from harness.sandbox.events import EventTail

STARTED = b'{"event":"started"}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name the event file, which is not there yet."""
    return tmp_path / "events.jsonl"


def _append(file: Path, content: bytes) -> None:
    with file.open("ab") as writing:
        writing.write(content)


def test_an_event_is_read_once_and_whole(file: Path) -> None:
    """The file may come late, and a line in pieces."""
    tail = EventTail(file)
    assert tail.read() == []
    _append(file, STARTED[:7])
    assert tail.read() == []
    _append(file, STARTED[7:])
    assert tail.read() == [Started(event="started")]
    assert tail.read() == []
    tail.close()


def test_a_last_line_without_an_end_is_not_an_event(file: Path) -> None:
    """A container that died while it wrote said nothing with it."""
    _append(file, STARTED + STARTED.strip())
    tail = EventTail(file)
    assert len(tail.rest()) == 1
    tail.close()


def test_lines_that_are_not_events_are_passed_over(file: Path) -> None:
    """Those too long included, in one piece or across several reads."""
    odd = [b"\n", b"{}\n", b"[" * 1000 + b"\n", b'{"event":"unknown"}\n', b"\xff\xfe\n"]
    long = b'{"event":"started","sdk":"' + b"x" * MAX_EVENT_BYTES
    tail = EventTail(file)
    _append(file, b"".join(odd) + STARTED + long)
    assert len(tail.read()) == 1
    _append(file, b"x" * 100)
    assert tail.read() == []
    _append(file, b'"}\n' + STARTED)
    assert len(tail.read()) == 1
    tail.close()


def test_a_read_is_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One chunk a call, and no more than the bound in all."""
    monkeypatch.setattr(events, "_CHUNK", 10 * len(STARTED))
    monkeypatch.setattr(events, "MAX_EVENTS_BYTES", 25 * len(STARTED))
    _append(file, STARTED * 1000)
    tail = EventTail(file)
    assert len(tail.read()) == 10
    assert len(tail.rest()) == 15
    assert tail.read() == []
    tail.close()


def test_the_bound_belongs_to_a_case(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each case that follows one that has ended has all of it, and the same case no more of it."""
    monkeypatch.setattr(events, "MAX_EVENTS_BYTES", 25 * len(STARTED))
    _append(file, STARTED * 1000)
    tail = EventTail(file)
    assert len(tail.rest()) == 25
    tail.allow(1)
    tail.allow(1)
    assert len(tail.rest()) == 25
    tail.allow(1)
    assert tail.rest() == []
    tail.close()


@pytest.mark.timeout(10)
def test_only_a_regular_file_is_read(file: Path, tmp_path: Path) -> None:
    """Neither a link, nor a pipe without a writer, nor a folder holds events; a file that replaces it does."""
    (tmp_path / "real").write_bytes(STARTED)
    for make in (lambda: file.symlink_to("real"), lambda: os.mkfifo(file), file.mkdir):
        make()
        tail = EventTail(file)
        assert tail.rest() == []
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
        _append(file, STARTED)
        assert len(tail.rest()) == 1
        tail.close()
        file.unlink()


def test_a_file_that_is_replaced_is_not_followed(file: Path) -> None:
    """What was opened is read on: a container cannot make its clock start again."""
    _append(file, STARTED)
    tail = EventTail(file)
    assert len(tail.read()) == 1
    file.unlink()
    _append(file, STARTED)
    assert tail.rest() == []
    tail.close()


def test_events_keep_their_claims(file: Path) -> None:
    """What a container says of itself is handed on, for others to believe or not."""
    _append(file, b'{"event":"case_done","case":"../a","seconds":1e9,"more":[1]}\n')
    tail = EventTail(file)
    assert tail.rest() == [CaseDone(event="case_done", case="../a", seconds=1e9)]
    tail.close()
