"""GPUs are leased to one process at a time, and a lease ends with its process, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.engines import gpus, nvidia

ROOT = Path(__file__).resolve().parents[2]

HOLDER = """
import sys
from harness.engines.gpus import lease
with lease(int(sys.argv[1]), tuple(sys.argv[2:]), wait_s=0) as held:
    print(*[gpu.id for gpu in held], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts a process which leases GPUs and holds them until its input ends."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    names = [f"GPU-lease-test-{os.getpid()}-{n}" for n in range(3)]
    tool.write_text("#!/bin/sh\n" + "".join(f"echo '{n}, {gpu}, Stand-in, 8192'\n" for n, gpu in enumerate(names)))
    tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tool.parent}:{os.environ['PATH']}"}

    begun: list[subprocess.Popen[str]] = []

    def begin(count: int, *ids: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(count), *(names[n] for n in ids)],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        begun.append(process)
        return process

    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _held(process: subprocess.Popen[str]) -> list[int]:
    """Return the numbers of the GPUs that a process got."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return [int(gpu.rpartition("-")[2]) for gpu in line.split()]


def _end(process: subprocess.Popen[str]) -> str:
    return process.communicate("", timeout=30)[1]


def test_no_gpu_is_leased_twice(
    start: Callable[..., subprocess.Popen[str]], record_property: Callable[[str, object], None]
) -> None:
    """Two processes get different GPUs; a third that asks for more than are left is refused."""
    record_property("fault", "gpu leases of three processes")
    first, second = start(1), start(1)
    held = _held(first) + _held(second)
    third = start(2)
    said = _end(third)
    assert third.returncode == 1
    assert "2 GPUs requested, 1 free" in said
    assert len(set(held)) == 2
    for process in (first, second):
        _end(process)
    record_property("outcome", f"{held[0]} and {held[1]}; the third is refused")


def test_named_gpu_is_exclusive(start: Callable[..., subprocess.Popen[str]]) -> None:
    """A GPU asked for by its id is given to one process only, and to the next when that ends."""
    first = start(0, 2)
    assert _held(first) == [2]
    second = start(0, 2)
    assert "0 free" in _end(second)
    _end(first)
    third = start(0, 2)
    assert _held(third) == [2]
    _end(third)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_lease_ends_with_its_process(
    number: signal.Signals,
    start: Callable[..., subprocess.Popen[str]],
    record_property: Callable[[str, object], None],
) -> None:
    """A killed process holds nothing any more."""
    record_property("fault", f"gpu lease of a process ended by {number.name}")
    first = start(3)
    assert _held(first) == [0, 1, 2]
    first.send_signal(number)
    first.communicate(timeout=30)
    second = start(3)
    assert _held(second) == [0, 1, 2]
    _end(second)
    record_property("outcome", "free at once")


def test_users_share_the_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that another user has leased is taken, not forbidden; one given back is free for everybody."""
    if os.getuid() != 0:
        pytest.skip("becoming another user needs root")
    for parent in [tmp_path, *list(tmp_path.parents)[:3]]:
        parent.chmod(parent.stat().st_mode | 0o111)
    monkeypatch.setattr(gpus, "_LEASES", tmp_path / "leases")
    found = tuple(nvidia.Gpu(f"GPU-{n}", "Stand-in", 1) for n in range(2))
    monkeypatch.setattr(gpus, "ask_driver", lambda: nvidia.Driver(found))

    def held_by_another_user() -> str:
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.setuid(12345)
            try:
                with gpus.lease(2) as found:
                    said = " ".join(gpu.id for gpu in found)
            except BaseException as error:  # noqa: BLE001 - told to the parent
                said = f"{type(error).__name__}: {error}"
            os.write(writing, said.encode())
            os._exit(0)
        os.wait()
        return os.read(reading, 1000).decode()

    with gpus.lease(1):
        assert held_by_another_user() == "PrerequisiteError: 2 GPUs requested, 1 free: other runs hold the others"
    assert held_by_another_user() == "GPU-0 GPU-1"
