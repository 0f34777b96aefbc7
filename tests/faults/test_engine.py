"""An engine of the tests' own: restarted in the middle of a run, and asked for GPUs that are not there."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import BASE_TAG

if TYPE_CHECKING:
    from tests.conftest import Bench
    from tests.faults.conftest import OwnEngine, Setting

pytestmark = pytest.mark.docker

GPUS = {"GPU-aaaa": "First", "GPU-bbbb": "Second", "GPU-cccc": "Third"}

PLUGIN = Path(__file__).resolve().parents[1] / "e2e" / "plugins" / "tells_gpus"


@pytest.fixture
def tells_gpus(tmp_path: Path) -> Path:
    """Copy the plugin that prints the GPUs it was given: a test may change it."""
    return shutil.copytree(PLUGIN, tmp_path / "tells_gpus")


@pytest.fixture
def three_gpus(tmp_path: Path, bench: Bench) -> Bench:
    """Return the command line on a machine whose driver reports three GPUs, with its own leases."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    rows = "".join(f"{n}, {gpu}, {name}, 8192\\n" for n, (gpu, name) in enumerate(GPUS.items()))
    tool.write_text(f"#!/bin/sh\nprintf '{rows}'\n")
    tool.chmod(0o755)
    bench.environment["PATH"] = f"{tool.parent}:{bench.environment['PATH']}"
    return bench


NOISE = """
import numpy as np
from groundbench_sdk import Adapter


class Tells(Adapter):
    def load(self, job):
        self.before = 0

    def predict(self, case):
        self.before += 1
        if self.before > 2:
            raise OSError("no space left on device")
        for finding in case.findings:
            yield finding.id, np.random.random(case.shape) < 0.5
"""


def test_rows_do_not_depend_on_the_number_of_gpus(
    own_engine: OwnEngine, three_gpus: Bench, tells_gpus: Path, make_dataset: Callable[..., Path]
) -> None:
    """Noise, from a container that fails after two cases: the same masks and scores from one shard as from three."""
    (tells_gpus / "adapter.py").write_text(NOISE)
    three_gpus.environment["DOCKER_HOST"] = own_engine.host
    command = ("run", "--plugin", "tells-gpus", "--plugin-dir", tells_gpus, "--dataset", make_dataset(5))
    rows = []
    for gpus in (1, 3):
        run = three_gpus.json(*command, "--engine", "docker", "--gpus", gpus, "--fresh")
        assert run["coverage"]["ok"] == run["n_findings"] == 10
        shown = three_gpus.json("results", "show", run["run"])
        rows.append([(row["case_id"], row["dice"], row["mask_sha256"]) for row in shown["findings"]])
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((), [{"devices": ["cpu"], "NVIDIA_VISIBLE_DEVICES": "void"}]),
        (("--gpus", 1), [{"devices": ["cuda:0"], "NVIDIA_VISIBLE_DEVICES": "GPU-aaaa"}]),
        (("--gpu-ids", "GPU-cccc"), [{"devices": ["cuda:0"], "NVIDIA_VISIBLE_DEVICES": "GPU-cccc"}]),
        (
            ("--gpus", 2),
            [
                {"devices": ["cuda:0"], "NVIDIA_VISIBLE_DEVICES": "GPU-aaaa"},
                {"devices": ["cuda:0"], "NVIDIA_VISIBLE_DEVICES": "GPU-bbbb"},
            ],
        ),
    ],
    ids=["none", "one", "named", "two"],
)
def test_gpus_reach_the_container(
    asked: tuple[object, ...],
    expected: list[dict[str, Any]],
    own_engine: OwnEngine,
    three_gpus: Bench,
    tells_gpus: Path,
    make_dataset: Callable[..., Path],
    record_property: Callable[[str, object], None],
) -> None:
    """Each container sees exactly the GPUs leased for it, by id; without GPUs none, whatever its image says."""
    record_property("fault", f"gpus asked: {' '.join(map(str, asked)) or 'none'}")
    three_gpus.environment["DOCKER_HOST"] = own_engine.host
    run = three_gpus.json(
        "run", "--plugin", "tells-gpus", "--plugin-dir", tells_gpus, "--dataset", make_dataset(2),
        "--engine", "docker", *asked,
    )  # fmt: skip
    assert run["coverage"] == {"ok": 4}
    logs = sorted((three_gpus.home / "runs" / run["run"] / "logs").iterdir())
    lines = [line for log in logs for line in log.read_text().splitlines() if line.startswith("SEEN ")]
    seen = [json.loads(line.removeprefix("SEEN ")) for line in lines]
    for one in seen:
        assert one.pop("NVIDIA_DRIVER_CAPABILITIES", "compute,utility") in ("compute,utility", "utility,compute")
    assert seen == expected
    record_property("outcome", "; ".join(f"{one['devices']} is {one['NVIDIA_VISIBLE_DEVICES']}" for one in seen))


