"""Each level is ranked by itself, what is not stated is not ranked, and a name alone makes no two rows one."""

from __future__ import annotations

from typing import Any

from harness.store.database import Store
from leaderboard.board.board import read_board
from leaderboard.pages.page import groups_of, model_address
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy


def _masks(who: str = "", prompt: str = "text", trained_on: object = (), **fields: Any) -> dict[str, Any]:
    """Return the fields of a row of masks whose card states this."""
    card = {"who": who, "prompt": prompt, "trained_on": trained_on}
    exposure = {"of": "unknown" if trained_on == "unknown" else "none", "origin": who}
    return {"kind": "submitted", "prompt": prompt, "plan": {"card": card}, "record": {"exposure": exposure}} | fields


def _board(store: Store):
    (data,) = read_board(export(store, PrivacyPolicy()))
    return data


def test_levels_and_prompts_are_ranked_apart(bench, store: Store) -> None:
    """Masks of a box run, sold as text, lead their own ranking at most, and never stand among what was run here."""
    bench.add(cases=6, plugin="rules", level=0.3)
    bench.add(cases=6, plugin="medsam2", prompt="box", level=0.6)
    bench.add(cases=6, plugin="boxy", level=0.6, **_masks("A lab"))
    bench.add(cases=6, plugin="boxes", level=0.7, **_masks("A lab", prompt="box"))
    bench.add(cases=6, plugin="secret", level=0.9, **_masks("B lab", prompt=""))
    bench.add(cases=6, plugin="mute", level=0.8, **_masks("C lab", trained_on="unknown"))
    data = _board(store)
    groups = {title: [(row.run.plugin, row.rank.best) for row in rows] for title, rows in groups_of(data.ranked)}
    assert groups == {
        "Text-only": [("rules", 1)],
        "Box-prompted: boxes made from the ground truth": [("medsam2", 1)],
        "Masks made elsewhere. Text-only, as stated": [("boxy", 1)],
        "Masks made elsewhere. Box-prompted: boxes made from the ground truth, as stated": [("boxes", 1)],
    }
    apart = {row.run.plugin: row.reasons for row in data.apart}
    assert apart == {
        "secret": ("prompt not stated: its card does not say what it was given",),
        "mute": ("training not stated: its card does not say whether it was trained on this data",),
    }
    assert [row.rank for row in data.apart] == [None, None]
    assert [title for title, _ in groups_of(data.apart)] == [
        "Masks made elsewhere. Text-only, as stated",
        "Masks made elsewhere. Prompt not stated",
    ]


def test_masks_under_the_name_of_a_plugin_stay_masks(bench, store: Store, pages) -> None:
    """They replace nothing, are in nobody's history, and have a page of their own; so do those of somebody else."""
    same: dict[str, Any] = {"plugin": "rules", "title": "Rules", "variant": "masks"}
    bench.add(plugin="rules", title="Rules", variant="masks")
    for who in ("A lab", "B lab", ""):
        bench.add(**same, **_masks(who))
    data = _board(store)
    assert not data.apart
    addresses = {model_address(row.run): row.run.who for row in data.ranked}
    assert len(addresses) == 4
    site = pages(store)
    assert "1 Licence" in site["models/rules.html"].text, "one run"
    for row in data.ranked:
        assert "History of this row" not in site[f"runs/{row.run.id}.html"].text
        addresses_on_page = [link.attributes.get("href", "") for link in site[model_address(row.run)].all("a")]
        linked = {other.run.id for other in data.ranked for href in addresses_on_page if other.run.id in href}
        assert linked == {row.run.id}
    assert "box" not in [row.run.plugin for row in data.ranked if row.control]


def test_masks_called_like_a_control_are_no_control(bench, store: Store) -> None:
    """The floor of a ranking is drawn at what this harness ran, not at whatever calls itself a box."""
    bench.add(plugin="box", **_masks("A lab", prompt="box"))
    (row,) = _board(store).ranked
    assert not row.control
