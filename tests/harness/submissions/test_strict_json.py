"""JSON from a stranger: one document, one form."""

from __future__ import annotations

import pytest

from harness.errors import DataError
from harness.submissions.strict_json import read_json, write_json


def test_what_was_written_is_read() -> None:
    """Every digit and every character comes back."""
    document = {"b": [0.1, 1e-300, -5, None, True], "a": {"text": "\u05e8\n\u80ba"}}
    assert read_json(write_json(document), "x.json") == document


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[" * 100_000, "nested more than"),
        (b'{"a":' * 50_000, "nested more than"),
        (write_json([[[]]] * 1).replace(b"[]", b"[" * 60 + b"]" * 60), "more than 24 levels"),
        (b'{\n "a": NaN\n}\n', "NaN is not a number"),
        (b'{\n "a": 1e999\n}\n', "not a finite number"),
        (b"9" * 5000, "is not valid"),
        (b'{\n "a": 1,\n "a": 2\n}\n', "a key is there twice"),
        (b'{"a":1}', "not in the form"),
        (b'{\n "a": "\\u001b[2J"\n}\n', "control characters"),
        (b'{\n "a": "\\ud800"\n}\n', "control characters"),
        (b'{\n "a": 1.0e0\n}\n', "not in the form"),
        (b"{} {}", "is not valid"),
        (b"\xff", "is not valid"),
    ],
)
def test_anything_else_is_refused(content: bytes, why: str) -> None:
    """Depth, numbers that are none, keys twice, another form of the same document."""
    with pytest.raises(DataError, match=why):
        read_json(content, "x.json")
