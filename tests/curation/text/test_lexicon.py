"""The words that name findings, whatever hyphens and blanks they are written with."""

from __future__ import annotations

import re

from curation.classifier.spelling import phrases
from curation.text.clauses import phrases_of
from curation.text.lexicon import concepts, mentions


def test_lookalike_hyphens_and_blanks_hide_no_finding() -> None:
    """A non-breaking hyphen or blank, as word processors write, is read as the usual one; the text keeps it."""
    text = "Ground\u2011glass opacity and pleural\u00a0effusion"
    assert {"ground_glass", "pleural_effusion"} <= {found.concept.name for found in mentions(text)}
    assert phrases_of(text) == ["Ground\u2011glass opacity", "Pleural effusion"]


def test_the_index_finds_what_a_search_finds() -> None:
    """Trying only the concepts that can begin with a word's first letters finds what a search for every one finds."""
    texts = [*(text for ours in phrases().values() for text in ours), "Segment 4b at 3 cm: oedema, laterobasal"]
    for text in texts:
        found = {mention.concept.name: mention.start for mention in mentions(text)}
        for name, concept in concepts().items():
            match = re.search(rf"(?<![A-Za-z])(?:{concept.pattern.pattern})", text, re.IGNORECASE)
            assert found.get(name) == (match.start() if match else None), (name, text)
