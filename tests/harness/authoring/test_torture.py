"""The made-up CTs hold what they should, in the form that they say, and nothing that the harness would refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from harness.authoring.torture import forms, write_torture
from harness.dataset import open_dataset

pytestmark = pytest.mark.costly


@pytest.mark.parametrize("boxed", [False, True])
def test_the_forms_hold_the_same_voxels(boxed: bool, tmp_path: Path) -> None:
    """Read by a library that knows NIfTI, every form has the HU and the place in the body that it should."""
    chosen = list(forms(boxed=boxed))
    names = write_torture(tmp_path / "set", chosen)
    plain = chosen[0]
    corner = plain.affine @ [3, 5, 7, 1]
    for form, name in zip(chosen, names, strict=True):
        image: Any = nib.load(tmp_path / "set" / "ct" / f"{name}{form.suffix}")
        np.testing.assert_array_equal(np.asarray(image.dataobj), form.ct)
        np.testing.assert_allclose(image.affine, form.affine, atol=1e-3)
        if form.held == "same":
            np.testing.assert_array_equal(image.affine, plain.affine)
        if form.held != "alone":
            np.testing.assert_array_equal(form.back(form.ct), plain.ct)
            place = np.linalg.inv(form.affine) @ corner
            assert form.ct[tuple(np.rint(place[:3]).astype(int))] == plain.ct[3, 5, 7]
    assert len({form.words for form in chosen}) == len(chosen)
    assert max(len(text) for form in chosen for text in form.texts) >= 8000


def test_the_set_is_sound(tmp_path: Path) -> None:
    """Nothing that the harness itself would refuse is asked of a model; the reversed set holds the same cases."""
    chosen = list(forms(boxed=False))
    names = write_torture(tmp_path / "one", chosen)
    reversed_names = write_torture(tmp_path / "two", chosen, last_first=True)
    assert sorted(names) == sorted(reversed_names)
    assert names == reversed_names[::-1]
    one, two = (json.loads((tmp_path / name / "dataset.json").read_text(encoding="utf-8")) for name in ("one", "two"))
    texts = [[case["findings"] for case in index["test"]] for index in (one, two)]
    assert texts[0] == texts[1]
    dataset = open_dataset(tmp_path / "one")
    assert {name: len(cases) for name, cases in dataset.splits.items()} == {"train": 4, "val": 1, "test": len(chosen)}
