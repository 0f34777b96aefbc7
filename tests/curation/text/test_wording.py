"""Rewording into American usage changes words and no number."""

from __future__ import annotations

import re

import pytest

from curation.text import measurements, places
from curation.text.sentences import split_sentences
from curation.text.wording import american, is_irrelevant, without_preface


def test_wording_is_american_and_keeps_numbers() -> None:
    """Terms are replaced, prefaces dropped, irrelevant comments known; numbers, sides and lobes survive."""
    sentence = "Millimetric sequelae changes of 3 mm in the left lung lower lobe"
    rewritten = american(sentence)
    assert rewritten == "Subcentimeter scarring changes of 3 mm in the left lung lower lobe"
    assert not measurements.lost(sentence, rewritten)
    assert without_preface("When examined in the lung parenchyma window; A nodule") == "A nodule"
    assert is_irrelevant("Patient 14.10.")
    assert not is_irrelevant("Patient has a nodule.")


def test_rewording_changes_no_number_in_any_real_sentence(real_reports: list[dict[str, str]]) -> None:
    """In every sentence of every third real report, rewording and rounding conserve numbers, sides and lobes."""
    for row in real_reports[::3]:
        for sentence in split_sentences(row["Findings_EN"]):
            rewritten = american(sentence)
            assert not measurements.lost(sentence, rewritten)
            assert not measurements.invented(rewritten, [sentence])
            assert not places.lost(sentence, rewritten)
            assert not measurements.lost(sentence, measurements.round_sizes(rewritten), rounded=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Bone structures in the study area are natural.", "Bone structures within the field of view are normal."),
        ("Esophagus calibration was normal.", "Esophagus was normal in caliber."),
        ("The calibrations of the arteries are natural.", "The calibers of the arteries are normal."),
        ("Sequela density increases were observed.", "Scarring changes were observed."),
        ("Pleuroparenchymal sequelae were observed.", "Pleuroparenchymal scarring was observed."),
        ("Linear sequelae and bronchiectasis were observed.", "Linear scarring and bronchiectasis were observed."),
        ("Changes consistent with sequelae are seen.", "Changes consistent with scarring are seen."),
        ("Sequela fracture of the 4th rib.", "Old fracture of the 4th rib."),
        ("A budding tree appearance is seen.", "A tree-in-bud pattern is seen."),
        ("Budding tree appearances are seen.", "Tree-in-bud patterns are seen."),
        ("Vertebral corpuscles are intact.", "Vertebral corpuscles are intact."),
        ("Linear density increases were seen.", "Linear increased densities were seen."),
        ("Ground-glass density increase was seen.", "Ground-glass density increase was seen."),
        ("No enlarged lymph nodes in pathological size.", "No enlarged lymph nodes in pathological size."),
    ],
)
def test_replacements_are_grammatical(before: str, after: str) -> None:
    """A replacement ends at the end of a word, and keeps or corrects the verb that follows it."""
    assert american(before) == after


def test_no_replacement_makes_a_word_that_reports_do_not_have(real_reports: list[dict[str, str]]) -> None:
    """Of all real reports, rewriting adds only the words that it is there to add."""
    sections = (row[name] for row in real_reports for name in ("Findings_EN", "Impressions_EN"))
    texts = [sentence for section in sections for sentence in split_sentences(section)]
    known = {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}
    after = {word for text in texts for word in re.findall(r"[a-z]+", american(text).lower())}
    assert after - known <= {"subcentimeter", "scarring", "patent", "calibers"}


def test_what_an_old_calcification_is_called() -> None:
    """What is calcified and called "sequela" is old, and no scar; a preface that names no place goes."""
    assert american("Sequela calcifications in the liver.") == "Old calcifications in the liver."
    assert american("Sequelae in the apex.") == "Scarring in the apex."
    whole = "When both lung parenchyma windows are evaluated; emphysema in both lungs."
    assert without_preface(whole) == "Emphysema in both lungs."
    placed = "In the evaluation of the left upper lobe; nodules."
    assert without_preface(placed) == placed
