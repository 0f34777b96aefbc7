"""Sizes in a report: read in any wording, rounded by the paper's rule."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.text import measurements


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


def test_a_unit_that_two_sizes_share() -> None:
    """The first number of "4 and 3 mm" is a length, and that of "segment 4 and 3 mm" is not; COVID-19 has no number."""
    assert measurements.numbers("nodules of 4 and 3 mm") == {"4 mm", "3 mm"}
    assert measurements.numbers("4, 6 and 9 mm") == {"4 mm", "6 mm", "9 mm"}
    assert measurements.numbers("in segment 4 and 3 mm large") == {"4", "3 mm"}
    assert measurements.numbers("Covid-19 pneumonia") == measurements.numbers("COVID pneumonia") == frozenset()
