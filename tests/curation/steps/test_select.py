"""Which findings and scans can be annotated."""

from __future__ import annotations

import pytest

from curation.records import CategorizedReport
from curation.steps import select


@pytest.mark.parametrize(
    ("text", "category", "reason"),
    [
        ("Nodule in the right lung", "2d", ""),
        ("Cyst in the liver", "3b", "outside"),
        ("Mosaic attenuation in both lungs", "1d", "too diffuse"),
        ("Intrapulmonary lymph node on the fissure", "2d", "normal variant"),
        ("Azygos lobe", "1f", "normal variant"),
        ("Covid-19 pneumonia", "2b", "not localizable"),
        ("Consolidation consistent with pneumonia", "2b", ""),
        ("Right upper lobectomy", "2h", "not localizable"),
        ("5 mm nodule in this localization", "2d", "another sentence"),
        ("Nodule of the described level in the right upper lobe", "2d", ""),
        ("It was evaluated in favor of metastasis", "2d", "no object of its own"),
        ("Thickening of the major fissure on the right", "2e", ""),
        ("Around which ground-glass areas", "2c", "no object of its own"),
        ("Findings are compatible with infiltration", "2b", "no object of its own"),
        ("Findings consistent with emphysema in both lungs", "1c", ""),
        ("Air bronchogram", "2b", "no object of its own"),
        ("Around the consolidation area in the right upper lobe", "2b", "no object of its own"),
        ("Traction bronchiectasis in the vicinity", "1b", "another sentence"),
        ("Right lung was not observed", "2b", "no longer present"),
        ("Masses of the right chest wall", "2d", "by its place"),
        ("Mass of the anterior mediastinum, not invading the lung", "2d", "by its place"),
        ("New consolidation beyond it", "2b", "another sentence"),
        ("Nodule beside the mediastinum in the left upper lobe", "2d", ""),
    ],
)
def test_what_can_be_annotated(text: str, category: str, reason: str) -> None:
    """Section 3.3: outside lung and pleura, too diffuse, normal variants and what has no place are left out."""
    found = select.why_not(text, category)
    assert reason in found if reason else found == ""


def test_scans_come_by_id() -> None:
    """The scan-level filter keeps scans with findings, by id in natural order, up to the limit."""
    finding = {"text": "Nodule", "codes": ["L0"], "abnormal": True, "prior": False, "category": "2d"}
    reports = [
        select.select(CategorizedReport.model_validate({"id": name, "findings": [finding] if has else []}))
        for name, has in [("t_10_a", True), ("t_9_a", True), ("t_1_a", False), ("t_2_a", True)]
    ]
    assert [report.id for report in select.choose_scans(reports)] == ["t_2_a", "t_9_a", "t_10_a"]
    assert [report.id for report in select.choose_scans(reports, 1)] == ["t_2_a"]
