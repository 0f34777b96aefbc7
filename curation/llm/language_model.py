"""Does steps with a language model: many items at a time, none of them twice."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from curation.llm.budget import Budget
from curation.llm.conversation import Conversation, converse
from curation.llm.endpoint import Gate, Refusal, Settings, Stopped, complete, connect, request_body
from curation.llm.prompts import PromptSet
from curation.offline import Rules
from curation.records import Record
from curation.steps.step import Step
from curation.text.identifiers import identifiers
from curation.work import Answer, Outcome, Work
from harness.errors import PrerequisiteError

if TYPE_CHECKING:
    from openai import OpenAI


_EQUAL: Final = 3  # first items that fail alike, before anything has succeeded: the next ones will fail as well


@dataclass
class Streak:
    """The items that failed before any succeeded: kept when one does, and a reason to stop when all fail alike."""

    succeeded: bool = False
    pending: list[tuple[str, str, str, Outcome]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, work: Work, key: str, step: str, item: str, outcome: Outcome) -> None:
        """Keep an outcome, or hold a failure back; raises PrerequisiteError where the first ones failed alike."""
        with self.lock:
            self.pending.append((key, step, item, outcome))
            self.succeeded = self.succeeded or outcome.record is not None
            if self.succeeded:
                self._keep(work)
            elif len(self.pending) >= _EQUAL and len({_alike(o.reason) for *_, o in self.pending}) == 1:
                raise PrerequisiteError(
                    f"the first {len(self.pending)} items of {step} failed for the same reason: {outcome.reason[:300]}",
                    fix="check the model, its parameters and the prompts (e.g. --answers), then run the same command",
                )

    def end(self, work: Work) -> None:
        """Keep what is held back: too few items failed to tell anything of the others."""
        with self.lock:
            self._keep(work)

    def _keep(self, work: Work) -> None:
        for held in self.pending:
            work.keep(*held)
        self.pending.clear()


def _alike(reason: str) -> str:
    return re.sub(r"\d+", "0", reason)[:120]


@dataclass
class LanguageModel:
    """Asks an endpoint directly.

    Attributes
    ----------
    asks
        How often an item is asked about before it is set aside.
    jobs
        Requests at a time.
    """

    settings: Settings
    prompts: PromptSet
    budget: Budget
    asks: int = 3
    jobs: int = 8
    _streak: Streak = field(default_factory=Streak, repr=False)
    _asking: dict[str, threading.Lock] = field(default_factory=dict, repr=False)
    _asking_lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _client: OpenAI | None = field(default=None, repr=False)

    @property
    def model(self) -> str:
        """Its name, as it is asked for."""
        return self.settings.model

    @property
    def client(self) -> OpenAI:
        """The connection, made on first use: earlier outcomes need no key."""
        if self._client is None:
            self._client = connect(self.settings)
        return self._client

    def begin(self, step: Step[Any, Any], record: Record) -> Conversation:
        """Begin the conversation about one item."""
        return converse(step, record, self.prompts, model=self.settings.model, parameters=self.settings.parameters())

    def held_back(self, talk: Conversation) -> str:
        """Return why an item must not leave this machine; empty where it may, or need not."""
        signs = [] if self.settings.is_local else identifiers(talk.question.content(talk.record))
        return f"it may name a person ({', '.join(signs)}); nothing was sent" if signs else ""

    def do(
        self, step: Step[Any, Any], items: Sequence[tuple[str, Record]], work: Work, tick: Callable[[int], None]
    ) -> Iterator[Outcome]:
        """Yield the outcome of every item, in order.

        Raises
        ------
        PrerequisiteError
            The endpoint fails for good, or the budget is reached; what is finished by then is kept.
        """
        if step.question is None:
            yield from Rules().do(step, items, work, tick)
            return
        gate = Gate()

        def one(item: str, record: Record) -> Outcome:
            try:
                outcome = self._one(step, item, record, work, gate)
            except BaseException:
                gate.stop.set()
                raise
            tick(1)
            return outcome

        with ThreadPoolExecutor(self.jobs) as pool:
            futures = [pool.submit(one, item, record) for item, record in items]
            try:
                for future in futures:
                    with suppress(Stopped):
                        yield future.result()
                        continue
                    # Another thread failed: its error is the one to raise.
                    for other in futures:
                        with suppress(Stopped):
                            other.result()
            except BaseException:
                gate.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        self._streak.end(work)

    def _one(self, step: Step[Any, Any], item: str, record: Record, work: Work, gate: Gate) -> Outcome:
        talk = self.begin(step, record)
        with self._asking_lock:
            lock = self._asking.setdefault(talk.key, threading.Lock())
        with lock:  # a scan's other reconstruction waits for the answer to the same text
            known = work.find(talk.key)
            outcome = known or self._talk(step, item, talk, work, gate)
        return outcome.for_record(record.model_dump()["id"])

    def _talk(self, step: Step[Any, Any], item: str, talk: Conversation, work: Work, gate: Gate) -> Outcome:
        record = talk.record
        outcome = None
        if step.needless(record):
            outcome = Outcome(step.offline(record).model_dump(mode="json"))
        elif held := self.held_back(talk):
            outcome = Outcome(None, held)
            work.keep(talk.key, step.name, item, outcome)
            return outcome
        while outcome is None:
            answers = work.answers(talk.key)  # those of a run that was killed count as well
            outcome = talk.outcome(answers, self.asks)
            if outcome is None:
                try:
                    self._ask(talk, answers, work, gate)
                except Refusal as refusal:
                    outcome = Outcome(None, str(refusal))
        if step.needless(record):
            work.keep(talk.key, step.name, item, outcome)
        else:
            self._streak.add(work, talk.key, step.name, item, outcome)
        return outcome

    def _ask(self, talk: Conversation, answers: list[Answer], work: Work, gate: Gate) -> None:
        body = request_body(self.settings, talk.messages(answers), talk.schema)
        gate.wait()
        reserved = self.budget.reserve(len(str(body)), self.settings.max_tokens)
        actual = 0.0
        try:
            answer = complete(self.client, self.settings, body, gate)
            actual = self.budget.cost(answer.prompt_tokens, answer.completion_tokens)
            _, violations = talk.read(answer.text, cut=answer.cut)
            tokens = (answer.prompt_tokens, answer.completion_tokens)
            kept = Answer(answer.text, violations, *tokens, actual)
            work.keep_answer(talk.key, len(answers) + 1, self.settings.model, kept)
        finally:
            self.budget.correct(reserved, actual)
