"""`bench doctor` finds what is wrong and says how to fix it; `bench clean` removes what is left over, nothing else."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.cli import cli
from harness.errors import PrerequisiteError
from harness.host.capacity import usable_memory

if TYPE_CHECKING:
    from conftest import Bench

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture
def alone(bench: Bench) -> Bench:
    """Return a command line for which no daemon answers."""
    bench.environment["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    return bench


def test_doctor_says_what_to_do(alone: Bench) -> None:
    """Every line that is not ok has a fix; a daemon that is named and does not answer fails."""
    checks = alone.json("doctor", code=3)["checks"]
    assert {check["group"] for check in checks} >= {"machine", "home", "GPU", "plugins"}
    assert {check["name"] for check in checks} >= {"groundbench", "Python", "system"}, "what a report needs"
    assert all(check["fix"] for check in checks if check["verdict"] != "ok")
    assert "fix: " in alone("doctor", code=3).stdout


@pytest.mark.docker
def test_doctor_looks_at_the_engine(base_image: str, bench: Bench) -> None:
    """The daemon, its limits, its filter, the base image, a container that is tried out and strays are each a line."""
    checks = {check["name"]: check for check in bench.json("doctor")["checks"] if check["group"] == "engine"}
    known = {"docker", "runc", "git", "nvidia-container-toolkit"}  # versions, of which not each host has all
    assert set(checks) - known == {"daemon", "limits", "seccomp", "walls", "base image", "container", "strays"}
    assert checks["git"]["found"][0].isdigit()
    assert all(told in checks["walls"]["found"] for told in ("seccomp on", "cgroup v", "user namespaces", "runtime"))
    assert checks["container"]["verdict"] == "ok"
    assert checks["limits"]["verdict"] == checks["seccomp"]["verdict"] == "ok"


def test_doctor_fails_on_a_broken_plugin(alone: Bench) -> None:
    """A broken plugin is a failed check with its reason, and the exit code is 3."""
    result = alone("doctor", "--plugin-dir", PLUGINS / "missing_module", code=3)
    assert "a_module_that_is_not_installed" in result.stdout
    assert "missing-module" in result.stderr


def test_doctor_names_what_was_not_fetched(alone: Bench, tmp_path: Path) -> None:
    """Sources and weights that are declared but not downloaded are one warning that says which command brings them."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "Dockerfile").touch()
    (folder / "__init__.py").write_text(
        "from pathlib import Path\n"
        "from harness import Model, Source, Weights, hookimpl\n\n\n"
        "@hookimpl\n"
        "def bench_models():\n"
        "    return [Model(name='bare', title='Bare', summary='Needs all.', version='1', root=Path(__file__).parent,\n"
        "                  sources=(Source('code', 'https://example.org/a', '1' * 40, 'MIT', '2' * 40),),\n"
        "                  weights=(Weights('a.bin', 'owner/name', 'a.bin', '', '', 0, 'MIT'),))]\n"
    )
    checks = alone.json("doctor", "--plugin-dir", folder, code=3)["checks"]
    (row,) = [check for check in checks if check["name"] == "bare"]
    assert (row["verdict"], row["found"]) == ("warning", "missing: upstream code (code) and weights (a.bin)")
    assert row["fix"] == "`bench get --plugin bare`"


def test_doctor_without_a_daemon(alone: Bench) -> None:
    """A daemon that is named and is not there fails, with the place and the way out."""
    (daemon,) = [check for check in alone.json("doctor", code=3)["checks"] if check["name"] == "daemon"]
    assert daemon["verdict"] == "failed"
    assert "unix:///nonexistent/docker.sock (named by DOCKER_HOST)" in daemon["found"]
    assert "start Docker" in daemon["fix"]


