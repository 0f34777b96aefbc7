"""The baseline without any model: ``--llm none``. No key, no network, and the same answer every time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from curation.records import Record
from curation.steps.step import Step
from curation.work import Outcome, Work, key_of
from harness.errors import BenchError

_BATCH: Final = 50  # items between two commits: what a killed run loses at most, a second of work


@cache
def rules_version() -> str:
    """Return the digest of everything that the rules are made of: code, lexicon, weights.

    Any change of a rule changes it, so that outcomes of older rules are never reused.
    """
    here = Path(__file__).parent
    folders = ("text", "steps", "classifier")
    files = [here / "records.py", here / "schema.py"]
    files += [path for name in folders for path in (here / name).iterdir() if path.suffix in {".py", ".toml", ".json"}]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


class Rules:
    """Does a step by rules."""

    model = "none"

    def do(
        self, step: Step[Any, Any], items: Sequence[tuple[str, Record]], work: Work, tick: Callable[[int], None]
    ) -> Iterator[Outcome]:
        """Yield the outcome of every item, in order; earlier outcomes are reused.

        A result that breaks a rule of its own step is set aside with the reason, like a language model's.
        """
        fresh: dict[str, tuple[str, Outcome]] = {}
        for item, record in items:
            key = key_of(step=step.name, record=record.model_dump(mode="json"), rules=rules_version())
            outcome = work.find(key) or (fresh[key][1] if key in fresh else None)
            if outcome is None:
                outcome = _outcome(step, record)
                fresh[key] = (item, outcome)
                if len(fresh) >= _BATCH:
                    work.keep_many(step.name, fresh)
                    fresh = {}
            tick(1)
            yield outcome
        work.keep_many(step.name, fresh)


def _outcome(step: Step[Any, Any], record: Record) -> Outcome:
    """Do one item. Whatever it raises is that item's: the others go on."""
    try:
        result = step.offline(record)
        problems = step.check(record, result)
        return Outcome(None, "; ".join(problems)) if problems else Outcome(result.model_dump(mode="json"))
    except BenchError as error:
        return Outcome(None, error.message)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        return Outcome(None, f"the rules fail on it: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
