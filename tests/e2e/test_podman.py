"""Podman's own service: the same answers as Docker's, its limits heeded, and what it would ignore refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = pytest.mark.docker

#: A driver with one GPU.
DRIVER = """#!/bin/sh
case "$*" in
  *query-gpu*) echo '0, GPU-11111111-aaaa-bbbb-cccc-000000000000, NVIDIA A100, 40960, 40500, 535.104.05';;
  -L) echo 'GPU 0: NVIDIA A100 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000000)';;
  *) echo '| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2 |';;
esac
"""

MISBEHAVING = Path(__file__).parent / "plugins" / "misbehaving"


@pytest.fixture
def there(bench: Bench, podman: str) -> Bench:
    """Return the command line of a user whose engine is Podman."""
    bench.environment["CONTAINER_HOST"] = podman
    return bench


def test_an_image_goes_to_podman_and_answers_as_it_does_on_docker(
    there: Bench, podman: str, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """Exported, imported twice, found again, run: the same masks, and a row that names its engine."""
    data, archives = make_dataset(2), tmp_path / "images"
    export = ["images", "export", "--plugin", "shifted", "--engine", "docker", archives]
    (exported,) = there.json(*export)["images"]
    written = (archives / Path(exported["archive"]).name).stat().st_mtime_ns
    assert there.json(*export)["images"] == [exported]
    assert (archives / Path(exported["archive"]).name).stat().st_mtime_ns == written, "an archive that is there is kept"
    first = there("images", "import", "--plugin", "shifted", "--engine", "podman", archives)
    second = there("images", "import", "--plugin", "shifted", "--engine", "podman", archives)
    assert ("loading" in first.stderr, "loading" in second.stderr) == (True, False)
    command = ["run", "--plugin", "shifted", "--dataset", data, "--engine"]
    ran = there(*command, "podman", "--json")
    assert "building" not in ran.stderr
    here = _shown(there)
    assert here["engine"] == "podman"
    assert here["record"]["engine"]["engine"] == "podman"
    assert here["image"] == exported["config"]
    assert not any("engine" in reason for reason in here["unrankable"])
    assert here["timing"]["peak_container_bytes"] > 10 * 2**20
    _name_it_otherwise(podman, exported["config"])
    assert "building" not in there(*command, "podman", "--fresh").stderr
    there(*command, "docker", "--fresh")
    assert _masks(_shown(there)) == _masks(here)
    assert all(_masks(here))


def _name_it_otherwise(address: str, image: str) -> None:
    """Take every name that groundbench gives from an image: only what it carries still says what it is."""
    import docker

    client = docker.DockerClient(base_url=address, version="auto", timeout=120)
    try:
        found = client.images.get(image)
        found.tag("localhost/elsewhere", "1")
        for tag in found.tags:
            client.images.remove(tag)
        assert client.images.get(image).tags == ["localhost/elsewhere:1"]
    finally:
        client.close()


def test_limits_hold_on_podman(there: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """A container over its memory is an oom, though Podman does not say so; its neighbours are unharmed."""
    patient = Path(shutil.copytree(MISBEHAVING, tmp_path / "misbehaving"))
    text = (patient / "__init__.py").read_text()
    (patient / "__init__.py").write_text(text.replace("case_minutes=2 / 60", "case_minutes=0.5"))
    for fault, status, words in (("memory", "oom", "memory_gb = 0.25"), ("segfault", "plugin_error", "SIGSEGV")):
        there(
            "run", "--plugin", "misbehaving", "--variant", fault, "--plugin-dir", patient,
            "--dataset", make_dataset(3, fault), "--engine", "podman",
        )  # fmt: skip
        cases = {case["case_id"]: case for case in _shown(there)["cases"]}
        assert cases["toy_2_a_1"]["status"] == status, cases["toy_2_a_1"]["reason"]
        assert words in cases["toy_2_a_1"]["reason"]
        assert cases["toy_1_a_1"]["status"] == cases["toy_3_a_1"]["status"] == "ok"


def test_a_request_for_gpus_is_refused(there: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """Podman 4 would ignore it without a word; nothing is recorded, and no image is built."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(DRIVER)
    tool.chmod(0o755)
    there.environment["PATH"] = f"{tool.parent}:{there.environment['PATH']}"
    ended = there("run", "--plugin", "oracle", "--dataset", make_dataset(1), "--engine", "podman", "--gpus", 1, code=3)
    assert "ignores requests for GPUs" in ended.stderr
    assert "building" not in ended.stderr
    assert there.json("results", "list")["runs"] == []


def _shown(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = bench.json("results", "show", bench.json("results", "list")["runs"][-1]["id"])
    return found


def _masks(shown: dict[str, Any]) -> list[str]:
    return [finding["mask_sha256"] for finding in shown["findings"]]
