"""The guideline covers every category that is drawn, names the answers, and is one file with its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curation.annotation import guideline
from curation.annotation.answers import WORDS
from harness.categories import CATEGORIES
from harness.errors import UsageError


def test_every_category_has_its_rules() -> None:
    """What to draw, how many entities and what to skip, for all fourteen; both answers are explained."""
    rules = guideline.rules()
    assert set(rules) == {"general", *CATEGORIES}
    assert all(set(rules[code]) == {"draw", "entities", "skip"} for code in CATEGORIES)
    assert all(f"`{word}`" in " ".join(rules["general"]["rules"]) for word in WORDS)


def test_the_command(tmp_path: Path, bench: Any) -> None:
    """One picture a category, no address outside, the limit in words; a guideline that was edited is not replaced."""
    out = ("annotate", "guideline", "--out", tmp_path / "g")
    assert bench(*out, "--most-entities", 3).exit_code == 0
    text = (tmp_path / "g/guideline.html").read_text(encoding="utf-8")
    assert text.count("<img ") == text.count("data:image/png") == len(CATEGORIES)
    assert "at most 3 entities" in text
    assert "http" not in text.replace("http-equiv", "")
    assert "Draw every entity" in guideline.page(guideline.rules(), {}, None)
    assert isinstance(bench(*out).exception, UsageError)
