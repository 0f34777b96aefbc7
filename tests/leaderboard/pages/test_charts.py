"""The figures: every number is drawn, texts stay texts, colours follow the page."""

from __future__ import annotations

import re

import pytest

from harness.store.database import Store
from leaderboard.board.board import read_board
from leaderboard.pages import charts, figures
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy

pytestmark = pytest.mark.costly

HOSTILE = '</svg><script>alert("x")</script>&\u202e'


def test_one_mark_a_number() -> None:
    """Each value has one dot, and each interval one line; a missing interval has none."""
    models = ["a", "b"]
    values = [
        {"group": group, "model": model, "value": 0.5, "low": 0.4 if model == "a" else None, "high": 0.6}
        for group in ("x", "y", "z")
        for model in models
    ]
    drawn = charts.draw(charts.intervals(values, ["x", "y", "z"], models, axis="Dice"), "title").wide
    legend = len(models)
    assert len(re.findall(r'fill="var\(--c[01]\)"', drawn)) == len(values) + legend
    assert len(re.findall(r'<line [^>]*stroke="var\(--c[01]\)"', drawn)) == 3


def test_texts_in_a_figure_stay_texts() -> None:
    """A name with markup is drawn as text, in the figure as in its title."""
    values = [{"group": HOSTILE, "value": 3}]
    drawn = charts.draw(charts.bars(values, [HOSTILE], axis="findings"), HOSTILE)
    for svg in (drawn.wide, drawn.narrow):
        assert "<script" not in svg
        assert svg.count("</svg>") == 1
        assert "&lt;script&gt;" in svg
        assert not re.search(r' (?:style|on\w+|href)="', svg)
        assert svg.startswith("<svg")
        assert 'role="img"' in svg


def test_colours_are_the_page_s_own() -> None:
    """No colour is fixed, so that one drawing is right for light and dark."""
    values = [{"model": "a", "cost": 1.0, "value": 0.5, "front": True}]
    drawn = charts.draw(charts.scatter(values, ["a"], axis="seconds"), "cost").wide
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', drawn)) <= {
        "none", "transparent", *(f"var(--{name})" for name in ("text", "line", "muted", "c0")),
    }  # fmt: skip


def test_rows_without_a_name_are_drawn_grey() -> None:
    """Of many rows each has a dot; those that are not named are grey and in no legend."""
    values = [
        {"model": "a" if n == 0 else None, "cost": 1.0 + n, "value": 0.5 - n / 10, "front": n == 0} for n in range(4)
    ]
    drawn = charts.draw(charts.scatter(values, ["a"], axis="seconds"), "cost").wide
    assert len(re.findall(r'<path [^>]*fill="var\(--muted\)"', drawn)) == 3
    assert len(re.findall(r'fill="var\(--c0\)"', drawn)) == 2  # its dot and that of the legend


def test_narrow_drawing_fits_a_phone(full_store: Store) -> None:
    """On a screen of 390 pixels no figure is wider than the page."""
    for data in read_board(export(full_store, PrivacyPolicy())):
        drawn = figures.categories(data)
        if drawn is not None:
            match = re.match(r'<svg width="([\d.]+)"', drawn.narrow)
            assert match
            assert float(match[1]) <= 390 - 2 * 16


def test_front_is_what_nobody_beats() -> None:
    """A row is on the front unless another is at least as good in both and better in one."""
    points = [(1.0, 0.1), (2.0, 0.3), (3.0, 0.2), (2.0, 0.3), (4.0, 0.4)]
    assert charts.front(points) == [True, True, False, True, True]
