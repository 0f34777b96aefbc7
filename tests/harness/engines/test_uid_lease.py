"""Each process that runs containers as root has a user of its own, for as long as it lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.engines import uid_lease
from harness.errors import PrerequisiteError

HOLDS = (
    "import sys; from pathlib import Path; from harness.engines import uid_lease as u; "
    "u._folder = lambda: Path(sys.argv[1])"
)


def test_two_processes_have_two_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one lives the other gets the next; afterwards its own is free again."""
    monkeypatch.setattr(uid_lease, "_folder", lambda: tmp_path / "uids")
    code = f"{HOLDS}; print(u.leased_uid(), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "uids")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert int(other.stdout.readline()) == uid_lease.FIRST
        assert uid_lease.leased_uid() == uid_lease.leased_uid() == uid_lease.FIRST + 1
        other.communicate("")
    again = subprocess.run(
        [sys.executable, "-c", f"{HOLDS}; print(u.leased_uid())", str(tmp_path / "uids")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(again.stdout) == uid_lease.FIRST


def test_no_user_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all are taken, the run waits for a person's decision; a foreign folder of locks is not used."""
    monkeypatch.setattr(uid_lease, "MANY", 0)
    monkeypatch.setattr(uid_lease, "_folder", lambda: tmp_path / "none")
    with pytest.raises(PrerequisiteError, match="going on here"):
        uid_lease.leased_uid()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setattr(uid_lease, "_folder", lambda: tmp_path / "open")
    with pytest.raises(PrerequisiteError, match="only this user"):
        uid_lease.leased_uid()
