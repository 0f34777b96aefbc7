"""Groups of findings by what a text says and a data set states, in one table: which finding is in which group.

A group whose answer is not known of any finding is not shown at all; of some, these are a group of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from harness.rows import FindingRow

#: The label of findings of which a group is not known.
UNKNOWN: Final = "unknown"

_SIZE = re.compile(r"\d[\s-]*(?:mm|cm|millimet\w*|centimet\w*)\b", re.IGNORECASE)
_LEFT = re.compile(r"\bleft\b|\bL[UL]L\b", re.IGNORECASE)
_RIGHT = re.compile(r"\bright\b|\bR[UML]L\b", re.IGNORECASE)
_BOTH = re.compile(r"\b(?:both|bilateral\w*)\b", re.IGNORECASE)

#: Most words of a short and of a medium text: near the thirds of the findings of the challenge's val split.
WORDS: Final = (8, 13)

#: Years at which a group of ages begins.
AGES: Final = (40, 60)


@dataclass(frozen=True)
class Grouping:
    """One way to group findings.

    Attributes
    ----------
    key
        Its name in files: ``"by_prior"``.
    title
        Its name for people.
    labels
        What its function returns, in the order of a table; :data:`UNKNOWN` comes after them.
    label
        The function: a finding -> its label.
    """

    key: str
    title: str
    labels: tuple[str, ...]
    label: Callable[[FindingRow], str]


def _shares_patient(row: FindingRow) -> str:
    return {True: "yes", False: "no", None: UNKNOWN}[row.details.shares_patient]


def _prior(row: FindingRow) -> str:
    return {True: "yes", False: "no", None: UNKNOWN}[row.details.prior]


def _named_size(row: FindingRow) -> str:
    return ("yes" if _SIZE.search(row.text) else "no") if row.text.strip() else UNKNOWN


def _named_side(row: FindingRow) -> str:
    if not row.text.strip():
        return UNKNOWN
    left, right = (bool(_BOTH.search(row.text) or side.search(row.text)) for side in (_LEFT, _RIGHT))
    return "both" if left and right else "one" if left or right else "none"


def _entities(row: FindingRow) -> str:
    count = row.details.truth_entities
    return UNKNOWN if count is None else ("none", "one")[count] if count < 2 else "several"


def _words(row: FindingRow) -> str:
    count = len(row.text.split())
    return _LENGTHS[sum(count > most for most in WORDS)] if count else UNKNOWN


def _age(row: FindingRow) -> str:
    age = row.details.age
    return UNKNOWN if age is None else _DECADES[sum(age >= first for first in AGES)]


def _sex(row: FindingRow) -> str:
    return {"F": "female", "M": "male"}.get(row.details.sex or "", UNKNOWN)


_LENGTHS: Final = (f"up to {WORDS[0]}", f"{WORDS[0] + 1} to {WORDS[1]}", f"{WORDS[1] + 1} and more")
_DECADES: Final = (f"under {AGES[0]}", f"{AGES[0]} to {AGES[1] - 1}", f"{AGES[1]} and older")

#: The grouping that gives a score without the cases whose patient a model may have been trained on.
SHARED: Final = "by_shared_patient"

#: Every grouping, in the order of a table.
GROUPINGS: Final = (
    Grouping(SHARED, "Patient also in train or val", ("yes", "no"), _shares_patient),
    Grouping("by_prior", "Refers to an earlier examination", ("yes", "no"), _prior),
    Grouping("by_named_size", "Text names a size", ("yes", "no"), _named_size),
    Grouping("by_named_side", "Text names a side", ("one", "both", "none"), _named_side),
    Grouping("by_entities", "Entities", ("one", "several", "none"), _entities),
    Grouping("by_words", "Words in the text", _LENGTHS, _words),
    Grouping("by_age", "Age in years", _DECADES, _age),
    Grouping("by_sex", "Sex", ("female", "male"), _sex),
)


def members(rows: Sequence[FindingRow]) -> dict[tuple[str, str], list[int]]:
    """Return (key of a grouping, label) -> places in `rows`, in the order of the tables.

    A label without findings is left out, and so is a grouping that is not known of any finding.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for grouping in GROUPINGS:
        labels = [grouping.label(row) for row in rows]
        if set(labels) == {UNKNOWN}:
            continue
        for label in (*grouping.labels, UNKNOWN):
            if label in labels:
                found[grouping.key, label] = [place for place, own in enumerate(labels) if own == label]
    return found


def names_of(groups: Collection[str]) -> dict[str, str]:
    """Return how those of some groups that are in the table are called, in its order: ``by_prior/yes`` -> a name."""
    return {
        group: f"{grouping.title}: {label}"
        for grouping in GROUPINGS
        for label in (*grouping.labels, UNKNOWN)
        if (group := f"{grouping.key}/{label}") in groups
    }
