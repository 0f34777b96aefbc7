"""A step is a value; its schemas say exactly what an answer may hold."""

from __future__ import annotations

from curation.steps.step import WrongAnswer, closed


def test_a_closed_schema_asks_for_every_property_and_no_other() -> None:
    """As strict structured outputs want it."""
    schema = closed({"text": {"type": "string"}, "n": {"type": "integer"}})
    assert schema["required"] == ["text", "n"]
    assert schema["additionalProperties"] is False


def test_a_wrong_answer_carries_what_is_wrong() -> None:
    """The violations are quoted to the model, word by word."""
    assert WrongAnswer(["a", "b"]).violations == ["a", "b"]
