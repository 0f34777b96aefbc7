"""How far a box-prompted row moves with its boxes: which runs count, and what is said with too few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.runs.seeds import BoxSeeds, collect, same_but_seed

if TYPE_CHECKING:
    from conftest import Bench

PLAN = {"plugin": "medsam2", "variant": "latest", "image": "sha256:1", "boxes": "widened", "seed": 0}


def test_only_the_seed_may_differ() -> None:
    """Another image, rule or variant is another row."""
    assert same_but_seed(PLAN) == same_but_seed({**PLAN, "seed": 7})
    for name in ("image", "boxes", "variant"):
        assert same_but_seed(PLAN) != same_but_seed({**PLAN, name: "other"})


def test_the_newest_run_of_a_seed_counts_and_one_without_a_score_does_not() -> None:
    """Runs come oldest first."""
    runs = [({**PLAN, "seed": 1}, 0.2), (PLAN, 0.3), (PLAN, 0.4), ({**PLAN, "seed": 2}, None)]
    assert collect(runs).dice == {0: 0.4, 1: 0.2}


@pytest.mark.parametrize(
    ("dice", "missing"),
    [({0: 0.25}, "`--seed 1` and `--seed 2`"), ({1: 0.2, 5: 0.3}, "`--seed 0`")],
)
def test_fewer_than_three_seeds_say_what_is_missing(dice: dict[int, float], missing: str) -> None:
    """A range over one or two draws would look like certainty."""
    seeds = BoxSeeds(dice)
    assert not seeds.enough
    assert seeds.words.endswith(f"is shown after runs with {missing}")


def test_three_seeds_say_how_far_it_moves() -> None:
    """From the lowest to the highest, in numbers of the table."""
    seeds = BoxSeeds({0: 0.25, 1: 0.27, 2: 0.26})
    assert seeds.enough
    assert seeds.words == "Dice 0.250 to 0.270 over seeds 0, 1, 2 of the boxes, mean 0.260"


@pytest.mark.costly
def test_a_row_gathers_the_runs_of_its_other_seeds(bench: Bench, make_dataset: object) -> None:
    """Three runs of a control; each says what the three have together, and a text-prompted row says nothing."""
    data = make_dataset(2)  # type: ignore[operator]
    documents = [
        bench.json("run", "--plugin", "box", "--dataset", data, "--engine", "local", "--seed", seed)
        for seed in range(3)
    ]
    assert [len(document["box_seeds"]["dice"]) for document in documents] == [1, 2, 3]
    dice = {str(seed): document["metrics"]["dice"]["all"]["value"] for seed, document in enumerate(documents)}
    assert documents[2]["box_seeds"]["dice"] == dice
    assert documents[2]["box_seeds"]["enough"]
    shown = bench("results", "show", documents[0]["run"]).stdout
    assert "over seeds 0, 1, 2 of the boxes" in shown
    empty = bench.json("run", "--plugin", "rules", "--dataset", data, "--engine", "local")
    assert "box_seeds" not in empty
