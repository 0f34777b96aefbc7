"""A stranger's code is called in a copy of this process, and only records of the registry come back."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.registry import apart
from harness.registry.apart import Unanswered, read_apart
from harness.registry.declaration import Variant


def test_records_come_back_as_they_were() -> None:
    """A declaration is the same on this side."""
    sent = [Variant("a", {"x": 1.5}), Path("/somewhere"), {"names": ("b", None, True)}]
    assert read_apart(lambda: sent) == sent


def test_it_is_another_process() -> None:
    """What is changed there is not changed here."""
    assert read_apart(os.getpid) != os.getpid()


def test_it_may_write_into_no_file(tmp_path: Path) -> None:
    """Ten lines of a declaration change no database: it ends at the first one, and that is the reason."""
    database = tmp_path / "results.db"
    with contextlib.closing(sqlite3.connect(database)) as rows:
        rows.execute("create table runs (dice real)")
        rows.commit()

    def forge() -> int:
        try:
            with sqlite3.connect(database) as own:
                own.execute("insert into runs values (0.9)")
        except sqlite3.Error:  # and says nothing of it
            pass
        return 1

    with pytest.raises(Unanswered, match="as one does that forges rows"):
        read_apart(forge)
    with pytest.raises(Unanswered, match="as one does that forges rows"):
        read_apart(lambda: (tmp_path / "new").write_text("x"))
    with contextlib.closing(sqlite3.connect(database)) as rows:
        assert rows.execute("select count(*) from runs").fetchone() == (0,)


def test_what_it_prints_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where standard error is a file, into which it may not write; more than a pipe holds is no obstacle."""

    def tell() -> None:
        sys.stdout.write("x" * 100_000)
        subprocess.run(["/bin/echo", "told"], check=True)

    assert read_apart(tell) is None
    told = capsys.readouterr()
    assert told.out == ""
    assert "told" in told.err
    assert told.err.count("x") == 100_000


class Own:
    """A class that is not the registry's."""


@pytest.mark.parametrize("answer", [Own(), Own, os.system, time.sleep])
def test_nothing_else_is_accepted(answer: object) -> None:
    """Reading another's class or function could run its code here."""
    with pytest.raises(Unanswered, match="use the classes of `harness`"):
        read_apart(lambda: answer)


def test_a_large_answer_is_whole() -> None:
    """More than a pipe holds at once."""
    assert len(read_apart(lambda: "x" * 10**6)) == 10**6


def test_one_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time it is killed, and that is the reason."""
    monkeypatch.setattr(apart, "LIMIT_S", 0.3)
    began = time.monotonic()
    with pytest.raises(Unanswered, match="did not end within"):
        read_apart(lambda: time.sleep(60))
    assert time.monotonic() - began < 10
