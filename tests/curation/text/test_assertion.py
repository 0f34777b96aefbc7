"""Whether a sentence asserts a finding: negation, normality, history, speculation."""

from __future__ import annotations

import pytest

from curation.text.assertion import (
    is_absent_organ,
    is_hedged,
    is_negated,
    is_normal,
    is_seen,
    mentions_prior,
    without_speculation,
)
from curation.text.unseen import is_history, is_told_elsewhere


@pytest.mark.parametrize(
    ("text", "negated"),
    [
        ("No pleural effusion", True),
        ("Pericardial effusion was not observed", True),
        ("Nodule, not seen in the previous examination", False),
        ("Nodule with no significant change", False),
        ("Lesion that cannot be characterized", False),
        ("Ground-glass opacity", False),
        ("There was no mass and no infiltration", True),
        ("Ground-glass opacities without consolidation in the left lower lobe", False),
        ("Emphysema, no bullae", False),
        ("Bronchial wall thickening is no longer seen", True),
        ("Pericardial effusion - no thickening was detected", True),
        ("In mediastinal lymph node stations, no lymph node is observed", True),
        ("Pneumothorax is absent", True),
        ("Pleural effusion: no", True),
        ("Nodule that cannot be clearly distinguished from the vessel", False),
        ("Nodule without calcification is not seen", True),
        ("Interval resolution of the consolidation", True),
        ("No resolution of the consolidation", False),
        ("Consolidation has not resolved", False),
        ("Ground-glass opacities are not fully regressed", False),
        ("Consolidation has cleared in part and has a ground-glass appearance", False),
        ("Cavity in the left upper lobe has closed", True),
        ("Pleural effusion (-), pericardial effusion (-)", True),
        ("Honeycombing: N", True),
        ("Emphysema: [ ]", True),
        ("Pleural empyema can be excluded", True),
        ("Nodules, no more than three", False),
        ("A cluster of nodules has neither grown nor changed in density", False),
        ("Not atelectasis", True),
    ],
)
def test_negation(text: str, negated: bool) -> None:
    """Negation triggers count, unless they speak of change, of earlier images, of certainty, or of what follows."""
    assert is_negated(text) is negated


def test_normality_and_history() -> None:
    """Normal is normal unless something exceeds it; terms of comparison need an earlier report."""
    assert is_normal("Heart size is normal")
    assert is_normal("Lymph nodes without pathological size")
    assert not is_normal("Aorta is wider than normal")
    assert mentions_prior("Stable nodule")
    assert mentions_prior("The nodule remains 5 mm")
    assert mentions_prior("Nodule which was 4 mm before")
    assert mentions_prior("newly developed consolidation")
    assert not mentions_prior("nodule in the right lung")
    assert is_told_elsewhere("Apart from the honeycombing described separately")
    assert is_told_elsewhere("Emphysema discussed elsewhere in the right lung")
    assert not is_told_elsewhere("Nodule described above in the right upper lobe measures 8 mm")


def test_speculation_goes_and_sizes_stay() -> None:
    """What is supposed is cut off, but never with a number."""
    assert without_speculation("Nodule in the liver, suspicious for metastasis") == "Nodule in the liver"
    placed = "Consolidation with high suspicion for Covid-19 pneumonia in both lungs is recommended to be evaluated"
    assert without_speculation(placed) == "Consolidation in both lungs"
    only = "Increase in density evaluated in favor of atelectasis in the left lung"
    assert without_speculation(only) == only
    likely = "Bronchiectasis, most likely traction type, in both lungs"
    assert without_speculation(likely) == "Bronchiectasis in both lungs"
    alone = "Small effusion is suspected on the left"
    assert without_speculation(alone) == alone
    kept = "Lesion suspicious for metastasis, 28x17 mm"
    assert without_speculation(kept) == kept


def test_hedges_history_and_missing_organs() -> None:
    """A hedge leaves open what is there; history is not the image; an organ that is gone is a finding."""
    assert is_hedged("A mass cannot be excluded in the right hilum")
    assert not is_hedged("Consolidation in the right hilum")
    assert is_history("It was learned that the patient underwent lobectomy")
    assert not is_history("Consolidation in a patient with a history of tuberculosis")
    assert not is_history("The patient has a mosaic attenuation pattern")
    assert is_absent_organ("Right kidney was not observed (nephrectomy)")
    assert not is_absent_organ("Kidney stone was not observed")
    assert not is_absent_organ("The spleen was not observed within the field of view")


@pytest.mark.parametrize(
    "text",
    [
        "In the previous examination, a mass is observed in the lingula",
        "Similar nodules can be seen in viral pneumonia",
        "Lymphoma can cause a similar appearance",
        "Lymphoma involvement can also be in the form of nodules",
        "When the previous examination is reviewed, there is a mass in the lingula",
        "Fibrosis is in the differential diagnosis of this opacity",
        "In the differential diagnosis, pneumonia is found",
        "Metastasis cannot be excluded",
        "Embolism of the right lung could not be excluded without contrast",
        "Exclusion of infection and follow-up of the mass are recommended",
        "If embolism is suspected, angiography is recommended",
        "CT angiography to exclude embolism",
        "Lymphoma on follow-up",
        "Stable in the case followed for a tumor",
        "Because of streak artifacts, the examination is suboptimal",
        "Borders of the prosthesis are smooth",
        "Muscle planes of the right chest wall",
        "Indication: rule out pulmonary embolism",
        "Current smoker, history of emphysema",
        "Left lung, previously with extensive atelectasis, is now well aerated",
        "The 2019 study had shown pleural effusions",
        "Nodules on the chest radiograph correspond to nipple shadows",
        "Nodules of the other hospital turn out to be vessels",
        "Evaluation for small nodules is limited by motion",
        "Were a nodule to develop, follow-up would be indicated",
        "Differential diagnosis atelectasis",
    ],
)
def test_what_is_named_and_not_seen(text: str) -> None:
    """Earlier findings, diseases in question, reasons for advice, who the patient is, and bare parts are not seen."""
    assert not is_seen(text)


@pytest.mark.parametrize(
    "text",
    [
        "Mass cannot be excluded in the right hilum",
        "Opacities in the lingula, which can be seen in viral pneumonia",
        "Nodule in a patient with known lymphoma",
        "Nodule in the lingula, which was not clearly seen in the previous examination",
        "The aeration of the lower lobes was markedly decreased",
        "Nodule whose borders are smooth",
        "Thickened muscle planes of the right chest wall",
        "Nodule, if stable, needs no further examination",
    ],
)
def test_what_is_seen_beside_such_words(text: str) -> None:
    """A finding with a place, or beside a disease, a condition or an outline, stays one."""
    assert is_seen(text)
