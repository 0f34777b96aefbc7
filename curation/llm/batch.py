"""Does steps through the Batch API: half the price, an answer within a day, and resumable all the way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curation.llm.conversation import Conversation
from curation.llm.endpoint import Refusal, batch_path, read_completion, request_body
from curation.llm.language_model import LanguageModel
from curation.offline import Rules
from curation.records import Record
from curation.steps.step import Step
from curation.work import Answer, Outcome, Work, key_of
from harness.errors import PrerequisiteError
from harness.foreign import parse_json

_DISCOUNT: Final = 0.5  # of the direct price
_ENDED: Final = frozenset({"completed", "expired", "cancelled", "failed"})
MOST_REQUESTS: Final = 50_000  # of one batch (OpenAI, Batch API: rate limits)
MOST_BYTES: Final = 190_000_000  # of the file of one batch; 200 MB are allowed
_LINE: Final = 300  # bytes of a line around its body
_MARK: Final = "groundbench"  # metadata by which an earlier batch is recognised


@dataclass
class BatchLanguageModel(LanguageModel):
    """Asks an endpoint in batches: one round for all items, then one for the answers that were wrong, and so on."""

    poll: float = 30.0  #: seconds between two looks
    wait: float = 26 * 3600.0  #: seconds after which the batch counts as stuck

    def do(
        self, step: Step[Any, Any], items: Sequence[tuple[str, Record]], work: Work, tick: Callable[[int], None]
    ) -> Iterator[Outcome]:
        """Yield the outcome of every item, in order, once all rounds are over.

        Raises
        ------
        PrerequisiteError
            The endpoint has no Batch API, the batch failed or is stuck, or the budget is reached.
        """
        if step.question is None:
            yield from Rules().do(step, items, work, tick)
            return
        talks = [(item, self.begin(step, record)) for item, record in items]
        by_key = {talk.key: (item, talk) for item, talk in talks}
        refused: dict[str, str] = {}
        for _ in range(self.asks + 1):
            for batch, keys in work.open_batches(step.name):
                if set(keys) <= set(by_key):
                    refused |= self._fetch(batch, by_key, work)
            for key, (item, talk) in by_key.items():
                self._decide(item, talk, refused.get(key), work)
            open_ = [talk for key, (_, talk) in by_key.items() if work.find(key) is None]
            if not open_:
                break
            for part in self._parts(open_, work):
                self._hand_in(step, part, work)
        for item, talk in talks:
            outcome = work.find(talk.key)
            if outcome is None:
                raise PrerequisiteError(
                    f"{self.asks + 1} batches ended without an answer for {item}",
                    fix="run the same command again, or leave --batch out",
                )
            tick(1)
            yield outcome.for_record(talk.record.model_dump()["id"])

    def _parts(self, talks: Sequence[Conversation], work: Work) -> Iterator[list[Conversation]]:
        """Cut what is asked into batches that the other side takes: by number of requests and by size of the file."""
        part: list[Conversation] = []
        size = 0
        for talk in talks:
            body = request_body(self.settings, talk.messages(work.answers(talk.key)), talk.schema)
            length = len(json.dumps(body)) + _LINE
            if part and (len(part) >= MOST_REQUESTS or size + length > MOST_BYTES):
                yield part
                part, size = [], 0
            part.append(talk)
            size += length
        if part:
            yield part

    def _decide(self, item: str, talk: Conversation, refusal: str | None, work: Work) -> None:
        key, step = talk.key, talk.step
        if work.find(key) is not None:
            return
        outcome = talk.outcome(work.answers(key), self.asks)
        if refusal or (outcome is None and (refusal := self.held_back(talk))):
            outcome = Outcome(None, refusal)
        elif step.needless(talk.record):
            outcome = Outcome(step.offline(talk.record).model_dump(mode="json"))
        if outcome is not None:
            work.keep(key, step.name, item, outcome)

    def _hand_in(self, step: Step[Any, Any], talks: list[Conversation], work: Work) -> None:
        """Hand in one batch, unless a run that was killed did it already."""
        lines: list[dict[str, Any]] = []
        path = batch_path(self.settings)
        for talk in talks:
            body = request_body(self.settings, talk.messages(work.answers(talk.key)), talk.schema)
            lines.append({"custom_id": talk.key, "method": "POST", "url": path, "body": body})
        characters = sum(len(str(line["body"])) for line in lines)
        self.budget.correct(self.budget.reserve(characters, self.settings.max_tokens * len(lines)), 0.0)
        mark = key_of(lines=lines)[:32]
        with _explained():
            known = next(
                (b for b in self.client.batches.list(limit=100) if (b.metadata or {}).get(_MARK) == mark), None
            )
            if known is None:
                text = "".join(f"{json.dumps(line)}\n" for line in lines)
                file = self.client.files.create(file=("requests.jsonl", text.encode()), purpose="batch")
                if self.settings.azure_version:  # takes no batch of a file that it is still looking through
                    self.client.files.wait_for_processing(file.id, poll_interval=self.poll)
                known = self.client.batches.create(
                    input_file_id=file.id,
                    endpoint=path,  # type: ignore[arg-type]  # the SDK knows only the paths of OpenAI itself
                    completion_window="24h",
                    metadata={_MARK: mark},
                )
        work.keep_batch(known.id, step.name, [talk.key for talk in talks])

    def _fetch(self, id_: str, by_key: dict[str, tuple[str, Conversation]], work: Work) -> dict[str, str]:
        """Wait for a batch and keep its answers; return the items that the endpoint refuses, with the reason."""
        deadline = time.monotonic() + self.wait
        with _explained():
            batch = self.client.batches.retrieve(id_)
            while batch.status not in _ENDED:
                if time.monotonic() > deadline:
                    raise PrerequisiteError(f"batch {id_} is still {batch.status}", fix="run the same command later")
                time.sleep(self.poll)
                batch = self.client.batches.retrieve(id_)
            files = [name for name in (batch.output_file_id, batch.error_file_id) if name]
            # Not splitlines(), which cuts at characters that JSON allows inside an answer (U+2028, U+0085, …).
            lines = [
                line for name in files for line in self.client.files.content(name).text.split("\n") if line.strip()
            ]
        if not lines and batch.status == "failed":
            work.close_batch(id_)
            raise PrerequisiteError(
                f"the endpoint refused the batch {id_}: {batch.errors}",
                fix="read the endpoint's message above and correct the request",
            )
        refused: dict[str, str] = {}
        for line in lines:
            try:
                row = parse_json(line)
                key = row["custom_id"]
            except (ValueError, KeyError, TypeError):
                continue  # an item without a readable answer is asked about in the next batch
            if key in by_key:
                why = self._keep(by_key[key][1], row, work)
                if why:
                    refused[key] = why
        work.close_batch(id_)
        return refused

    def _keep(self, talk: Conversation, row: dict[str, Any], work: Work) -> str:
        response = row.get("response") or {}
        if response.get("status_code") != 200:
            return f"the endpoint refuses it: {str(row.get('error') or response.get('body'))[:300]}"
        try:
            answer = read_completion(response["body"])
        except Refusal as refusal:
            return str(refusal)
        except ValueError as error:
            return f"the answer is not a chat completion ({error})"
        _, violations = talk.read(answer.text, cut=answer.cut)
        cost = self.budget.cost(answer.prompt_tokens, answer.completion_tokens) * _DISCOUNT
        self.budget.correct(0.0, cost)
        kept = Answer(answer.text, violations, answer.prompt_tokens, answer.completion_tokens, cost)
        work.keep_answer(talk.key, len(work.answers(talk.key)) + 1, self.settings.model, kept)
        return ""


class _explained:  # noqa: N801 - reads as a verb where it is used
    """Turn the SDK's errors into ours."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        import openai

        if isinstance(error, openai.OpenAIError):
            raise PrerequisiteError(
                f"the endpoint's Batch API fails: {str(error)[:300]}",
                fix="run the same command again (nothing is submitted twice), or leave --batch out",
            ) from error
