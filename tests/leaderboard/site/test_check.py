"""A site is checked before it is published: every fault is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import DataError
from leaderboard.site.check import check_site
from tests.leaderboard.site.conftest import invoke

pytestmark = pytest.mark.costly


def test_a_site_is_in_order(site: Path) -> None:
    """What was built has no fault: links, weights, checksums."""
    assert check_site(site) == []
    assert invoke("check", str(site)).output == f"{site} is in order\n"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("notes.txt", "mine", "is not part of the site"),
        ("index.html", '<a href="gone.html">x</a>', "links to gone.html"),
        ("index.html", '<a href="methods.html#gone">x</a>', "a place gone that methods.html does not have"),
        ("index.html", '<img src="https://elsewhere.example/x.png">', "from outside"),
        ("index.html", "x" * 200_000, "weighs 200,000 bytes"),
        ("methods.html", "x" * 2_000_000, "loads 2,000,000 bytes"),
        ("downloads/runs.csv", "changed", "does not match SHA256SUMS"),
    ],
)
def test_every_fault_is_found(site: Path, name: str, content: str, what: str) -> None:
    """Each fault is named with its file, and the command ends with the code of bad data."""
    (site / name).write_text(content)
    assert any(problem.where == name and what in problem.what for problem in check_site(site))
    result = invoke("check", str(site), "--json")
    assert isinstance(result.exception, DataError)
    assert any(problem["where"] == name for problem in json.loads(result.stdout)["problems"])


def test_what_a_host_does_not_take_is_named(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above what hosts take for one, and a site above what they take for all."""
    sizes = {path.relative_to(site).as_posix(): path.stat().st_size for path in site.rglob("*") if path.is_file()}
    largest = max(sizes, key=lambda name: sizes[name])
    monkeypatch.setattr("leaderboard.site.check.FILE_BYTES", sizes[largest] - 1)
    monkeypatch.setattr("leaderboard.site.check.SITE_BYTES", sizes[largest] + 1)
    found = [(problem.where, problem.what) for problem in check_site(site)]
    assert [where for where, _ in found] == [largest, "."]
    assert "usual hosts take" in found[0][1]
    assert "a site" in found[1][1]


def test_missing_file_and_missing_site(site: Path, tmp_path: Path) -> None:
    """A missing file is a fault; a folder that is not a site is refused."""
    (site / "404.html").unlink()
    assert [(p.where, p.what) for p in check_site(site)] == [("404.html", "is missing")]
    with pytest.raises(DataError, match="does not contain a site"):
        check_site(tmp_path)
