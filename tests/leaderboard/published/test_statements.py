"""Statements as data: the paper's can be read, and a mistake in an organiser's is refused with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, UnknownName
from leaderboard.published.facts import Facts
from leaderboard.published.statements import (
    GROUPS,
    BoardStatement,
    Chosen,
    group_words,
    parse_statements,
    read_own_statements,
    read_statements,
)

VALID: dict[str, Any] = {"id": "a", "says": "A is better.", "direction": "higher", "than": 0.5}


def test_the_papers_statements_are_read() -> None:
    """Each has a source in the paper, its own id and sentence, and what is tested in words."""
    statements = read_statements()
    assert len(statements) >= 12
    assert len({one.id for one in statements}) == len({one.says for one in statements}) == len(statements)
    assert all(one.source and one.meaning.endswith(".") for one in statements)
    assert all(set(one.group) <= set(GROUPS) or one.group[0][0] in "12" for one in statements)


def test_a_statement_survives_json() -> None:
    """The site's database holds it as text."""
    for one in read_statements():
        assert BoardStatement.model_validate_json(one.model_dump_json(exclude_defaults=True)) == one


@pytest.mark.parametrize(
    ("chosen", "facts", "met"),
    [
        (Chosen(), Facts("", "", "training not stated", "unknown"), True),
        (Chosen(sees=("3-D",)), Facts("SAT", "text", "zero-shot", "3-D"), True),
        (Chosen(sees=("2-D", "3-D")), Facts("SAT", "text", "zero-shot", "3-D"), True),
        (Chosen(sees=("3-D",)), Facts("SAT", "text", "zero-shot", "unknown"), False),
        (Chosen(prompt=("text",)), Facts("SAT", "", "zero-shot", "3-D"), False),
        (Chosen(prompt=("text",)), Facts("SAT", "structured-text", "zero-shot", "3-D"), False),
        (Chosen(trained=("zero-shot",)), Facts("SAT", "text", "training not stated", "3-D"), False),
        (Chosen(model=("SAT",), trained=("fine-tuned",)), Facts("SAT", "text", "fine-tuned", "3-D"), True),
        (Chosen(model=("SAT",), trained=("fine-tuned",)), Facts("SegVol", "text", "fine-tuned", "3-D"), False),
        (Chosen(model=("SAT",)), Facts("", "text", "fine-tuned", "3-D"), False),
    ],
)
def test_what_is_not_known_meets_no_condition(chosen: Chosen, facts: Facts, met: bool) -> None:
    """Every condition has to be met by a fact."""
    assert chosen.holds(facts) == met


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"than": None}, "exactly one of"),
        ({"than_group": "focal"}, "exactly one of"),
        ({"than": 1.5}, "than: Input should be less than or equal to 1"),
        ({"than": "0.5"}, "than: Input should be a valid number"),
        ({"direction": "better"}, "direction: Input should be 'higher' or 'lower'"),
        ({"id": "Not An Id"}, "id: "),
        ({"says": ""}, "says: "),
        ({"says": "two\nlines"}, "says: "),
        ({"metric": "instance_f1"}, "metric: "),
        ({"group": "2z"}, "group: must be one of all, focal, .* not 2z"),
        ({"group": ["focal", "2e"]}, "group: must be one of .* not focal"),
        ({"group": []}, "group: must be one of"),
        ({"group": 2}, "group: must be one of"),
        ({"group": "others"}, "group: must be one of .* not others"),
        ({"rows": {"sees": "3D"}}, "rows.sees: Input should be '2-D', 'slices with memory', '3-D' or 'nothing'"),
        ({"rows": {"prompt": ["text", "boxes"]}}, "rows.prompt: "),
        ({"rows": "all"}, "rows: "),
        ({"margin": 0.1}, "belong to than_rows"),
        ({"same_model": True}, "belong to than_rows"),
        ({"than": None, "than_group": "others"}, "no finding is left"),
        ({"than": None, "group": "2e", "than_group": "2e"}, "the same as group"),
    ],
)
def test_a_wrong_statement_is_refused_by_its_key(change: dict[str, Any], said: str) -> None:
    """With its number in the file, and the rule that it breaks."""
    with pytest.raises(DataError, match=f"statement 2 of mine.toml: .*{said}"):
        parse_statements(_toml(VALID | {"id": "first"}) + _toml(VALID | change), "mine.toml")


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("[[statements]]\nid = 'a'\n", "statement"),
        (f"{'[[statement]]'}\nid = 'a'\nthan_row = {{}}\n", "than_rows"),
        ("[[statement]]\nid = 'a'\nrows = { promt = 'text' }\n", "prompt"),
        ("[[statement]]\nid = 'a'\nthan_rows = { see = '3-D' }\n", "sees"),
    ],
)
def test_a_key_that_does_not_exist_is_refused_with_the_nearest(text: str, near: str) -> None:
    """A misspelt condition that is ignored would be a claim on other rows."""
    with pytest.raises(UnknownName) as refused:
        parse_statements(text, "mine.toml")
    assert f"did you mean {near}" in refused.value.fix
    assert "mine.toml" in refused.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[statement]", "not valid TOML"),
        (f"x = {'9' * 5000}", "not valid TOML"),
        (f"x = {'[' * 5000}", "not valid TOML"),
        ("", "holds no statement"),
        ("statement = 3", "holds no statement"),
        ("statement = [3]", "not a table"),
    ],
)
def test_what_is_no_list_of_statements_is_refused(text: str, said: str) -> None:
    """Never with a traceback."""
    with pytest.raises(DataError, match=said):
        parse_statements(text, "mine.toml")


