"""The terms of a data set: three answers, unknown until stated, known for CT-RATE by the names of its scans."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from harness.dataset import Dataset, open_dataset
from harness.dataset.terms import CT_RATE, Terms, strictest, terms_of
from harness.errors import DataError
from harness.status import Answer

QUESTIONS = [name for name, field in Terms.model_fields.items() if field.annotation is Answer]


def test_what_nobody_stated_is_unknown() -> None:
    """A licence's name answers no question."""
    terms = terms_of(None, ["case_1"], "CC BY 4.0")
    assert terms.licence == "CC BY 4.0"
    assert {getattr(terms, name) for name in QUESTIONS} == {Answer.UNKNOWN}
    assert terms.lacks("texts", "images") == ["texts: unknown", "images: unknown"]
    assert not terms.pictures


@pytest.mark.parametrize(("one", "other"), list(itertools.product(Answer, repeat=2)))
def test_the_strictest_statement_wins(one: Answer, other: Answer) -> None:
    """No is stronger than yes, and yes than unknown, in any order."""
    both = [Terms(texts=one, licence="A"), Terms(texts=other, licence="B")]
    wanted = Answer.NO if Answer.NO in {one, other} else Answer.YES if Answer.YES in {one, other} else Answer.UNKNOWN
    assert strictest(both).texts == strictest(both[::-1]).texts == wanted
    assert strictest(both).licence == "A / B"
    assert strictest([]) == Terms()


@pytest.mark.parametrize("name", ["train_1741_b_2", "valid_9_a_1"])
def test_scans_of_ct_rate_are_known_by_their_names(name: str) -> None:
    """What a folder states about them does not free them; the owners' written permission does."""
    free = Terms(texts=Answer.YES, images=Answer.YES, masks=Answer.YES)
    assert terms_of(free, ["case_1", name]).lacks("texts", "images", "masks") == [
        "texts: no",
        "images: no",
        "masks: no",
    ]
    assert terms_of(None, [name]) == CT_RATE
    allowed = free.model_copy(update={"permission": "the owners, by letter, 1 December 2026"})
    assert terms_of(allowed, [name]).pictures
    assert terms_of(free, ["xtrain_1_a_1", "train_1_a"]).pictures


def _stated(root: Path, terms: dict[str, str]) -> Dataset:
    (root / "dataset.json").write_text(json.dumps({"test": [{"name": "a.nii.gz", "findings": {"0": "nodule"}}]}))
    (root / "groundbench.json").write_text(json.dumps({"licence": "own", "terms": terms}))
    return open_dataset(root)


def test_notes_state_the_terms(tmp_path: Path) -> None:
    """They are read from groundbench.json, with the licence that stands beside them."""
    terms = _stated(tmp_path, {"texts": "yes", "read_on": "2026-11-29"}).terms
    assert (terms.texts, terms.images, terms.licence) == (Answer.YES, Answer.UNKNOWN, "own")


@pytest.mark.parametrize("terms", [{"texts": "perhaps"}, {"text": "yes"}, {"read_on": "some day"}])
def test_terms_that_cannot_be_read_are_refused(tmp_path: Path, terms: dict[str, str]) -> None:
    """An unknown question or answer is an error of the data set, never a yes."""
    with pytest.raises(DataError, match=rf"groundbench.json: terms\.{next(iter(terms))}"):
        _stated(tmp_path, terms)
