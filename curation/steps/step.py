"""What a step is: records in and out, a way to do it offline, rules for the result, and how to ask a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from curation.records import Record

In = TypeVar("In", bound=Record)
Out = TypeVar("Out", bound=Record)


class WrongAnswer(ValueError):  # noqa: N818 - it is an answer that is wrong, not the program
    """A model's answer breaks the schema, or a rule; `violations` says how, in words for the model."""

    def __init__(self, violations: list[str]) -> None:
        super().__init__("; ".join(violations))
        self.violations = violations


@dataclass(frozen=True)
class Question(Generic[In, Out]):
    """How a language model is asked to do a step."""

    prompt: str  #: name of the prompt, without ``.md``
    content: Callable[[In], str]  #: what the user message says
    schema: Callable[[In], dict[str, Any]]  #: JSON schema of the answer
    read: Callable[[In, Mapping[str, Any]], Out]  #: answer -> record; raises WrongAnswer
    #: The same for a prompt set that answers in the form printed in the paper's figures.
    paper_form_schema: Callable[[In], dict[str, Any]]
    read_paper_form: Callable[[In, Mapping[str, Any]], Out]


@dataclass(frozen=True)
class Step(Generic[In, Out]):
    """One step of the pipeline."""

    name: str
    source: type[In]
    result: type[Out]
    offline: Callable[[In], Out]
    check: Callable[[In, Out], list[str]]  #: every rule that the result breaks, in words; empty: none
    question: Question[In, Out] | None = None  #: None: needs no language model
    needless: Callable[[In], bool] = lambda _: False  #: whether there is nothing to ask about


def closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an object with exactly these properties, as strict structured outputs want it."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
