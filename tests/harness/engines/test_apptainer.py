"""What Apptainer is asked for, by its documentation: nothing of the host, no network, the limits that there are."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engines import apptainer as module
from harness.engines import choose_engine
from harness.engines.apptainer import ApptainerEngine, arguments, limited_controllers
from harness.engines.base import ContainerSpec, Mount
from harness.engines.gpus import lease
from harness.errors import PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin, discover
from harness.registry.resources import Resources

UUID = "GPU-11111111-aaaa-bbbb-cccc-00000000000"

#: A driver that lists two GPUs.
TWO = f"""
case "$*" in
  *query-gpu*)
    echo '0, {UUID}0, NVIDIA A100, 40960, 40500, 535.104.05'
    echo '1, {UUID}1, NVIDIA A100, 40960, 40500, 535.104.05';;
  *) echo 'CUDA Version: 12.2';;
esac
"""


@pytest.fixture
def spec(tmp_path: Path) -> ContainerSpec:
    """Return a container with one file of data."""
    plugin = Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(Variant("v"),)), "here")
    resources = Resources(memory_gb=2, cpus=1, pids=77)
    mounts = (Mount(Path("/data/a b,c:d.nii"), "ct/a.nii"),)
    image = Image("sha256:1", str(tmp_path / "m.sif"))
    return ContainerSpec("groundbench-x", plugin, image, tmp_path / "root", mounts, tmp_path / "log", resources)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program on PATH that tells a version only."""
    tool = tmp_path / "bin" / "apptainer"
    tool.parent.mkdir(exist_ok=True)
    tool.write_text("#!/bin/sh\necho apptainer version 1.3.4\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    return tool


def _given(spec: ContainerSpec, *, limited: tuple[str, ...] = ()) -> list[str]:
    return arguments(spec, Path(spec.image.tag), ["python", "-m", "x"], folder="/opt", limited=limited)


def _values(given: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(given) if name == option]


def test_a_container_is_sealed(spec: ContainerSpec) -> None:
    """No network, no home, no folder of the host, none of the administrator's mounts; the command comes last."""
    given = _given(spec)
    assert given[0] == "exec"
    assert given[-4:] == [spec.image.tag, "python", "-m", "x"]
    assert {"--containall", "--net", "--no-eval", "--no-umask"} <= set(given)
    assert "--writable" not in given
    assert _values(given, "--network") == ["none"]
    assert _values(given, "--no-mount") == ["bind-paths"]
    assert _values(given, "--hostname") == ["groundbench"]
    assert _values(given, "--pwd") == ["/opt"]
    assert _values(given, "--home") == [f"{spec.root}/home:/tmp"]
    assert _values(given, "--workdir") == [f"{spec.root}/work"]


def test_only_the_output_can_be_written(spec: ContainerSpec) -> None:
    """Every other mount is read-only; a path may hold what separates fields elsewhere."""
    mounts = [next(csv.reader([value])) for value in _values(_given(spec), "--mount")]
    assert mounts == [
        ["type=bind", f"source={spec.root}/job.json", "destination=/bench/job.json", "ro"],
        ["type=bind", f"source={spec.root}/cases.jsonl", "destination=/bench/cases.jsonl", "ro"],
        ["type=bind", "source=/data/a b,c:d.nii", "destination=/bench/ct/a.nii", "ro"],
        ["type=bind", f"source={spec.root}/out", "destination=/bench/out"],
    ]
    assert '"source=/data/a b,c:d.nii"' in " ".join(_given(spec)), "quoted, as in a file of comma-separated values"


def test_limits_are_those_that_can_be_set(spec: ContainerSpec) -> None:
    """Memory with its swap, processors, processes; an option that would fail is not given."""
    full = _given(spec, limited=("memory", "cpu", "pids"))
    assert _values(full, "--memory") == _values(full, "--memory-swap") == [str(spec.resources.memory_mb * 2**20)]
    assert _values(full, "--cpus") == ["1"]
    assert _values(full, "--pids-limit") == ["77"]
    none = _given(spec)
    assert not {"--memory", "--memory-swap", "--cpus", "--pids-limit"} & set(none)


@pytest.mark.parametrize(("uid", "expected"), [(0, ["uid:10001", "gid:10001"]), (1234, [])])
def test_nobody_is_root(uid: int, expected: list[str], spec: ContainerSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root gives another user to the container and drops every capability; others have none to begin with."""
    monkeypatch.setattr("os.getuid", lambda: uid)
    monkeypatch.setattr("harness.engines.base.leased_uid", lambda: 10001)
    given = _given(spec)
    assert _values(given, "--security") == expected
    assert _values(given, "--drop-caps") == (["all"] if uid == 0 else [])


def test_only_leased_gpus_are_named(spec: ContainerSpec) -> None:
    """By their UUIDs, to CUDA and to what adds the driver; without GPUs the driver is not mounted at all."""
    given = _given(replace(spec, gpu_ids=(f"{UUID}1",)))
    assert "--nv" in given
    assert {f"CUDA_VISIBLE_DEVICES={UUID}1", f"NVIDIA_VISIBLE_DEVICES={UUID}1"} <= set(_values(given, "--env"))
    without = _given(spec)
    assert "--nv" not in without
    assert "NVIDIA_VISIBLE_DEVICES=void" in _values(without, "--env")


def test_of_an_allocation_of_one_only_that_one_is_leased(
    driver: Callable[[str], Path], spec: ContainerSpec, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm gave GPU 1 of two: that one is in the container, and the row says that the other can be reached."""
    tool = driver(TWO)
    monkeypatch.setenv("PATH", f"{tool.parent}:{installed.parent}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_GPUS", "1")
    with lease(1) as gpus:
        ids = tuple(gpu.id for gpu in gpus)
    assert ids == (f"{UUID}1",)
    given = _given(replace(spec, gpu_ids=ids))
    assert [value for value in _values(given, "--env") if "VISIBLE" in value and f"{UUID}0" in value] == []
    assert "does not hide GPUs that were not leased" in ApptainerEngine().lacks(ids)
    assert "does not hide GPUs that were not leased" not in ApptainerEngine().lacks((f"{UUID}0", f"{UUID}1"))


ALL = {"memory/x": "", "cpu/x": "", "pids/x": ""}
OWN = "user.slice/user-1000.slice/user@1000.service/cgroup.controllers"


@pytest.mark.parametrize(
    ("uid", "files", "expected"),
    [
        (0, ALL, {"memory", "cpu", "pids"}),
        (0, {"memory/x": ""}, {"memory"}),
        (0, {"cgroup.controllers": "cpuset cpu io memory pids"}, {"memory", "cpu", "pids"}),
        (1000, ALL, set()),
        (1000, {"cgroup.controllers": "cpu memory pids", OWN: "memory pids"}, {"memory", "pids"}),
        (1000, {"cgroup.controllers": "cpu memory pids"}, set()),
    ],
    ids=["root-v1", "root-v1-memory", "root-v2", "user-v1", "user-v2", "user-v2-not-delegated"],
)
def test_who_can_limit_what(
    uid: int, files: dict[str, str], expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root with either version of control groups; others with the second, where systemd delegates to them."""
    _machine(files, uid, tmp_path, monkeypatch)
    assert limited_controllers("/bin/false") == expected


@pytest.mark.parametrize("lacking", ["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "systemd"])
def test_a_user_without_systemds_session_limits_nothing(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is in the jobs of many clusters."""
    _machine({"cgroup.controllers": "memory", OWN: "memory"}, 1000, tmp_path, monkeypatch)
    assert limited_controllers("/bin/false") == {"memory"}
    if lacking == "systemd":
        monkeypatch.setattr(module, "_SYSTEMD", tmp_path / "nowhere")
    else:
        monkeypatch.delenv(lacking)
    assert limited_controllers("/bin/false") == set()


@pytest.mark.parametrize(("says", "expected"), [("no", {"memory"}), ("yes", set()), ("", set())])
def test_without_systemd_the_configuration_decides(
    says: str, expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root on a machine without systemd: Apptainer makes control groups itself only if it is told to."""
    _machine({"memory/x": ""}, 0, tmp_path, monkeypatch)
    monkeypatch.setattr(module, "_SYSTEMD", tmp_path / "nowhere")
    program = tmp_path / "apptainer"
    program.write_text(f'#!/bin/sh\n[ "$*" = "config global --get systemd cgroups" ] && echo {says}\n')
    program.chmod(0o755)
    assert limited_controllers(str(program)) == expected


def _machine(files: dict[str, str], uid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "_GROUPS", tmp_path)
    monkeypatch.setattr(module, "_SYSTEMD", tmp_path)
    monkeypatch.setattr("os.getuid", lambda: uid)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")


def test_what_is_not_limited_is_said(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was made without limits is not ranked, and says which."""
    assert installed.exists()
    monkeypatch.setattr(module, "limited_controllers", lambda _: frozenset({"cpu"}))
    engine = ApptainerEngine()
    assert engine.lacks(()) == ["does not limit memory, processes"]
    assert not engine.limits_memory
    assert engine.describe()["version"] == "1.3.4"
    assert engine.describe()["without"]


def test_it_has_to_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on PATH, or not working: a missing prerequisite with what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="no `apptainer` on PATH") as refused:
        choose_engine("apptainer", trusted=True)
    assert "module load" in refused.value.fix
    (tmp_path / "apptainer").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "apptainer").chmod(0o755)
    with pytest.raises(PrerequisiteError, match="does not tell its version"):
        choose_engine("apptainer", trusted=True)


def test_nothing_is_built(installed: Path, tmp_path: Path) -> None:
    """An image that was not imported is refused, with the two commands that bring it."""
    assert installed.exists()
    with pytest.raises(PrerequisiteError, match="does not build any") as refused:
        ApptainerEngine().prepare(discover(()).get("oracle"), home=tmp_path, gpus=False, log=lambda _: None)
    assert "bench images export" in refused.value.fix
    assert "bench images import" in refused.value.fix


def test_an_image_that_somebody_removed_is_said(installed: Path, spec: ContainerSpec) -> None:
    """In the middle of a run: a missing prerequisite, not a traceback, not the model."""
    assert installed.exists()
    with pytest.raises(PrerequisiteError, match="somebody removed the image of 'm'"):
        ApptainerEngine().start(replace(spec, mounts=()))


@pytest.mark.parametrize(
    ("kills", "peak", "code", "ours", "oom"),
    [
        (1, 1, 3, False, True),
        (0, 2 * 10**12, 137, False, True),
        (0, 2 * 10**12, 1, False, False),
        (0, 1, 137, False, False),
        (0, 2 * 10**12, 137, True, False),
    ],
    ids=["counted", "at-its-limit", "ended-by-itself", "killed-below-it", "ended-by-us"],
)
def test_memory_is_told_by_evidence(kills: int, peak: int, code: int, *, ours: bool, oom: bool) -> None:
    """The kernel's count of the container's group; else a kill, not ours, with the peak at the limit."""
    container = object.__new__(module.ApptainerContainer)
    quiet = SimpleNamespace(kills=0, sample=lambda: None)
    state: dict[str, Any] = {
        "_memory": SimpleNamespace(kills=kills, peak_bytes=peak), "_around": quiet, "_kills": 0,
        "_limit_bytes": 10**12, "_ours": ours,
    }  # fmt: skip
    vars(container).update(state)
    assert container._judge(module.Exit(code)).oom is oom