@pytest.mark.docker
@pytest.mark.alone
def test_clean_removes_a_stray_and_only_that(base_image: str, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """The container and the scratch folder of a killed run go; its results and masks stay."""
    command = (
        "run", "--plugin", "misbehaving", "--variant", "slower", "--plugin-dir", PLUGINS / "misbehaving",
        "--dataset", make_dataset(6), "--engine", "docker",
    )  # fmt: skip
    process = bench.popen(*command)
    assert process.stderr is not None
    for line in process.stderr:
        if "1/6" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    would = bench.json("clean", "--dry-run")
    assert would["removed"] is False
    (stray,) = [name for name in would["containers"] if "misbehaving-slower" in name]
    assert would["folders"]
    removed = bench.json("clean", "--yes")
    assert stray in removed["containers"]
    assert bench.json("clean", "--dry-run")["folders"] == []
    assert bench.json("results", "list")["runs"][0]["state"] == "interrupted"
    assert list((bench.home / "runs").glob("*/masks/*/*.nii.gz"))


@pytest.mark.docker
def test_clean_leaves_a_live_run_alone(base_image: str, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """What a running harness uses is not touched."""
    process = bench.popen(
        "run", "--plugin", "misbehaving", "--variant", "slower", "--plugin-dir", PLUGINS / "misbehaving",
        "--dataset", make_dataset(4), "--engine", "docker",
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "1/4" in line:
            break
    assert bench.json("clean", "--yes")["folders"] == []
    process.communicate(timeout=120)
    assert process.returncode == 0


def test_clean_takes_only_what_was_left_behind(bench: Bench) -> None:
    """What was half made a day ago goes; what is being made, and what a training can go on from, stays."""
    bench.environment["DOCKER_HOST"] = "unix:///nowhere.sock"
    left = ["sources/.partial-a", "weights/.partial-b", "wheels/.partial-c", "images/.partial-d"]
    left += ["datasets/.phantom.d.partial"]
    kept = [f"{name}2" for name in left[:4]] + [
        "datasets/.phantom.e.partial", "datasets/phantom", "weights/partial", "checkpoints/k/checkpoint",
        "checkpoints/k/state", "checkpoints/k/container/out/state", "checkpoints/k/logs", "runs/r/masks",
    ]  # fmt: skip
    for name in (*left, *kept):
        (bench.home / name).mkdir(parents=True)
        (bench.home / name / "file").touch()
    for name in left:
        os.utime(bench.home / name, (0, 0))
    assert bench.json("clean", "--dry-run")["folders"] == [str(bench.home / name) for name in sorted(left)]
    bench("clean", "--yes")
    assert [name for name in left if (bench.home / name).exists()] == []
    assert [name for name in kept if not (bench.home / name / "file").exists()] == []
    assert "nothing to remove" in bench("clean", "--yes").stdout


def test_clean_spares_a_run_that_began_while_it_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was listed is looked at again after the answer, which may have taken long."""

    def no_engine() -> None:
        raise PrerequisiteError("no daemon")

    monkeypatch.setattr("harness.engines.answering_engine", no_engine)
    runs = tmp_path / "home" / "runs"
    for name in ("dead", "resumed"):
        (runs / name / "shards" / "0-1").mkdir(parents=True)
        (runs / name / "lock").touch()
    with (runs / "resumed" / "lock").open("rb") as held:
        monkeypatch.setattr("click.confirm", lambda *_, **__: fcntl.flock(held, fcntl.LOCK_EX))
        cli.main(["--home", str(tmp_path / "home"), "clean"], standalone_mode=False)
    assert not (runs / "dead" / "shards" / "0-1").exists()
    assert (runs / "resumed" / "shards" / "0-1").exists()


def test_too_little_memory_is_said_before(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """A model that declares more memory than the machine has is refused with both numbers."""
    folder = tmp_path / "greedy"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "__init__.py").write_text(
        "from pathlib import Path\n"
        "from harness import Model, Resources, hookimpl\n\n\n"
        "@hookimpl\n"
        "def bench_models():\n"
        "    return [Model(name='greedy', title='Greedy', summary='Wants all.', version='1',\n"
        "                  root=Path(__file__).parent, adapter='adapter:A',\n"
        "                  resources=Resources(memory_gb=10**5))]\n"
    )
    began = time.monotonic()
    refused = bench(
        "run", "--plugin", "greedy", "--plugin-dir", folder, "--dataset", make_dataset(1), "--engine", "local", code=3
    )
    assert "memory_gb = 100000" in refused.stderr
    assert f"{usable_memory() / 1e9:.1f} GB" in refused.stderr
    assert time.monotonic() - began < 30
