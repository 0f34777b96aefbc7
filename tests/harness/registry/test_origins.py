"""Parameters keep the origins of their values, and are otherwise a dictionary."""

from __future__ import annotations

import json

from harness import Params, ours, paper, theirs


def test_values_are_plain_and_origins_beside_them() -> None:
    """What is hashed and what reaches an adapter does not know of origins."""
    params = Params({"a": 1}, rate=paper(1e-4, "section 4"), decay=theirs(0.05, "train.yaml:12"), batch=ours(4))
    assert json.loads(json.dumps(params)) == {"a": 1, "rate": 1e-4, "decay": 0.05, "batch": 4}
    assert params.origins == {"rate": "paper, section 4", "decay": "upstream, train.yaml:12", "batch": "ours"}


def test_of_two_values_the_later_one_counts_with_its_origin() -> None:
    """An origin never outlives the value that it belongs to."""
    first = Params(rate=paper(1e-4, "section 4"), batch=ours(4))
    assert (first | {"rate": 1e-3}).origins == {"batch": "ours"}
    assert (first | Params(rate=ours(1e-3))).origins == {"rate": "ours", "batch": "ours"}
    assert Params(first, rate=1).origins == {"batch": "ours"}
    assert first.origins["rate"] == "paper, section 4"


def test_a_choice_of_ours_may_say_why() -> None:
    """The reason follows the word."""
    assert Params(depth=ours(64, "memory")).origins == {"depth": "ours: memory"}
