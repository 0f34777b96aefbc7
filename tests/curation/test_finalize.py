"""The last step: split by patient, written once, never over somebody's work."""

from __future__ import annotations

from curation.finalize import split_patients


def test_split_by_patient() -> None:
    """The split depends on names, shares and seed, not on order; every wanted split gets a patient."""
    patients = [f"p_{n}" for n in range(40)]
    split = split_patients(patients, 0.1, 0.2, 0)
    assert split == split_patients(patients[::-1], 0.1, 0.2, 0)
    assert split != split_patients(patients, 0.1, 0.2, 1)
    assert [list(split.values()).count(name) for name in ("train", "val", "test")] == [28, 4, 8]
    assert set(split_patients(patients[:3], 0.01, 0.01, 0).values()) == {"train", "val", "test"}
    assert set(split_patients(patients, 0, 0, 0).values()) == {"train"}
