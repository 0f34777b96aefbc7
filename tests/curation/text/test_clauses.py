"""How far a denial reaches, and how many findings a sentence holds."""

from __future__ import annotations

import pytest

from curation.steps.extract import is_abnormal
from curation.text.clauses import phrases_of
from curation.text.questions import asserted


def test_a_denial_does_not_reach_over_a_semicolon_or_an_exception() -> None:
    """What is seen is its own phrase beside what is not, so that neither takes the other along."""
    effusion = "No pleural effusion or pneumothorax"
    assert phrases_of(f"{effusion}; bilateral atelectasis in both lower lobes.") == [
        effusion,
        "Bilateral atelectasis in both lower lobes",
    ]
    assert phrases_of("Left pleural effusion of 4.5 cm; right pleural effusion was not seen.") == [
        "Left pleural effusion of 4.5 cm",
        "Right pleural effusion was not seen",
    ]
    assert phrases_of("No mass other than a 6 mm calcified nodule in the right upper lobe.") == [
        "No mass",
        "6 mm calcified nodule in the right upper lobe",
    ]
    assert phrases_of("Neither pneumothorax nor effusion, but bilateral pleural thickening.") == [
        "Neither pneumothorax nor effusion",
        "Bilateral pleural thickening",
    ]
    assert phrases_of("There is a nodule which was 4 mm before and is 6 mm now.") == [
        "Nodule which was 4 mm before and is 6 mm now"
    ]
    assert phrases_of("There are nodules in both lungs; the largest is 8 mm.") == [
        "Nodules in both lungs; the largest is 8 mm"
    ]


def test_one_phrase_one_finding() -> None:
    """Rule 1 of Figure S4: findings are separated, and each keeps the place that they share."""
    assert phrases_of("Emphysema and bronchiectasis are observed in both lungs.") == [
        "Emphysema in both lungs",
        "Bronchiectasis in both lungs",
    ]
    assert phrases_of("There are nodules in the upper and lower lobes.") == ["Nodules in the upper and lower lobes"]
    assert phrases_of("Is there a mass?") == ["Mass?"]


@pytest.mark.parametrize(
    ("sentence", "phrases"),
    [
        ("No pleural effusion, pneumothorax or consolidation was seen.", []),
        ("No pericardial, pleural effusion or thickening was detected.", []),
        ("Neither consolidation, ground-glass opacity nor cavitation is seen.", []),
        ("There is no pericardial effusion, pleural thickening or pneumothorax.", []),
        ("No fracture, lytic lesion was observed; osteophytes are seen.", ["Osteophytes"]),
        ("No effusion, however bilateral pleural thickening is seen.", ["Bilateral pleural thickening"]),
        ("No infiltration was seen, only linear atelectasis on the left.", ["Linear atelectasis on the left"]),
        ("Apart from a 7 mm nodule in the lingula, no mass was observed.", ["7 mm nodule in the lingula"]),
        ("No lesion in the liver except for a 12 mm cyst in segment 6.", ["12 mm cyst in segment 6"]),
        ("No consolidation although ground-glass opacities are seen.", ["Ground-glass opacities"]),
        ("Emphysema in both upper lobes, no bulla, cyst or nodule.", ["Emphysema in both upper lobes"]),
        ("Emphysema is present, no bulla, cyst or nodule was seen.", ["Emphysema"]),
        ("The trachea is deviated to the right, its lumen is open.", ["Trachea is deviated to the right"]),
        ("Absence of the left breast; a 2 cm seroma.", ["Absence of the left breast", "2 cm seroma"]),
        ("Emphysema in both lungs, a finding in favor of pneumonia not seen.", ["Emphysema in both lungs"]),
        ("The calcified nodule does not carry a risk.", ["Calcified nodule does not carry a risk"]),
        ("It does not carry a risk of metastasis.", []),
        ("Opacities without consolidation in the lingula.", ["Opacities without consolidation in the lingula"]),
        ("Near the scar, a density that may be compatible with a tumor was not seen.", []),
        ("The consolidation of the left lower lobe has fully regressed.", []),
        ("Embolism was excluded.", []),
        ("The mass has resolved with residual scarring in the lingula.", ["Residual scarring in the lingula"]),
        ("No active infiltrate. Scarring in the lingula.", ["Scarring in the lingula"]),
        ("No abnormal density, mass, or nodule, and the pleura is without thickening.", []),
        ("No nodule other than the 4 mm one in the lingula.", ["4 mm nodule in the lingula"]),
        ("No bronchiectasis except in the lingula.", ["Bronchiectasis in the lingula"]),
        ("No nodules apart from two calcified ones on the right.", ["Two calcified nodules on the right"]),
        ("The lungs are normal aside from a granuloma in the lingula.", ["Granuloma in the lingula"]),
        ("Apart from a bulla at the left apex, the lungs are clear.", ["Bulla at the left apex"]),
        ("Small effusion on the right, none on the left.", ["Small effusion on the right"]),
        ("No pneumothorax after biopsy, minimal effusion.", ["Minimal effusion"]),
        ("Effusion is not seen on the right; on the left, scant effusion.", ["On the left, scant effusion"]),
        ("The cavity has closed, leaving a scar in the lingula.", ["Scar in the lingula"]),
        ("Ground-glass opacity: [ ] Consolidation: [x] left lower lobe.", ["Consolidation: [x] left lower lobe"]),
    ],
)
def test_the_scope_of_a_denial(sentence: str, phrases: list[str]) -> None:
    """A list under one "no" is denied as a whole; a contrast, an exception or an end of the clause ends the denial."""
    assert [text for text in phrases_of(sentence) if is_abnormal(text)] == phrases


