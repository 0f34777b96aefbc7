"""``bench cluster check``: every line is shown, and those that failed decide the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli.cluster import check
from harness.cli.settings import Settings
from harness.cluster import pool
from harness.cluster.host import HostCheck
from harness.errors import PrerequisiteError, UnknownName

LINES = [
    HostCheck(host="gpu1 worker 7", subject="engine", verdict="ok", found="docker 28.2"),
    HostCheck(host="gpu1 worker 7", subject="scratch", verdict="warning", found="1 GB free", fix="make room"),
    HostCheck(host="gpu2 worker 9", subject="image", verdict="failed", found="it is\nnot here", fix="export it"),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with a cluster."""
    monkeypatch.delenv("BENCH_CLUSTERS", raising=False)
    (tmp_path / "clusters.toml").write_text('[lab]\nkind = "dask"\naddress = "tls://gpu1:1"\nshared = "/proj"\n')
    return tmp_path


def _called(home: Path, monkeypatch: pytest.MonkeyPatch, lines: list[HostCheck], *arguments: str) -> Any:
    asked: list[dict[str, Any]] = []

    def play(cluster: Any, **options: Any) -> list[HostCheck]:
        asked.append({"cluster": cluster.name, **options})
        return lines

    monkeypatch.setattr(pool, "check_cluster", play)
    result = CliRunner().invoke(check, ["lab", *arguments], obj=Settings(home))
    assert [(one["cluster"], one["shard"]) for one in asked] == [("lab", None)]
    return result


def test_lines_and_fixes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not ok has its fix below it, on one line, and a failure ends with exit code 3."""
    result = _called(home, monkeypatch, LINES)
    assert "ok       gpu1 worker 7, engine: docker 28.2\n" in result.output
    assert "warning  gpu1 worker 7, scratch: 1 GB free\n         fix: make room\n" in result.output
    assert "failed   gpu2 worker 9, image: it is not here\n         fix: export it\n" in result.output.replace(
        "\ufffd", " "
    )
    assert isinstance(result.exception, PrerequisiteError)
    assert "gpu2 worker 9, image" in result.exception.message
    assert _called(home, monkeypatch, LINES[:2]).exit_code == 0


def test_json(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One document for programs, whatever failed."""
    document = json.loads(_called(home, monkeypatch, LINES, "--json").output)
    assert (document["schema"], document["cluster"]) == (1, "lab")
    assert [line["verdict"] for line in document["checks"]] == ["ok", "warning", "failed"]


def test_an_unknown_cluster(home: Path) -> None:
    """Did you mean."""
    result = CliRunner().invoke(check, ["lap"], obj=Settings(home))
    assert isinstance(result.exception, UnknownName)
    assert result.exception.near == ("lab",)
