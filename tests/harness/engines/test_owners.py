"""The owner of a container is judged only where its process could be seen; elsewhere nothing is known of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engines import owners
from harness.engines.owners import own_labels, owner_lives, renew
from harness.images.identity import LABEL


@pytest.fixture
def ours() -> dict[str, str]:
    """Return the labels of a container of this process."""
    return dict(own_labels("run"))


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that waits for the end of its input."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as found:
        yield found


def test_this_process_lives(ours: dict[str, str]) -> None:
    """A harness sees itself."""
    assert owner_lives(ours) is True


def test_a_process_that_ended_is_dead(ours: dict[str, str], child: subprocess.Popen[bytes]) -> None:
    """A process of this namespace that is gone is dead; so is one whose exit status was never read (a zombie)."""
    ours |= {f"{LABEL}.pid": str(child.pid), f"{LABEL}.start": owners.process_start(child.pid)}
    assert owner_lives(ours) is True
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owner_lives(ours) is False, "a zombie"
    child.wait()
    assert owner_lives(ours) is False, "gone"


def test_a_number_that_was_given_again_is_another_process(ours: dict[str, str]) -> None:
    """The same number with another start is not the owner."""
    assert owner_lives(ours | {f"{LABEL}.start": "1"}) is False


@pytest.mark.parametrize("key", ["boot", "pidns"])
@pytest.mark.parametrize("value", ["another", ""])
def test_nothing_is_known_of_what_cannot_be_seen(ours: dict[str, str], key: str, value: str) -> None:
    """On another host, in another PID namespace, or where a label is missing, a process is neither alive nor dead."""
    dead = ours | {f"{LABEL}.pid": "1", f"{LABEL}.start": "1"}
    assert owner_lives(dead | {f"{LABEL}.{key}": value}) is None


def test_a_container_of_an_earlier_version_has_an_unknown_owner(ours: dict[str, str]) -> None:
    """Labels without the namespace say nothing of their owner."""
    del ours[f"{LABEL}.pidns"]
    assert owner_lives(ours) is None


def test_a_process_that_proc_hides_is_not_dead(ours: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With `hidepid` the processes of other users are not shown; one that exists may be the owner."""
    monkeypatch.setattr(owners, "_state_and_start", lambda _: None)

    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert owner_lives(ours) is None


def test_a_namespace_without_its_own_proc_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc shows another namespace's numbers, no process may be looked up in it."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert owners.pid_namespace() == ""


def test_a_lease_is_renewed(tmp_path: Path) -> None:
    """Renewing changes the time of the job's file; a folder that is gone does no harm."""
    (tmp_path / owners.LEASE).touch()
    os.utime(tmp_path / owners.LEASE, (0, 0))
    renew(tmp_path)
    assert (tmp_path / owners.LEASE).stat().st_mtime > 0
    renew(tmp_path / "gone")
