"""A card states, or says nothing: three values a field, unknown keys refused, never more than it may hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import BenchError, DataError, UnknownName
from harness.registry.card import Card, card_of, read_card

FULL = """
who = "Example Lab"
contact = "lab@example.org"
authors = ["A. Person", "B. Person"]
paper = "https://example.org/paper"
homepage = "https://example.org/model"
licence = "Apache-2.0"
prompt = "box"
prompts_made = "boxes of the truth, widened by 5 %"
trained_on = ["rexgroundingct/val", "rexgroundingct/train"]
conflicts = "none"
"""


def _card(tmp_path: Path, text: str) -> Card:
    path = tmp_path / "card.toml"
    path.write_text(text, encoding="utf-8")
    return read_card(path)


def test_a_full_card_is_read_and_written_again(tmp_path: Path) -> None:
    """What a card writes, it reads: the same card."""
    card = _card(tmp_path, FULL)
    assert (card.who, card.prompt, card.exposure) == ("Example Lab", "box", "train+val")
    assert card.not_stated == []
    assert _card(tmp_path, card.toml) == card == card_of(card.stated, "it")


@pytest.mark.parametrize(
    ("text", "exposure", "stated"),
    [
        ("", "unknown", {}),
        ("trained_on = []", "none", {"trained_on": []}),
        ('trained_on = "unknown"\nprompt = "unknown"', "unknown", {}),
        ('trained_on = ["a/dev", "a/test"]', "test+dev", {"trained_on": ["a/dev", "a/test"]}),
    ],
)
def test_training_has_three_values(tmp_path: Path, text: str, exposure: str, stated: dict[str, object]) -> None:
    """None of ours is a statement; nothing and unknown are none."""
    card = _card(tmp_path, text)
    assert (card.exposure, card.stated) == (exposure, stated)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("trained = []", UnknownName, "trained_on"),
        ('prompt = "boxes"', UnknownName, "box"),
        ("prompt = 3", UnknownName, "text"),
        ('trained_on = "none"', DataError, "trained_on"),
        ('trained_on = ["train"]', DataError, "trained_on"),
        ("trained_on = [1]", DataError, "trained_on"),
        ('homepage = "javascript:alert(1)"', DataError, "homepage"),
        ('who = "two\\nlines"', DataError, "one line"),
        ('who = "\\u202eevil"', DataError, "printable"),
        (f'who = "{"a" * 101}"', DataError, "who"),
        ('who = ["a"]', DataError, "who"),
        ('authors = "A"', DataError, "authors"),
        (f"authors = {['a'] * 101}", DataError, "authors"),
        ("who = ", DataError, "not valid TOML"),
        ("#" * 70_000, DataError, "66 kB"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, kind: type[BenchError], said: str) -> None:
    """A wrong card is refused with the field and the reason, or the nearest key."""
    with pytest.raises(kind) as caught:
        _card(tmp_path, text)
    assert said in f"{caught.value.message} {caught.value.fix}"


def test_a_link_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    """A card is the file itself: nothing else of the machine is read through it."""
    (tmp_path / "link.toml").symlink_to(tmp_path / "card.toml")
    for name in ("link.toml", "none.toml"):
        with pytest.raises(DataError, match="card"):
            read_card(tmp_path / name)