@pytest.mark.parametrize(
    ("devices", "verdict", "words"),
    [(True, "ok", "a container can use a GPU"), (False, "failed", "there is no /dev/nvidiactl")],
    ids=["toolkit", "request ignored"],
)
def test_doctor_tries_a_container_with_a_gpu(
    *,
    devices: bool,
    verdict: str,
    words: str,
    own_engine: OwnEngine,
    three_gpus: Bench,
    record_property: Callable[[str, object], None],
) -> None:
    """A tiny container is started with a GPU and looks for it: an engine that ignores the request is a failure."""
    record_property("fault", f"doctor, {'GPU in the container' if devices else 'engine that ignores GPUs'}")
    three_gpus.environment |= {"DOCKER_HOST": own_engine.host, "BENCH_BASE_IMAGE": BASE_TAG}
    plain = own_engine.hook.read_text()
    try:
        if not devices:
            own_engine.hook.write_text("#!/bin/sh\ncat >/dev/null\n")
        checks = three_gpus.json("doctor", code=0 if devices else 3)["checks"]
    finally:
        own_engine.hook.write_text(plain)
    (check,) = [check for check in checks if (check["group"], check["name"]) == ("GPU", "container")]
    assert check["verdict"] == verdict, check
    assert words in check["found"]
    assert devices or "Container Toolkit" in check["fix"]
    assert not subprocess.run(
        ["docker", "-H", own_engine.host, "ps", "-aq", "--filter", "label=org.groundbench.run=trial"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    record_property("outcome", f"{verdict}: {check['found'][:90]}")


def test_one_training_container_gets_all_gpus(
    own_engine: OwnEngine,
    three_gpus: Bench,
    tmp_path: Path,
    splits_writer: Callable[..., Path],
    record_property: Callable[[str, object], None],
) -> None:
    """Fine-tuning takes one container with every leased GPU; predicting then takes one container a GPU."""
    record_property("fault", "gpus asked by a fine-tuned variant: --gpus 2")
    three_gpus.environment["DOCKER_HOST"] = own_engine.host
    learner = Path(__file__).resolve().parents[1] / "e2e" / "plugins" / "learner"
    three_gpus(
        "run", "--plugin", "learner", "--plugin-dir", learner, "--variant", "none", "--engine", "docker",
        "--dataset", splits_writer(tmp_path / "data"), "--gpus", 2,
    )  # fmt: skip
    (training,) = (three_gpus.home / "checkpoints").iterdir()
    trained = _seen(training / "logs")
    assert trained == [(["cuda:0", "cuda:1"], "GPU-aaaa,GPU-bbbb")]
    (run,) = (three_gpus.home / "runs").iterdir()
    assert sorted(_seen(run / "logs")) == [(["cuda:0"], "GPU-aaaa"), (["cuda:0"], "GPU-bbbb")]
    record = json.loads((training / "record.json").read_text())
    assert record["gpus"] == 2
    assert [gpu["id"] for gpu in record["hardware"]["gpus"]] == ["GPU-aaaa", "GPU-bbbb"]
    record_property("outcome", "one container with both, then one each")


def _seen(logs: Path) -> list[tuple[list[str], str]]:
    """Return devices and visible GPUs that each container of the learner printed."""
    found = []
    for log in sorted(logs.iterdir()):
        said = dict(line.split(" ", 1) for line in log.read_text().splitlines() if line[:4] in ("SEEN", "ENVI"))
        devices = json.loads(said["SEEN"])["devices"]
        found.append((devices, json.loads(said["ENVIRONMENT"])["NVIDIA_VISIBLE_DEVICES"]))
    return found


def test_engine_is_restarted(
    own_engine: OwnEngine,
    settings: Callable[[str], Setting],
    bench: Bench,
    record_property: Callable[[str, object], None],
) -> None:
    """The engine goes away in the middle of a run and comes back: exit 3 or 0, then the same digits, nothing left."""
    record_property("fault", "engine restarted")
    setting = settings("docker")
    bench.environment["DOCKER_HOST"] = own_engine.host
    process = bench.popen(*setting.command)
    assert process.stderr is not None
    for line in process.stderr:
        if "1/5" in line:
            break
    own_engine.stop()
    own_engine.start()
    _, said = process.communicate(timeout=120)
    assert process.returncode in (0, 3), said
    assert "Traceback" not in said, said
    document, shown = setting.finish(bench)
    assert setting.same(document), shown
    assert setting.strays(bench, document["run"]) == []
    record_property("outcome", f"exit {process.returncode}, then the same digits")
