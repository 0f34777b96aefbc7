"""The columns of score tables: which metric of which group of findings, and what that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.categories import CATEGORIES

#: The paper's profile, and that of the challenge.
PAPER, CHALLENGE = "mlhc2025", "miccai2026"

#: The size groups of Figure 3, and how they are called.
SIZES: Mapping[str, str] = {
    "small": "Small",
    "medium": "Medium",
    "large": "Large",
}


@dataclass(frozen=True)
class Column:
    """One column of a score table: its name, the metric and group it shows, and what that is."""

    key: str
    title: str
    metric: str
    group: str
    meaning: str


#: The columns of the score table under each profile; ``average`` is what rows are ordered by.
COLUMNS: Mapping[str, tuple[Column, ...]] = {
    PAPER: (
        Column("average", "Average", "dice", "all", "mean Dice over all findings"),
        Column("non_focal", "Non-focal", "dice", "non_focal", "mean Dice over findings of categories 1a to 1f"),
        Column("focal", "Focal", "dice", "focal", "mean Dice over findings of categories 2a to 2h"),
        Column("hit5", "HIT5", "hit5", "all", "share of findings with a Dice above 0.05"),
        Column("hit10", "HIT10", "hit10", "all", "share of findings with a Dice above 0.10"),
    ),
    CHALLENGE: (
        Column("average", "Dice", "dice", "all", "mean Dice over all findings, of the components that are kept"),
        Column("per_case", "Dice per case", "dice", "per_case", "mean over cases of the mean Dice within each"),
        Column("hit", "Hit rate", "hit", "all", "share of findings with a Dice of at least 0.1"),
        Column(
            "instance_f1",
            "Instance F1",
            "instance_f1",
            "all",
            "F1 (balance of what is missed and what is false) of single lesions, found by a Dice of 0.2",
        ),
        Column(
            "distance_f1",
            "Distance F1",
            "distance_f1",
            "all",
            "the same of single lesions, found by their distance to the reference",
        ),
    ),
}

_GROUPS = (
    *(
        Column(f"category-{code}", code, "dice", f"by_category/{code}", f"mean Dice over findings of {code} {name}")
        for code, name in CATEGORIES.items()
    ),
    *(
        Column(f"size-{size}", name, "dice", f"by_size/{size}", f"mean Dice over {name.lower()} findings")
        for size, name in SIZES.items()
    ),
)

#: Every other number that the full table of a profile has.
MORE: Mapping[str, tuple[Column, ...]] = {
    PAPER: (
        Column("per_case", "Per case", "dice", "per_case", "mean over cases of the mean Dice within each"),
        *_GROUPS,
    ),
    CHALLENGE: (
        Column("unfiltered", "Dice, unfiltered", "dice_unfiltered", "all", "mean Dice of the masks as they came"),
        Column("non_focal", "Non-focal", "dice", "non_focal", "mean Dice over findings of categories 1a to 1f"),
        Column("focal", "Focal", "dice", "focal", "mean Dice over findings of categories 2a to 2h"),
        *(
            Column(f"{by}_{metric}", f"{by.capitalize()} {metric}", f"{by}_{metric}", "all", f"{metric}, {meaning}")
            for by, meaning in (("instance", "single lesions by Dice"), ("distance", "single lesions by distance"))
            for metric in ("precision", "recall")
        ),
        *_GROUPS,
    ),
}
