"""The rules on real scans and real texts, where these lie; floors a little below what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from plugins.rules.grounding import parse, segment
from plugins.rules.grounding.anatomy import find_anatomy
from plugins.rules.grounding.grid import COARSE_MM, canonical, enlarged

#: Case, finding, least Dice.
FLOORS = [
    ("realct_lung1_a_1", "0", 0.85),
    ("realct_ibsi_a_1", "0", 0.45),
    ("realct_partsolid_a_1", "0", 0.5),
    ("realct_partsolid_a_1", "1", 0.8),
    ("realct_cip_a_1", "0", 0.99),
    ("realct_cip_a_1", "1", 0.99),
    ("realct_elastix_a_1", "0", 0.95),
]


def dice(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(2 * np.logical_and(a, b).sum() / (a.sum() + b.sum()))


def _case(root: Path, name: str) -> dict[str, Any]:
    splits = json.loads((root / "realct" / "dataset.json").read_text(encoding="utf-8"))
    return next(case for cases in splits.values() for case in cases if case["name"] == f"{name}.nii.gz")


@pytest.mark.parametrize(("name", "finding", "least"), FLOORS)
def test_a_real_finding_is_segmented(real_data: Path, name: str, finding: str, least: float) -> None:
    """Dice against the released outline."""
    case = _case(real_data, name)
    ct: Any = nib.load(real_data / "realct" / "ct" / case["name"])
    labels: Any = nib.load(real_data / "realct" / "seg" / case["name"])
    truth = np.asarray(labels.dataobj[int(finding)]) > 0
    mask = segment(np.asarray(ct.dataobj), ct.affine, [case["findings"][finding]])[0]
    assert dice(mask, truth) > least


@pytest.mark.parametrize(("name", "right"), [("realct_lung1_a_1", (1,)), ("realct_cip_a_1", (1, 2, 3))])
def test_real_lungs_are_found_and_told_apart(real_data: Path, name: str, right: tuple[int, ...]) -> None:
    """Both lungs and the right one against the labels that come with the scans."""
    ct: Any = nib.load(real_data / "realct" / "ct" / f"{name}.nii.gz")
    labels: Any = nib.load(real_data / "realct" / "anatomy" / f"{name}.nii.gz")
    full, _ = canonical(np.asarray(ct.dataobj), ct.affine)
    truth = canonical(np.asarray(labels.dataobj), ct.affine)[0].hu
    factors = full.factors(COARSE_MM)
    anatomy = find_anatomy(full.reduced(factors))
    assert anatomy.sided
    assert dice(enlarged(anatomy.lungs, factors, truth.shape), (truth > 0) & (truth != 7)) > 0.96
    assert dice(enlarged(anatomy.right, factors, truth.shape), np.isin(truth, right)) > 0.96


def test_the_category_of_real_prompts_is_read_from_the_text(real_data: Path) -> None:
    """At least 94 % of the public validation prompts are filed as their annotators filed them."""
    path = real_data / "text" / "rex_val_prompts.json"
    if not path.is_file():
        pytest.skip(f"no prompts at {path}")
    pairs = [
        (parse(text).category, case["categories"][number])
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]
        for number, text in case["findings"].items()
    ]
    assert np.mean([read == filed for read, filed in pairs]) >= 0.94
