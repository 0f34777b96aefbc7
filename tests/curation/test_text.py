"""What is read off words: sentences, sizes, places, negation, history, regions."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.text import measurements, places
from curation.text.assertion import is_negated, is_normal, mentions_prior, without_speculation
from curation.text.clauses import phrases_of
from curation.text.lexicon import mentions
from curation.text.regions import region_of
from curation.text.sentences import is_lossless, split_sentences
from curation.text.wording import american, is_irrelevant, without_preface


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" \n ", 0),
        ("One. Two.", 2),
        ("A 4.5 mm nodule. A cyst.", 2),
        ("A 5 mm. nodule in the lung. It is 5 mm. Stable.", 3),
        ("Fractures of the 7. and 8. ribs. Old.", 2),
        ("Clinical and lab. correlation is advised.", 1),
        ("Lesion (cyst? hemangioma?) in the liver. Spleen is normal.", 2),
        ("Density increas.The heart is normal.", 2),
        ("· Hernia · Emphysema", 2),
        ("Sequela changes  Bilateral nephrolithiasis", 2),
        ("Effusion..\nAtelectasis", 2),
        ("both lungs are clear. both hemithorax are symmetrical.", 2),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, count: int) -> None:
    """Decimals, ordinals, abbreviations and questions in parentheses end no sentence; bullets and lines do."""
    sentences = split_sentences(text)
    assert len(sentences) == count
    assert is_lossless(text, sentences)


@given(st.text(alphabet="aB1 .?!;()\n·-", max_size=60))
def test_no_character_is_ever_lost(text: str) -> None:
    """Whatever the text, its sentences hold all of it, in order."""
    assert is_lossless(text, split_sentences(text))


def test_the_papers_sentences(examples: dict[str, Any]) -> None:
    """The findings of Figure S3 are cut where the paper cut them."""
    sentences = [text for code, text in examples["rewrite_S3"]["input"].items() if code[0] == "F"]
    assert split_sentences(" ".join(sentences)) == sentences


@pytest.mark.parametrize(
    ("text", "rounded"),
    [
        ("9x5x6 mm", "9x5x6 mm"),
        ("4.25 cm", "4.3 cm"),
        ("4.24 cm", "4.2 cm"),
        ("5.5 mm", "6 mm"),
        ("28x17.4 mm", "28x17 mm"),
        ("2-3.6 mm", "2-4 mm"),
        ("1 cm", "1 cm"),
        ("0.3 mm", "0.3 mm"),
        ("2,55 cm", "2.6 cm"),
        ("at T12, 3.14 times", "at T12, 3.14 times"),
    ],
)
def test_sizes_are_rounded_by_the_papers_rule(text: str, rounded: str) -> None:
    """Centimetres to one decimal, millimetres to a whole number, everything else untouched."""
    assert measurements.round_sizes(text) == rounded


@given(st.decimals(min_value="0.6", max_value=300, places=2), st.sampled_from(["mm", "cm"]))
def test_rounding_against_decimal_arithmetic(value: Decimal, unit: str) -> None:
    """An independent rounding of the number alone gives the same, and no size is lost by it."""
    text = f"nodule of {value} {unit}"
    expected = value.quantize(Decimal("0.1") if unit == "cm" else Decimal(1), ROUND_HALF_UP)
    rounded = measurements.round_sizes(text)
    assert Decimal(re.findall(r"[\d.]+", rounded)[0]) == expected
    assert not measurements.lost(text, rounded, rounded=True)


def test_the_same_size_in_other_words() -> None:
    """`9x5x6 mm` is `9 \N{MULTIPLICATION SIGN} 5 \N{MULTIPLICATION SIGN} 6 mm`; 43 mm is 4.3 cm; two is 2."""
    assert measurements.numbers("9x5x6 mm") == measurements.numbers(
        "9 \N{MULTIPLICATION SIGN} 5 \N{MULTIPLICATION SIGN} 6 mm"
    )
    assert measurements.numbers("43 mm") == measurements.numbers("4.3 cm")
    assert not measurements.lost("2 nodules of 3mm", "two nodules, 3 millimeters")
    assert measurements.lost("nodule of 5 mm at T9", "nodule of 6 mm") == ["5 mm", "t9"]
    assert measurements.invented("nodule of 6 mm", ["nodule of 5 mm"]) == ["6 mm"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("both lungs", {"right", "left"}),
        ("right and left hila", {"right", "left"}),
        ("right lung upper, middle and lower lobes", {"right", "upper", "middle", "lower"}),
        ("the lingular segment", {"lingula"}),
        ("upper abdominal organs", set()),
        ("lower lobe of the left lung", {"left", "lower"}),
        ("nodules in RUL, LLL and RML", {"right", "left", "upper", "lower", "middle"}),
    ],
)
def test_places(text: str, named: set[str]) -> None:
    """Sides and lobes are found in any order of words; "upper" is a lobe only with a lobe."""
    assert places.places(text) == named


def test_places_that_anatomy_adds() -> None:
    """The middle lobe is right and the lingula left: saying so invents nothing, leaving it out loses nothing."""
    assert not places.invented("right middle lobe", "middle lobe")
    assert not places.invented("nodule in the left upper lobe", "LUL nodule")
    assert places.invented("nodule in the right upper lobe", "LUL nodule") == ["right"]
    assert not places.lost("left lung lingula", "lingula")
    assert places.lost("left lower lobe", "lower lobe") == ["left"]
    assert places.clashes("left lung", "right lung")
    assert not places.clashes("both lungs", "right lung")


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
    ],
)
def test_negation(text: str, negated: bool) -> None:
    """Negation triggers count, unless they speak of change, of earlier images, of certainty, or of what follows."""
    assert is_negated(text) is negated


def test_a_denial_does_not_reach_over_a_semicolon_or_an_exception() -> None:
    """What is seen is a phrase of its own beside what is not, so that neither takes the other along."""
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


def test_speculation_goes_and_sizes_stay() -> None:
    """What is supposed is cut off, but never with a number."""
    assert without_speculation("Nodule in the liver, suspicious for metastasis") == "Nodule in the liver"
    placed = "Consolidation with high suspicion for Covid-19 pneumonia in both lungs is recommended to be evaluated"
    assert without_speculation(placed) == "Consolidation in both lungs"
    only = "Increase in density evaluated in favor of atelectasis in the left lung"
    assert without_speculation(only) == only
    likely = "Bronchiectasis, most likely traction type, in both lungs"
    assert without_speculation(likely) == "Bronchiectasis in both lungs"
    kept = "Lesion suspicious for metastasis, 28x17 mm"
    assert without_speculation(kept) == kept


def test_lookalike_hyphens_and_blanks_hide_no_finding() -> None:
    """A non-breaking hyphen or blank, as word processors write, is read as the usual one; the text keeps it."""
    text = "Ground\u2011glass opacity and pleural\u00a0effusion"
    assert {"ground_glass", "pleural_effusion"} <= {found.concept.name for found in mentions(text)}
    assert phrases_of(text) == ["Ground\u2011glass opacity", "Pleural effusion"]


def test_one_phrase_one_finding() -> None:
    """Rule 1 of Figure S4: findings are told apart, and each keeps the place that they share."""
    assert phrases_of("Emphysema and bronchiectasis are observed in both lungs.") == [
        "Emphysema in both lungs",
        "Bronchiectasis in both lungs",
    ]
    assert phrases_of("There are nodules in the upper and lower lobes.") == ["Nodules in the upper and lower lobes"]
    assert phrases_of("Is there a mass?") == []


@pytest.mark.parametrize(
    ("sentence", "letter"),
    [
        ("The trachea and both main bronchi are patent.", "L"),
        ("No pericardial effusion.", "H"),
        ("Mediastinal main vascular structures are normal.", "H"),
        ("Lymph nodes in the mediastinum.", "M"),
        ("Sliding type hiatal hernia.", "M"),
        ("Hypodense nodule in the thyroid gland.", "N"),
        ("Gynecomastia.", "C"),
        ("Osteophytes in the vertebrae.", "B"),
        ("A stone in the left kidney.", "A"),
    ],
)
def test_regions(sentence: str, letter: str) -> None:
    """Every sentence goes to the region that an American report would have it in."""
    assert region_of(sentence) == letter


def test_a_sentence_that_names_nothing_stays_with_the_one_before() -> None:
    """Without a named organ the region of the sentence before holds."""
    assert region_of("It has a diameter of 5 mm.", before="A") == "A"


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