@pytest.mark.parametrize(
    ("sentence", "stated"),
    [
        ("Multiple nodules, metastasis in both lungs?", "Multiple nodules in both lungs."),
        ("Patchy consolidations in both lower lobes, infective?", "Patchy consolidations in both lower lobes."),
        ("Nodule in the lingula (hamartoma?).", "Nodule in the lingula."),
        ("Nodule in the lingula (12 mm, hamartoma?).", "Nodule in the lingula (12 mm)."),
        ("Mass of 5 cm in the mediastinum thymoma?", "Mass of 5 cm in the mediastinum."),
        ("Effusion on the right; secondary to the intervention?", "Effusion on the right."),
        ("Consolidation in the left lower lobe?", "Consolidation in the left lower lobe?"),
    ],
)
def test_what_is_stated_beside_a_question(sentence: str, stated: str) -> None:
    """The question goes, what is seen stays with its sizes and places; a mere question stays one."""
    assert asserted(sentence) == stated


@pytest.mark.parametrize(
    ("sentence", "phrases"),
    [
        (
            "Consolidation, around which ground-glass areas are observed, in the left lung.",
            ["Consolidation, around which ground-glass areas are observed, in the left lung"],
        ),
        ("Consolidation in the lingula, air bronchograms.", ["Consolidation in the lingula, air bronchograms"]),
        (
            "A nodule, which was observed in the previous examination, could not be observed in the current one.",
            ["Nodule, which was observed in the previous examination, could not be observed in the current one"],
        ),
        (
            "Nodules in the right lung; no finding in favor of infiltration in both lungs.",
            ["Nodules in the right lung", "No finding in favor of infiltration in both lungs"],
        ),
        (
            "Tree-in-bud pattern is observed in the lingula and it was evaluated in favor of infection.",
            ["Tree-in-bud pattern in the lingula"],
        ),
        ("Within the limits of the examination; a cyst in the liver.", ["A cyst in the liver"]),
        ("Scarring around it.", ["Scarring around it"]),
    ],
)
def test_no_part_of_a_statement_stands_alone(sentence: str, phrases: list[str]) -> None:
    """What speaks of its own beginning stays with it; what is left of a verb, and a preface, do not."""
    assert phrases_of(sentence) == phrases


@pytest.mark.parametrize(
    ("sentence", "phrases"),
    [
        (
            "Lymph nodes are observed in the mediastinum and both hila, the largest of which is 9 mm.",
            ["Lymph nodes in the mediastinum and both hila, the largest of which is 9 mm"],
        ),
        (
            "Consolidations are seen in the middle lobe and left lower lobe, in which air bronchograms are seen.",
            ["Consolidations in the middle lobe and left lower lobe, in which air bronchograms are seen"],
        ),
        (
            "Opacities are seen in the left lung, posterior and basal segments, and there are cysts in the lingula.",
            ["Opacities in the left lung, posterior and basal segments", "Cysts in the lingula"],
        ),
        (
            "Plaques were observed on the aortic arch and coronary artery walls, and a stent was observed in the LAD.",
            ["Plaques on the aortic arch and coronary artery walls", "Stent in the LAD"],
        ),
        (
            "A nodule is seen in the left lung and the trachea and main bronchi are open.",
            ["Nodule in the left lung", "Trachea and main bronchi are open"],
        ),
        (
            "There are peripheral and central opacities in the lingula.",
            ["Peripheral and central opacities in the lingula"],
        ),
        (
            "Nodules are seen in both lungs, most of which are calcified.",
            ["Nodules in both lungs, most of which are calcified"],
        ),
    ],
)
def test_places_go_on_over_conjunctions(sentence: str, phrases: list[str]) -> None:
    """A verb of a relative clause, or of what follows, does not make a statement of the places before it."""
    assert phrases_of(sentence) == phrases


@pytest.mark.parametrize(
    ("sentence", "phrases"),
    [
        (
            "Emphysema, septal thickening in the upper lobes and consolidation in the lower lobes.",
            [
                "Emphysema in the upper lobes",
                "Septal thickening in the upper lobes",
                "Consolidation in the lower lobes",
            ],
        ),
        (
            "Dilatation of the ascending aorta, bronchiectasis in the lower lobes.",
            ["Dilatation of the ascending aorta", "Bronchiectasis in the lower lobes"],
        ),
        ("Pleural effusion, aneurysm in the aortic arch.", ["Pleural effusion", "Aneurysm in the aortic arch"]),
        ("Adjacent to the mass, nodules in the lingula.", ["Adjacent to the mass, nodules in the lingula"]),
        ("Apart from this nodule, cysts in the lingula.", ["Apart from this nodule, cysts in the lingula"]),
        (
            "A density that may represent a plaque and a stent in the LAD.",
            ["Density that may represent a plaque and a stent in the LAD"],
        ),
        (
            "A nodule is seen in the lingula and is also present in the previous examination.",
            ["Nodule in the lingula and is also present in the previous examination"],
        ),
    ],
)
def test_a_place_belongs_to_its_own_finding(sentence: str, phrases: list[str]) -> None:
    """A finding without a place gets that of the next one, unless either names an organ of its own."""
    assert phrases_of(sentence) == phrases
