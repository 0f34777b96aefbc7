"""How far the score of a box-prompted row moves with its boxes: runs of one plan that differ in their seed.

A box is displaced by a draw, so another seed gives another row. The interval of a row is over its findings and does not
contain this. What the draws do is measured, not modelled: the same plan is run with other seeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.rows import RunRow
from harness.store.database import Store

#: Seeds after which a row says how far its score moves.
ENOUGH = 3


@dataclass(frozen=True)
class BoxSeeds:
    """The mean Dice of a row under several seeds of its boxes.

    Attributes
    ----------
    dice
        Seed -> mean Dice over all findings, by the newest finished run of that seed.
    """

    dice: Mapping[int, float]

    @property
    def enough(self) -> bool:
        """Whether there are enough seeds to say how far the score moves."""
        return len(self.dice) >= ENOUGH

    @property
    def words(self) -> str:
        """What a person has to know: the range over the seeds, or what would show it."""
        seeds = ", ".join(map(str, self.dice))
        if self.enough:
            low, high = min(self.dice.values()), max(self.dice.values())
            mean = sum(self.dice.values()) / len(self.dice)
            return f"Dice {low:.3f} to {high:.3f} over seeds {seeds} of the boxes, mean {mean:.3f}"
        more = [seed for seed in range(ENOUGH) if seed not in self.dice][: ENOUGH - len(self.dice)]
        runs = " and ".join(f"`--seed {seed}`" for seed in more)
        return f"only seed {seeds} of the boxes: how far the score moves with them is shown after runs with {runs}"

    @property
    def document(self) -> dict[str, Any]:
        """JSON: the seeds, their Dice, and whether they are enough."""
        return {"dice": {str(seed): value for seed, value in self.dice.items()}, "enough": self.enough}


def same_but_seed(plan: Mapping[str, Any]) -> str:
    """Return what all runs share that differ from a plan in their seed alone."""
    return json.dumps({name: value for name, value in plan.items() if name != "seed"}, sort_keys=True)


def collect(runs: Iterable[tuple[Mapping[str, Any], float | None]]) -> BoxSeeds:
    """Return the seeds of runs of one plan, given as (plan, mean Dice), oldest first; one without Dice is left out."""
    found = {int(plan["seed"]): dice for plan, dice in runs if dice is not None and "seed" in plan}
    return BoxSeeds(dict(sorted(found.items())))


def box_seeds(store: Store, run: RunRow, profile: str) -> BoxSeeds | None:
    """Return how a finished run's score moves over seeds of its boxes; None where it is not prompted with boxes.

    Parameters
    ----------
    store
        The results database.
    run
        The run.
    profile
        Whose mean Dice is taken.
    """
    if run.prompt != "box" or run.kind != "measured" or run.state != "done":
        return None
    shared = same_but_seed(run.plan)
    alike = [one for one in store.runs() if one.state == "done" and one.prompt == "box" and one.plan]
    of_plan = [one for one in alike if same_but_seed(one.plan) == shared]
    dice = ((one.plan, store.metrics(one.id, profile).get("dice", {}).get("all", {}).get("value")) for one in of_plan)
    found = collect(dice)
    return found if found.dice else None