def test_ids_are_used_once(tmp_path: Path) -> None:
    """Neither twice in a file, nor by the paper and an organiser."""
    with pytest.raises(DataError, match="the id 'a' is in use"):
        parse_statements(_toml(VALID) * 2, "mine.toml")
    path = tmp_path / "mine.toml"
    path.write_text(_toml(VALID))
    assert [one.id for one in read_own_statements(path, ["b"])] == ["a"]
    with pytest.raises(DataError, match="the id 'a' is in use"):
        read_own_statements(path, ["a"])
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read"):
        read_own_statements(path, [])
    with pytest.raises(DataError, match="cannot be read"):
        read_own_statements(tmp_path / "absent.toml", [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "Mean Dice on all findings is higher than 0.5, in each of the rows."),
        (
            {"than": None, "group": ("2e",), "than_group": "others", "rows": {"model": "SAT"}},
            "Mean Dice on findings of 2e is higher than on all other findings, in each of the rows of SAT.",
        ),
        (
            {"than": None, "metric": "hit5", "direction": "lower", "than_rows": {"sees": ["2-D", "3-D"]}},
            "HIT5 on all findings: each of the rows is lower than each of the rows (seeing 2-D or 3-D).",
        ),
        (
            {"than": None, "than_rows": {"model": "SAT"}, "margin": 0.1},
            "Mean Dice on all findings: each of the rows is higher by more than 0.1 than each of the rows of SAT.",
        ),
    ],
)
def test_what_is_tested_in_words(change: dict[str, Any], words: str) -> None:
    """One sentence says which findings, which rows and which way."""
    assert BoardStatement.model_validate({k: v for k, v in (VALID | change).items() if v is not None}).meaning == words


def test_groups_in_words() -> None:
    """Codes are named one by one."""
    assert [group_words(one) for one in (("all",), ("small",), ("2d", "1e", "2a"), "others")] == [
        "all findings", "small findings", "findings of 2d, 1e or 2a", "all other findings"
    ]  # fmt: skip


def _toml(table: dict[str, Any]) -> str:
    """Write one statement; None leaves a key out."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {text(one)}" for key, one in value.items()) + " }"
        if isinstance(value, list):
            return f"[{', '.join(map(text, value))}]"
        if isinstance(value, bool):
            return str(value).lower()
        return repr(value) if not isinstance(value, str) else '"' + value.replace("\n", "\\n") + '"'

    return "[[statement]]\n" + "".join(f"{key} = {text(one)}\n" for key, one in table.items() if one is not None)
