"""The words that name findings, whatever hyphens and blanks they are written with."""

from __future__ import annotations

from curation.text.clauses import phrases_of
from curation.text.lexicon import mentions


def test_lookalike_hyphens_and_blanks_hide_no_finding() -> None:
    """A non-breaking hyphen or blank, as word processors write, is read as the usual one; the text keeps it."""
    text = "Ground\u2011glass opacity and pleural\u00a0effusion"
    assert {"ground_glass", "pleural_effusion"} <= {found.concept.name for found in mentions(text)}
    assert phrases_of(text) == ["Ground\u2011glass opacity", "Pleural effusion"]
