"""Texts are worded as reports word them, and keep what they say."""

from __future__ import annotations

import re

import numpy as np

from harness.categories import CATEGORIES
from harness.phantom.wording import word

PLAIN = "12 x 9 mm nodule in the right lung"


def test_half_of_the_texts_stay_plain_and_the_others_say_more() -> None:
    """Hedges, comparisons, negations, centimetres and other findings are all there; the finding comes first."""
    codes = sorted(CATEGORIES)
    texts = [text for seed in range(20) for text in word([PLAIN] * len(codes), codes, np.random.default_rng(seed))]
    for words in (
        "possibly|probably|likely|suggestive of|suspicious for",
        "previous examination|compared to prior",
        "without",
        r"1\.2 x 0\.9 cm",
        "apart from the .* described separately",
    ):
        assert any(re.search(words, text) for text in texts), words
    assert all(re.match(r"(12 x 9 mm|1\.2 x 0\.9 cm) nodule in the right lung(, |$)", text) for text in texts)
    plain = [text for text in texts if "," not in text]
    assert 0.35 < len(plain) / len(texts) < 0.65


def test_a_finding_alone_is_set_against_no_other() -> None:
    """With one category in a case nothing else is described separately; the same stream gives the same words."""
    texts = [word([PLAIN], ["2d"], np.random.default_rng(seed)) for seed in range(40)]
    assert not any("separately" in text for (text,) in texts)
    assert texts == [word([PLAIN], ["2d"], np.random.default_rng(seed)) for seed in range(40)]
