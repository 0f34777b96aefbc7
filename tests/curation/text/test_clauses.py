"""How far a denial reaches, and how many findings a sentence holds."""

from __future__ import annotations

from curation.text.clauses import phrases_of


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
    """Rule 1 of Figure S4: findings are told apart, and each keeps the place that they share."""
    assert phrases_of("Emphysema and bronchiectasis are observed in both lungs.") == [
        "Emphysema in both lungs",
        "Bronchiectasis in both lungs",
    ]
    assert phrases_of("There are nodules in the upper and lower lobes.") == ["Nodules in the upper and lower lobes"]
    assert phrases_of("Is there a mass?") == []
