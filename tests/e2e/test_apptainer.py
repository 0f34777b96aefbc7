"""Apptainer's engine from an exported image to a row, against a stand-in: known answers are exact, the rest refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_podman import DRIVER

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def archives(base_image: str, new_bench: Callable[[Path], Bench], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the images of two known answers once."""
    assert base_image
    folder = tmp_path_factory.mktemp("exported")
    new_bench(folder / "home")(
        "images", "export", "--plugin", "oracle,shifted", "--engine", "docker", folder / "images"
    )
    return folder / "images"


@pytest.fixture
def there(bench: Bench, apptainer: Path) -> Bench:
    """Return the command line of a user of a cluster: Apptainer, and no daemon."""
    bench.environment["PATH"] = f"{apptainer}:{bench.environment['PATH']}"
    return bench


def _import(bench: Bench, archives: Path, plugin: str) -> str:
    return bench("images", "import", "--plugin", plugin, "--engine", "apptainer", archives).stderr


def _shown(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = bench.json("results", "show", bench.json("results", "list")["runs"][-1]["id"])
    return found


def test_known_answers_are_exact(there: Bench, archives: Path, make_dataset: Callable[..., Path]) -> None:
    """The oracle scores 1, a shifted truth the very masks that it has on Docker; the second import does nothing."""
    data = make_dataset(2)
    for plugin in ("oracle", "shifted"):
        assert "making" in _import(there, archives, plugin)
        assert _import(there, archives, plugin) == ""
        there("run", "--plugin", plugin, "--dataset", data, "--engine", "apptainer")
        here = _shown(there)
        assert (here["engine"], here["record"]["engine"]["engine"]) == ("apptainer", "apptainer")
        assert here["record"]["engine"]["without"]
        assert not any("less than sealed" in reason for reason in here["unrankable"]), "root can limit everything"
        assert here["timing"]["peak_container_bytes"] > 10 * 2**20
        dice = [finding["dice"] for finding in here["findings"]]
        assert (set(dice) == {1.0}) == (plugin == "oracle")
    there("run", "--plugin", "shifted", "--dataset", data, "--engine", "docker", "--fresh")
    on_docker = _shown(there)
    assert on_docker["engine"] == "docker"
    assert [finding["mask_sha256"] for finding in on_docker["findings"]] == [
        finding["mask_sha256"] for finding in here["findings"]
    ]


def test_what_was_not_imported_is_refused(
    there: Bench, archives: Path, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """No image, an image of another model, an archive that was damaged: nothing is recorded."""
    command = ["run", "--plugin", "oracle", "--dataset", make_dataset(1), "--engine", "apptainer"]
    assert "does not build any" in there(*command, code=3).stderr
    refused = there("images", "import", "--plugin", "rules", "--engine", "apptainer", archives, code=4)
    assert "does not contain an image of 'rules'" in refused.stderr
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in archives.glob("oracle-*"):
        (damaged / path.name).write_bytes(path.read_bytes()[: 10**6])
    assert "its record says" in there(
        "images", "import", "--plugin", "oracle", "--engine", "apptainer", damaged, code=4
    ).stderr  # fmt: skip
    assert list((there.home / "images").glob("*.sif")) == []
    assert there.json("results", "list")["runs"] == []


def test_gpus_that_a_container_does_not_see_are_refused(
    there: Bench, archives: Path, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """The driver lists a GPU, and the container has none: the trial before a run notices."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(DRIVER)
    tool.chmod(0o755)
    there.environment["PATH"] = f"{tool.parent}:{there.environment['PATH']}"
    _import(there, archives, "oracle")
    ended = there(
        "run", "--plugin", "oracle", "--dataset", make_dataset(1), "--engine", "apptainer", "--gpus", 1, code=3
    )
    assert "did not add a GPU" in ended.stderr
    assert there.json("results", "list")["runs"] == []
