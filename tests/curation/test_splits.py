"""Splits by patient: shares, exact numbers, categories in proportion, and only what was drawn with all entities."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from curation.splits import ToSplit, split_scans
from harness.errors import DataError, UsageError


def scans(count: int, per_patient: int = 1, rare: int = 10) -> dict[str, ToSplit]:
    """Return scans, each tenth with a category of its own."""
    return {f"s_{n}": ToSplit(f"p_{n // per_patient}", ("2d", "2b") if n % rare else ("2g",)) for n in range(count)}


def test_split_by_patient() -> None:
    """The split depends on names, shares and seed, not on order; every wanted split gets a patient."""
    given = scans(40)
    split = split_scans(given, 0.1, 0.2, 0)
    assert split == split_scans(dict(reversed(given.items())), 0.1, 0.2, 0)
    assert split != split_scans(given, 0.1, 0.2, 1)
    assert [list(split.values()).count(name) for name in ("train", "val", "test")] == [28, 4, 8]
    assert set(split_scans(scans(3), 0.01, 0.01, 0).values()) == {"train", "val", "test"}
    assert set(split_scans(given, 0, 0, 0).values()) == {"train"}
    with pytest.raises(UsageError):
        split_scans(given, 0.6, 0.6, 0)


@pytest.mark.parametrize("stratify", [False, True])
def test_exact_numbers_of_whole_patients(stratify: bool) -> None:
    """The paper's way: so many scans, and no patient in two splits."""
    given = scans(300, per_patient=2) | {"odd": ToSplit("odd", ("2d",))}
    split = split_scans(given, 31, 60, 0, stratify=stratify)
    assert Counter(split.values()) == {"train": 210, "val": 31, "test": 60}
    assert all(
        len({split[s] for s in given if given[s].patient == p}) == 1 for p in {g.patient for g in given.values()}
    )
    with pytest.raises(DataError, match="should have 3 scans, which whole patients do not make"):
        split_scans(scans(10, per_patient=2), 0, 3, 0)


def test_categories_in_proportion() -> None:
    """With 10 % of a rare category, a stratified test set of 20 has 2 of them for every seed."""
    given = scans(200)
    for seed in range(5):
        split = split_scans(given, 20, 20, seed, stratify=True)
        for name in ("val", "test"):
            assert sum(given[scan].categories == ("2g",) for scan in split if split[scan] == name) == 2
    plain = [split_scans(given, 0, 20, seed) for seed in range(5)]
    assert np.ptp([sum(given[s].categories == ("2g",) for s in p if p[s] == "test") for p in plain]) > 0


def test_scans_with_some_entities_only_stay_in_train() -> None:
    """And where there are too few others, that is said."""
    given = {name: ToSplit(s.patient, s.categories, exhaustive=n < 10) for n, (name, s) in enumerate(scans(40).items())}
    split = split_scans(given, 4, 6, 0)
    assert {name for name in split if split[name] != "train"} == {f"s_{n}" for n in range(10)}
    with pytest.raises(DataError, match="drawn with all entities"):
        split_scans(given, 5, 6, 0)
