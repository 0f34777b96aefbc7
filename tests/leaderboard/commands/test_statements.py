"""``bench reproduce --statements`` and an organiser's own file, called as a person calls them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.errors import DataError, UnknownName, UsageError
from leaderboard.board.answers import ANSWERS
from leaderboard.published.statements import read_statements

pytestmark = pytest.mark.costly

ROOT = Path(__file__).parents[3]
RECORD = {"exposure": {"of": "none", "origin": "ours"}, "sees": {"of": "3-D", "origin": "ours"}}


def call(home: Path, *arguments: object) -> str:
    ended = CliRunner().invoke(cli, ["--home", str(home), *map(str, arguments)], catch_exceptions=False)
    assert ended.exit_code == 0
    return ended.stdout


def test_an_empty_home_has_the_papers_table(tmp_path: Path) -> None:
    """Without any row of one's own, Table 4 answers, and no database is made."""
    document = json.loads(call(tmp_path, "reproduce", "--statements", "--json"))
    assert document["schema"] == 1
    assert [one["id"] for one in document["statements"]] == [one.id for one in read_statements()]
    assert all(
        [answer["table"] for answer in one["answers"]] == ["Table 4 of the paper"] for one in document["statements"]
    )
    first = document["statements"][0]["answers"][0]
    assert (first["answer"], first["told_by"]) == ("does not", "intervals")
    assert first["comparisons"][0] == {
        "first": {"name": "MedSAM2, box", "run": None},
        "second": None,
        "value": {"value": 0.261, "n": None, "cases": None, "ci95": [0.237, 0.284]},
        "other": {"value": 0.239, "n": None, "cases": None, "ci95": [0.201, 0.28]},
        "difference": {"value": pytest.approx(0.022), "n": None, "cases": None, "ci95": None},
        "p_corrected": None,
        "says": "not told apart",
    }
    assert not (tmp_path / "results.db").exists()


def test_every_line_fits_a_terminal_and_says_on_which_data(bench, store, tmp_path: Path) -> None:
    """80 columns; what a row on other data comes to stands with these data; the long tail is counted."""
    for number in range(14):
        bench.add(plugin=f"model-{number}", title=f"Model {number}", cases=6, level=0.3, record=RECORD)
    printed = call(tmp_path, "reproduce", "--statements")
    assert max(map(len, printed.splitlines())) <= 80
    text = re.sub(r"\s+", " ", printed)
    assert "phantom-small, test (6 cases, 36 findings, not the paper's data): " in text
    assert re.search(
        r"Model \d+ zero-shot: [+-]0\.\d{3} \[[+-]0\.\d{3} to [+-]0\.\d{3}\], p \d\.\d{3}, n 18 and 18: ", text
    )
    assert "and 2 more: --json has all of them" in text
    assert {answer.upper() for answer in ANSWERS} == set(re.findall("|".join(ANSWERS).upper(), text))


def test_other_references_have_no_statements(tmp_path: Path) -> None:
    """They are the paper's."""
    with pytest.raises(UsageError, match="the paper's"):
        call(tmp_path, "reproduce", "--statements", "--reference", "main")


def example() -> str:
    """Return the example of the documentation."""
    page = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    return found


def test_the_example_of_the_documentation_is_built(bench, store, tmp_path: Path) -> None:
    """Its statements have a section of their own, without Table 4; the JSON and SQLite downloads hold them."""
    bench.add(title="Rules", plugin="rules", cases=6, level=0.3, record=RECORD)
    path = tmp_path / "mine.toml"
    path.write_text(example())
    call(tmp_path, "leaderboard", "build", "--out", tmp_path / "site", "--no-figures", "--statements", path)
    page = (tmp_path / "site" / "statements.html").read_text(encoding="utf-8")
    own = page.partition('id="of-the-organisers"')[2]
    assert "Table 4" not in own
    assert own.count("<details>") == example().count("[[statement]]")
    downloads = json.loads((tmp_path / "site" / "downloads" / "results.json").read_text(encoding="utf-8"))
    assert [row["own"] for row in downloads["statements"]].count(1) == example().count("[[statement]]")
    assert {row["first"] for row in downloads["statement_tests"]} == {"run-01"}


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (("direction", "directoin"), UnknownName, "directoin"),
        (('"higher"', '"up"'), DataError, "direction"),
    ],
)
def test_a_wrong_file_builds_no_site(
    bench, store, tmp_path: Path, change: tuple[str, str], kind: type[Any], said: str
) -> None:
    """It is refused before anything is written."""
    path = tmp_path / "mine.toml"
    path.write_text(example().replace(*change))
    with pytest.raises(kind, match=said):
        call(tmp_path, "leaderboard", "build", "--out", tmp_path / "site", "--statements", path)
    assert not (tmp_path / "site").exists()
