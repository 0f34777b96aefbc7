"""Rewording into American usage changes words and no number."""

from __future__ import annotations

from curation.text import measurements, places
from curation.text.sentences import split_sentences
from curation.text.wording import american, is_irrelevant, without_preface


def test_wording_is_american_and_keeps_numbers() -> None:
    """Terms are replaced, prefaces dropped, irrelevant comments known; numbers, sides and lobes survive."""
    sentence = "Millimetric sequelae changes of 3 mm in the left lung lower lobe"
    rewritten = american(sentence)
    assert rewritten == "Subcentimeter scarring of 3 mm in the left lung lower lobe"
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
