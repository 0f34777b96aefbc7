"""Lobes from an anatomy mask, and where a finding lies among them."""

from __future__ import annotations

import pytest

from curation.qc.anatomy import Anatomy, look
from curation.qc.checks import Drawn, check_finding
from harness.dataset import Case, Finding
from tests.curation.qc.conftest import SPACING, both, box, chest


@pytest.fixture(scope="module")
def lobed(case: Case) -> Anatomy:
    """Lungs from an anatomy mask."""
    assert case.ct is not None
    return look(case, chest(), case.ct.parent / "anatomy.nii.gz")


@pytest.mark.parametrize(
    ("text", "drawn", "codes"),
    [
        ("Nodule in the right middle lobe", box(20, 30, 26), []),
        ("Nodule in the right middle lobe", box(20, 30, 40), ["lobe"]),
        ("Nodule in the lingula", box(50, 30, 40), []),
        ("Nodule in the lingula", box(50, 30, 10), ["lobe"]),
        ("Nodule in the left lower lobe", box(20, 30, 10), ["laterality", "lobe"]),
        ("Nodules in the upper lobes of both lungs", both(box(20, 30, 40), box(50, 30, 40)), []),
    ],
)
def test_lobes_by_an_anatomy_mask(lobed: Anatomy, text: str, drawn: Drawn, codes: list[str]) -> None:
    """With lobes at hand the lobe of the text is checked exactly."""
    finding = Finding(0, "0", text, "2d")
    assert [problem.code for problem in check_finding(finding, drawn, lobed, SPACING, "x")] == codes
