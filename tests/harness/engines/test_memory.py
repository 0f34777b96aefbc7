"""A container's memory is read from its control group, of either version, for as long as that exists."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from harness.engines import memory
from harness.engines.memory import MemoryGroup

V1 = ("4:cpu,cpuacct:/other\n7:memory:/libpod_parent/libpod-1\n0::/libpod_parent/libpod-1\n", "memory/libpod_parent")
V2 = ("0::/machine.slice/libpod-1.scope/libpod-1\n", "machine.slice/libpod-1.scope")
FILES = {
    V1: ("memory.max_usage_in_bytes", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"),
    V2: ("memory.peak", "memory.events", "low 0\noom 7\noom_kill {}\noom_group_kill 9\n"),
}


@pytest.fixture(params=[V1, V2], ids=["v1", "v2"])
def group(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, str]:
    """Return the files of the group of process 7, and the text of the second."""
    text, place = request.param
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "cgroup").write_text(text)
    folder = tmp_path / "groups" / place / "libpod-1"
    folder.mkdir(parents=True)
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    peak, events, form = FILES[request.param]
    return folder / peak, folder / events, form


def test_peak_and_kills_are_read(group: tuple[Path, Path, str]) -> None:
    """Both grow; what was read last stays when the group is gone."""
    peak, events, form = group
    peak.write_text("1000\n")
    events.write_text(form.format(0))
    found = MemoryGroup(7)
    found.sample()
    assert (found.peak_bytes, found.kills) == (1000, 0)
    peak.write_text("5000\n")
    events.write_text(form.format(2))
    found.sample()
    shutil.rmtree(peak.parent)
    found.sample()
    assert (found.peak_bytes, found.kills) == (5000, 2)


def test_files_without_a_name_are_held(
    group: tuple[Path, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, however often it is open or mapped; those with a name, of another folder or disk do not count."""
    (group[0].parent / "cgroup.procs").write_text(f"{os.getpid()}\n")
    found, device = MemoryGroup(7), tmp_path.stat().st_dev
    monkeypatch.setattr(memory, "_PROC", Path("/proc"))
    monkeypatch.setattr(memory, "_OUT", f"{tmp_path}/out/")
    for folder in ("out", "in"):
        (tmp_path / folder).mkdir()
    with contextlib.ExitStack() as opened:
        files = [opened.enter_context((tmp_path / name).open("w+b")) for name in ("out/gone", "out/kept", "in/gone")]
        for file in files:
            file.write(bytes(2**20))
            file.flush()
        opened.enter_context((tmp_path / "out/gone").open())
        assert found.held_bytes(device) == 0
        for name in ("out/gone", "in/gone"):
            (tmp_path / name).unlink()
        assert found.held_bytes(device) == 2**20
        assert found.held_bytes(device + 1) == 0
    assert found.held_bytes(device) == 0


@pytest.mark.parametrize("pid", [0, -1, 8])
def test_nothing_is_known_without_a_process(pid: int, group: tuple[Path, Path, str]) -> None:
    """One that has ended, or that nobody knows: no figure, and none of another group."""
    group[0].write_text("1000\n")
    found = MemoryGroup(pid)
    found.sample()
    assert (found.peak_bytes, found.kills) == (None, 0)
