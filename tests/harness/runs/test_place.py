"""What a host offers is found there, and folders are known by who owns them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError
from harness.host.capacity import usable_cores, usable_memory
from harness.runs import place as places
from harness.runs.place import abandoned, node, own_folder, sweep, take_place


def test_the_name_of_a_host_can_stand_in_a_file_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is; of a full name the first part."""
    for name, short in {"gpu-1.lab.org": "gpu-1", "a b/c_d": "a-b-c-d", "": "host", "x" * 90: "x" * 40}.items():
        monkeypatch.setattr(places.platform, "node", lambda name=name: name)
        assert node() == short


def test_a_folder_is_gone_with_its_context(tmp_path: Path) -> None:
    """It is closed to others, its owner can be read from its name, and while the owner lives nobody removes it."""
    with own_folder(tmp_path / "scratch", "run-0") as folder:
        assert oct(folder.stat().st_mode & 0o777) == "0o700"
        (folder / "deep").mkdir(mode=0o000)
        assert sweep(tmp_path / "scratch") == []
        assert not abandoned(folder.name)
    assert list((tmp_path / "scratch").iterdir()) == []


def _of_a_dead_process(scratch: Path) -> Path:
    program = (
        "import os, sys; from pathlib import Path; from harness.runs.place import own_folder\n"
        "with own_folder(Path(sys.argv[1]), 'run-0') as folder: os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", program, scratch], check=False)
    (folder,) = scratch.iterdir()
    return folder


@pytest.mark.costly
def test_a_dead_owner_is_seen_from_its_own_host_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another host of the same share, or in another PID namespace, the process cannot be seen: it may live."""
    folder = _of_a_dead_process(tmp_path)
    for name in ("elsewhere", f"elsewhere.{'0' * 12}.1.1.x.0", "x.y.z"):
        (tmp_path / name).mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(places, "node", lambda: "another-host")
        assert sweep(tmp_path) == []
    with monkeypatch.context() as patch:
        patch.setattr(places, "pid_namespace", lambda: "pid:[1]")
        assert sweep(tmp_path) == []
    assert sweep(tmp_path) == [folder.name]
    assert len(list(tmp_path.iterdir())) == 3


def test_what_cannot_be_known_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc shows no start of the owner, its number may be anybody's."""
    monkeypatch.setattr(places, "process_start", lambda _: "")
    with own_folder(tmp_path, "x") as folder:
        monkeypatch.setattr(places, "owner_lives", lambda _: False)
        assert not abandoned(folder.name)


def test_a_place_is_taken_on_the_host_that_runs(tmp_path: Path) -> None:
    """With what it has; the deadline is on its own clock."""
    with take_place("local", tmp_path / "scratch", deadline_s=30) as place:
        assert place.engine.name == "local"
        assert (place.node, place.cores, place.memory_bytes) == (node(), usable_cores(), usable_memory())
        assert place.gpu_ids == ()
        assert place.deadline is not None
        assert 25 < place.deadline - time.monotonic() <= 30
        assert re.fullmatch("scratch", place.scratch.name)


def test_a_host_without_the_gpus_is_no_place(tmp_path: Path) -> None:
    """What it lacks is told there."""
    with pytest.raises(PrerequisiteError, match="1 GPU requested"), take_place("local", tmp_path, gpus=1):
        pass
