"""The names inside the container wall: they say nothing of the case, differ from run to run, and are mapped back.

Case and finding ids are public, and so is their order: to a model that knows the data set they would be the keys of a
dictionary of memorised answers. A container is given names that are drawn from a secret of its shard, cases in an order
drawn from it, and the findings of a case in the order of their content. What a model draws at random for a case comes
from a seed that depends on that content alone, so that its masks are the same under other names.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.engines.base import Mount
from harness.sandbox.contract import CaseDone, CaseFailed, CasePrompt, Event, FindingPrompt, Progress, Warned
from harness.sandbox.job import JobCase

#: Inside names as they stand in logs and reasons.
_INSIDE = re.compile(rb"\b[cf][0-9a-f]{16}\b")


def draw_salt() -> str:
    """Draw the secret from which the names of a shard are made."""
    return secrets.token_hex(16)


def case_seed(seed: int, case: CasePrompt) -> int:
    """Return the seed of a case's random choices, from 0 to 2**32 - 1.

    Parameters
    ----------
    seed
        The job's.
    case
        What a model is shown of the case: its name and the order of its findings play no part.
    """
    content = [seed, *case.shape, *case.spacing, *(_content(finding) for finding in _in_order(case.findings))]
    return int.from_bytes(hashlib.sha256(json.dumps(content).encode()).digest()[:4], "big")


class InsideNames:
    """The cases of one container under the names that they have inside.

    Parameters
    ----------
    cases
        The cases.
    salt
        The shard's secret; empty: names and order stay as they are, as for models that are shown the ground truth.
    seed
        The job's seed.

    Attributes
    ----------
    cases
        The cases as the container gets them.
    order
        The cases' own names, in the order of `cases`.
    """

    def __init__(self, cases: Sequence[JobCase], salt: str, seed: int) -> None:
        self._salt = salt.encode()
        ordered = sorted(cases, key=lambda case: self._name("o", case.prompt.id)) if salt else list(cases)
        self.order = tuple(case.prompt.id for case in ordered)
        self._outside: dict[str, str] = {}
        self._inside: dict[str, str] = {}
        self._findings: dict[str, dict[str, str]] = {}
        self._shown: dict[bytes, bytes] = {}
        self.cases = tuple(self._renamed(case, seed) for case in ordered)

    def inside(self, case: str) -> str:
        """Return the name inside of a case."""
        return self._inside[case]

    def findings(self, case: str) -> dict[str, str]:
        """Return name inside -> own name of the findings of a case."""
        return self._findings[case]

    def read(self, event: Event) -> Event:
        """Return an event with the case's own name; one of a case that the container was not given names none."""
        if not isinstance(event, Progress | Warned | CaseDone | CaseFailed) or event.case is None:
            return event
        told: dict[str, str] = {"case": self._outside.get(event.case, "")}
        for field in ("text", "reason"):
            if hasattr(event, field):
                told[field] = self.told(getattr(event, field))
        return event.model_copy(update=told)

    def told(self, text: str) -> str:
        """Return a text with the own names of cases and findings in the place of those inside."""
        return self._translated(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def tell(self, log: Path) -> None:
        """Put the own names into a container's log, once it has ended; a missing log is not an error."""
        if self._salt and log.is_file():
            log.write_bytes(self._translated(log.read_bytes()))

    def _translated(self, text: bytes) -> bytes:
        return _INSIDE.sub(lambda found: self._shown.get(found[0], found[0]), text) if self._salt else text

    def _renamed(self, case: JobCase, seed: int) -> JobCase:
        prompt = case.prompt
        own, findings = prompt.id, prompt.findings
        name, names = own, {finding.id: finding.id for finding in findings}
        if self._salt:
            findings = _in_order(findings)
            name = self._name("c", own)
            names = {finding.id: self._name("f", own, finding.id) for finding in findings}
        self._outside[name], self._inside[own] = own, name
        self._findings[own] = {inside: outside for outside, inside in names.items()}
        self._shown |= {a.encode(): b.encode() for a, b in [(name, own), *self._findings[own].items()]}
        update = {
            "id": name,
            "ct": _replaced(prompt.ct, own, name),
            "findings": [finding.model_copy(update={"id": names[finding.id]}) for finding in findings],
            "seed": case_seed(seed, prompt),
        }
        mounts = tuple(Mount(mount.source, _replaced(mount.target, own, name)) for mount in case.mounts)
        return JobCase(prompt.model_copy(update=update), mounts)

    def _name(self, kind: str, *what: str) -> str:
        return kind + hmac.new(self._salt, json.dumps([kind, *what]).encode(), "sha256").hexdigest()[:16]


def _in_order(findings: Iterable[FindingPrompt]) -> list[FindingPrompt]:
    """Order findings by what a model is shown of them."""
    return sorted(findings, key=_content)


def _content(finding: FindingPrompt) -> str:
    return json.dumps([finding.text, finding.category, finding.boxes])


def _replaced(path: str, own: str, name: str) -> str:
    """Give a file below ``ct/`` the case's name inside; its ending stays."""
    folder, _, file = path.rpartition("/")
    return f"{folder}/{name}{file.removeprefix(own)}" if folder else path
