"""One item of one step: ask, check the answer, ask again with the violation named, and give up with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from curation.llm.prompts import PromptSet
from curation.records import Record
from curation.steps.step import Question, Step, WrongAnswer
from curation.work import Answer, Outcome, key_of
from harness.errors import DataError
from harness.foreign import parse_json

_FENCED = re.compile(r"^(?:```|~~~)\w*[ \t]*\n(.*?)^(?:```|~~~)[ \t]*$", re.DOTALL | re.MULTILINE)
_OPENING_LINE = re.compile(r"^\{", re.MULTILINE)
_SHOWN: Final = 12  # violations named in one message: more of them do not help the model


@dataclass(frozen=True)
class Conversation:
    """The exchange about one item."""

    step: Step[Any, Any]
    question: Question[Any, Any]
    record: Record
    prompts: PromptSet
    key: str

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the answer."""
        make = self.question.paper_form_schema if self.prompts.paper_form else self.question.schema
        return make(self.record)

    def messages(self, answers: list[Answer]) -> list[dict[str, str]]:
        """Return the messages after these answers, each of them wrong: every one is shown with what was wrong."""
        result = [
            {"role": "system", "content": self.prompts.texts[self.question.prompt]},
            {"role": "user", "content": self.question.content(self.record)},
        ]
        for answer in answers:
            shown = answer.violations[:_SHOWN]
            more = len(answer.violations) - len(shown)
            lines = [f"- {violation}" for violation in shown] + ([f"- and {more} more"] if more else [])
            result += [
                {"role": "assistant", "content": answer.raw},
                {
                    "role": "user",
                    "content": "Your answer breaks these rules:\n"
                    + "\n".join(lines)
                    + "\nGive the whole answer again, with this put right and nothing else changed.",
                },
            ]
        return result

    def read(self, raw: str, *, cut: bool = False) -> tuple[Record | None, list[str]]:
        """Return the record of an answer, or None, and everything that is wrong with it."""
        document, problem = _parse(raw, cut=cut)
        if document is None:
            return None, [problem]
        read = self.question.read_paper_form if self.prompts.paper_form else self.question.read
        try:
            result = read(self.record, document)
        except WrongAnswer as error:
            return None, error.violations
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False)
            return None, [f"{'.'.join(map(str, fault['loc'])) or 'answer'}: {fault['msg']}" for fault in faults]
        except KeyError as error:
            return None, [f"the key {error} is missing"]
        except (TypeError, ValueError, AttributeError) as error:
            return None, [f"the answer has another form than the schema: {error}"]
        try:
            problems = self.step.check(self.record, result)
        except DataError as error:  # of a sentence that no rule reads
            problems = [error.message]
        return (None if problems else result), problems

    def outcome(self, answers: list[Answer], most: int) -> Outcome | None:
        """Return what these answers decide: the record, that the item is set aside, or None for asking (again)."""
        if not answers:
            return None
        last = answers[-1]
        if not last.violations:
            record, _ = self.read(last.raw)
            if record is not None:
                return Outcome(record.model_dump(mode="json"))
        if len(answers) >= most:
            return Outcome(None, f"after {len(answers)} answers: {'; '.join(last.violations[:_SHOWN])}")
        return None


def _parse(raw: str, *, cut: bool) -> tuple[Mapping[str, Any] | None, str]:
    """Return the JSON object of an answer, or None and why there is none; what stands around it is no content."""
    why = ""
    for part in _readings(raw):
        try:
            document = parse_json(part)
        except ValueError as error:
            why = why or str(error)
            continue
        return (document, "") if isinstance(document, Mapping) else (None, "the answer is not a JSON object")
    return None, f"the answer is not a JSON document ({'it was cut off' if cut else why})"


def _readings(raw: str) -> Iterator[str]:
    """Yield what of an answer may be its document: all of it, its only fenced part, from its first brace to its last.

    What a reasoning model has thought aloud before is left out. Of several documents none is chosen.
    """
    text = raw.rpartition("</think>")[2]
    yield text
    if text.lstrip().startswith("<think"):
        return  # cut off while it thought: what stands there is no answer yet
    fenced = _FENCED.findall(text)
    if len(fenced) == 1:
        yield fenced[0]
    end = text.rfind("}") + 1
    yield text[text.find("{") : end]
    if line := _OPENING_LINE.search(text):
        yield text[line.start() : end]


def converse(
    step: Step[Any, Any], record: Record, prompts: PromptSet, *, model: str, parameters: Mapping[str, Any]
) -> Conversation:
    """Begin the conversation about one item; its key holds all that its result depends on."""
    assert step.question is not None  # noqa: S101 - steps without a question never come here
    key = key_of(
        step=step.name,
        # Reconstructions of a scan share their report, and other reports may have the same sentences.
        record=record.model_dump(mode="json", exclude={"id", "report_sha256"}),
        prompt=prompts.version(step.question.prompt),
        model=model,
        parameters=dict(parameters),
    )
    return Conversation(step, step.question, record, prompts, key)
