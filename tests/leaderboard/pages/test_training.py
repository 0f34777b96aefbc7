"""The training before a run of a fine-tuned variant: its curve and its table on the run's page, thinned, never lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.store.database import Store
from harness.store.trainings import TrainingPoint, TrainingRow, Trainings
from leaderboard.board.reported import read_reported
from leaderboard.pages.pages import render_pages
from leaderboard.pages.site import Site
from leaderboard.published.contribution import CURVE
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy

if TYPE_CHECKING:
    from conftest import FakeBench

#: Each builds a whole board.
pytestmark = pytest.mark.costly


def _train(store: Store, steps: int) -> None:
    trainings = Trainings(store)
    trainings.save(TrainingRow("k" * 64, "model", "fine-tuned", "data", "done", "2026-01-01T00:00:00+00:00"))
    points = [
        TrainingPoint(n, steps, {"dice": 1 / n, "bce": 2 / n}, val_dice=n / steps if n % 100 == 0 else None)
        for n in range(1, steps + 1)
    ]
    trainings.add("k" * 64, points)


def _page(store: Store, run: str, *, draw: bool) -> str:
    site = Site(published=export(store, PrivacyPolicy()), reported=read_reported(), draw=draw)
    return next(page.read().decode() for path, page in render_pages(site) if run in path and path.startswith("runs/"))


def test_curve_and_table_stand_on_the_page(store: Store, bench: FakeBench) -> None:
    """The page of a fine-tuned run shows every val Dice in a table, and each quantity as a line."""
    _train(store, 900)
    run = bench.add(fine_tuned=True, record={"training": {"key": "k" * 64}})
    page = _page(store, run.id, draw=True)
    section = page[page.index('id="training"') : page.index('id="cost"')]
    for step in range(100, 1000, 100):
        assert f'<th scope="row" class="number">{step}</th><td class="number">{step / 900:.3f}</td>' in section
    assert section.count("<svg") == 2  # for a wide and for a narrow screen
    for panel in ("Dice on val", "loss: dice", "loss: bce"):
        assert panel in section


def test_curve_is_thinned(store: Store, bench: FakeBench) -> None:
    """However long a training was, the site keeps a few hundred points, all that have a val Dice among them."""
    _train(store, 5000)
    run = bench.add(fine_tuned=True, record={"training": {"key": "k" * 64}})
    kept = export(store, PrivacyPolicy()).training(run.id)
    assert len(kept) <= CURVE + 51
    assert [step.step for step in kept if step.val_dice is not None] == list(range(100, 5001, 100))
    assert kept[-1].step == 5000


def test_val_dice_of_a_closed_val_split_stays(store: Store, bench: FakeBench) -> None:
    """How many findings are behind a val Dice is not recorded: a public site tells it only of an open val split."""
    _train(store, 200)
    run = bench.add(fine_tuned=True, record={"training": {"key": "k" * 64}})
    closed = export(store, PrivacyPolicy(public=True)).training(run.id)
    opened = export(store, PrivacyPolicy(public=True, open_splits=frozenset({"val"}))).training(run.id)
    assert [step.val_dice for step in closed] == [None] * 200
    assert [step.val_dice for step in opened if step.val_dice is not None] == [0.5, 1.0]
    assert [step.losses for step in closed] == [step.losses for step in opened]


def test_run_without_training_has_no_section(store: Store, bench: FakeBench) -> None:
    """A zero-shot run says nothing of training."""
    run = bench.add()
    assert 'id="training"' not in _page(store, run.id, draw=False)
