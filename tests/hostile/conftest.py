"""Runs the hostile model; a run that several tests look at happens once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Bench

PLUGIN = Path(__file__).parent / "plugins" / "hostile"


@dataclass
class Outcome:
    """One finished run of the hostile model."""

    bench: Bench
    shown: dict[str, Any]
    seconds: float
    lines: list[str] = field(default_factory=list)

    @property
    def cases(self) -> dict[str, dict[str, Any]]:
        """Cases by id."""
        return {case["case_id"]: case for case in self.shown["cases"]}

    @property
    def findings(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Findings by case and id."""
        return {(finding["case_id"], finding["finding"]): finding for finding in self.shown["findings"]}

    def said(self, word: str) -> list[str]:
        """Return what follows `word` at the beginning of the lines that the containers printed."""
        return [line.partition(" ")[2] for line in self.lines if line.startswith(f"{word} ")]


@pytest.fixture(scope="session")
def attack(
    base_image: str,
    new_bench: Callable[[Path], Bench],
    dataset_writer: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Outcome]:
    """Return a function that runs one attack and checks what must hold after every one of them."""
    datasets: dict[int, Path] = {}

    def run(
        variant: str, *, cases: int = 3, home: Path | None = None, engine: str = "docker", path: Path | None = None
    ) -> Outcome:
        if cases not in datasets:
            datasets[cases] = dataset_writer(tmp_path_factory.mktemp("data") / "toy", cases)
        bench = new_bench(home or tmp_path_factory.mktemp(variant) / "home")
        if path is not None:
            bench.environment["PATH"] = f"{path}:{bench.environment['PATH']}"
        command = ["--plugin", "hostile", "--variant", variant, "--plugin-dir", PLUGIN, "--dataset", datasets[cases]]
        began = time.monotonic()
        ended = bench.popen("run", *command, "--engine", engine, "--json")
        out, err = ended.communicate(timeout=300)
        seconds = time.monotonic() - began
        assert ended.returncode in (0, 1), err
        assert "Traceback" not in err, err
        assert "\x1b" not in out + err
        shown = bench.json("results", "show", bench.json("results", "list")["runs"][-1]["id"])
        outcome = Outcome(bench, shown, seconds)
        folder = bench.home / "runs" / shown["run"]
        for log in sorted((folder / "logs").iterdir()):
            assert log.stat().st_size < 10 * 2**20
            outcome.lines += log.read_text("utf-8", "replace").splitlines()
        assert list((folder / "shards").iterdir()) == [], "a container's folder was left"
        assert leftovers(shown["run"]) == []
        return outcome

    return run


def leftovers(run: str) -> list[str]:
    """Name the containers of a run that the engine still knows."""
    import docker

    client = docker.from_env(timeout=60)
    try:
        found = client.containers.list(all=True, filters={"label": f"org.groundbench.run={run}"})
        return [str(container.name) for container in found]
    finally:
        client.close()
