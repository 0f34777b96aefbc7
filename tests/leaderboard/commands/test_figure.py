"""``bench leaderboard figure``: what it refuses, and what it says of the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli.settings import Settings
from harness.errors import DataError, UsageError
from leaderboard.commands.figure import figure

pytestmark = pytest.mark.costly


def _draw(scene, out: Path, *more: str, case: str = "case-0", runs: str = "run-01,run-02") -> Result:
    arguments = ["--case", case, "--runs", runs, "--out", str(out), *more]
    if "--dataset" not in more:
        arguments += ["--dataset", str(scene.dataset.root)]
    return CliRunner().invoke(figure, arguments, obj=Settings(scene.root))


def test_a_case_beside_two_runs(scene, tmp_path: Path) -> None:
    """The reference first, then the runs as they were named; of the second the masks are not at hand."""
    result = _draw(scene, tmp_path / "strip.svg", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["runs"] == ["run-01", "run-02"]
    svg = (tmp_path / "strip.svg").read_text()
    assert svg.index("Reference") < svg.index("Shifted, zero-shot") < svg.index("Weak, fine-tuned")
    assert svg.count("mask not at hand") == 2
    assert "CC BY 4.0" in svg
    assert "NOT TO BE PUBLISHED" not in svg
    _draw(scene, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text() == svg
    assert _draw(scene, tmp_path / "strip.png").exit_code == 0
    assert (tmp_path / "strip.png").read_bytes().startswith(b"\x89PNG")


def test_terms_decide_what_may_be_published(scene, make_dataset, tmp_path: Path) -> None:
    """A public strip needs all that it shows allowed; a private one says on itself that it must stay so."""
    data = make_dataset(tmp_path / "data", ["LPS", "RAS"])
    notes = json.loads((data.root / "groundbench.json").read_text())
    notes["terms"] = {"scores": "yes", "texts": "yes", "images": "no"}
    (data.root / "groundbench.json").write_text(json.dumps(notes))
    out = tmp_path / "strip.svg"
    refused = _draw(scene, out, "--dataset", str(data.root))
    assert isinstance(refused.exception, DataError)
    assert "(images: no, masks: unknown)" in refused.exception.message
    assert "--visibility private" in (refused.exception.fix or "")
    assert not out.exists()
    assert _draw(scene, out, "--dataset", str(data.root), "--visibility", "private").exit_code == 0
    assert "NOT TO BE PUBLISHED" in out.read_text()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"case": "case-7"}, "case-7"),
        ({"runs": "run-77"}, "run-77"),
        ({"runs": " , "}, "names no run"),
        ({"out": "strip.jpg"}, "cannot be drawn as .jpg"),
        ({"slice": "24"}, "24 axial slices"),
    ],
)
def test_slips_are_told(scene, tmp_path: Path, options: dict[str, Any], what: str) -> None:
    """Each names what is wrong, and nothing is written."""
    options = dict(options)
    out = tmp_path / options.pop("out", "strip.svg")
    more = ["--slice", options.pop("slice")] if "slice" in options else []
    refused = _draw(scene, out, *more, **options)
    assert isinstance(refused.exception, UsageError)
    assert what in refused.exception.message
    assert not out.exists()


def test_the_data_of_the_run_are_asked_for(scene, make_dataset, tmp_path: Path) -> None:
    """Another data set of the same case is refused: its reference is not what the masks were scored on."""
    other = make_dataset(tmp_path / "other", ["LPS"])
    refused = _draw(scene, tmp_path / "strip.svg", "--dataset", str(other.root))
    assert isinstance(refused.exception, DataError)
    assert "was measured on" in refused.exception.message
