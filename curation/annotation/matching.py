"""Which finding an object was drawn for: by its text or the digest of it, never by a number alone.

Numbers are places in a selection, and a later selection numbers findings differently. A number counts only beside an
object of the same file that bears the text or the digest, as in Slicer's ``3 (2)`` beside ``3: nodule in …``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from curation.annotation.tasks import Task, TaskFinding

Labels = npt.NDArray[np.uint8]

_NAME = re.compile(r"\s*(\d{1,3})(?:-([0-9a-f]{8}))?\s*([:.]\s+|:|_(?=[a-z]{2}))?(.*?)\s*", re.DOTALL | re.IGNORECASE)
#: What stands after a number where a person or a program counts on: ``3 (2)``, ``3b``, ``3_2``, ``3 copy``.
_FURTHER = re.compile(
    r"[-_ .#]*\(?\s*(?:[a-z]|\d{1,3}|(?:entity|part|lesion|nodule|copy|segment)[\s_]*\d{0,3})?\s*\)?", re.IGNORECASE
)
_COUNTED = re.compile(r"(?:[ _-]*\(\d{1,3}\)|[ _-]+\d{1,3}|[ _-]+copy)\s*$", re.IGNORECASE)
_PREFIX: Final = 8  # characters that a shortened text must keep to be told from others


@dataclass(frozen=True)
class Drawn:
    """One object that annotators delivered.

    Attributes
    ----------
    name
        As their program shows it: a segment's or label's name, or a file's without its suffix.
    where
        The file, for messages.
    read
        Returns its label map on the CT's grid; raises DataError.
    mark
        Digest of the finding that it was made for, from its tags; empty: none is stated.
    """

    name: str
    where: str
    read: Callable[[], Labels]
    mark: str = ""


@dataclass
class Matched:
    """What the objects of a scan were drawn for."""

    of: dict[str, list[Drawn]] = field(default_factory=dict)  #: finding -> its objects, in order
    #: finding -> objects that may be a part of it, and why that cannot be told
    stopped: dict[str, list[tuple[Drawn, str]]] = field(default_factory=dict)
    unmatched: list[tuple[Drawn, str]] = field(default_factory=list)  #: objects of no finding, and why

    def stop(self, item: Drawn, findings: Sequence[TaskFinding], reason: str) -> None:
        """Note that an object may be a part of these findings."""
        for finding in findings:
            self.stopped.setdefault(finding.id, []).append((item, reason))


def match(task: Task, drawn: Sequence[Drawn], numbers: Mapping[str, str]) -> Matched:
    """Give every object to the finding that it was drawn for, or say why that cannot be told.

    Parameters
    ----------
    task
        The scan's task.
    drawn
        Its objects; those without a voxel among them.
    numbers
        What the exported list beside the objects says: number -> digest.
    """
    result = Matched()
    by_mark = {finding.mark: finding for finding in task.findings}
    known = {number: by_mark.get(mark) for number, mark in numbers.items()}
    rest: list[Drawn] = []
    for item in drawn:
        tied = _tied(item, task)
        if len(tied) > 1:
            reason = "it was made for one finding, and bears the name of another"
            result.unmatched.append((item, reason))
            result.stop(item, tied, reason)
        elif tied:
            result.of.setdefault(tied[0].id, []).append(item)
            if (name := _NAME.fullmatch(item.name)) and (name[2] or name[3]):
                known[name[1]] = tied[0]
        else:
            rest.append(item)
    for item in rest:
        _place(item, task, known, result)
    return result


def _tied(item: Drawn, task: Task) -> list[TaskFinding]:
    """Return the findings whose digest or text an object bears: one, none, or two where its tag and its name differ."""
    by_mark = {finding.mark: finding for finding in task.findings}
    name = _NAME.fullmatch(item.name)
    if name and name[2]:
        same = [by_mark[name[2].lower()]] if name[2].lower() in by_mark else []
    else:
        same = _by_text(item.name, task) or (_by_text(name[4], task) if name and name[3] else [])
        if len(same) > 1:  # findings of one text: the tag or the number decides between them
            same = [f for f in same if f.mark == item.mark or (not item.mark and name and f.number == name[1])]
    tagged = [by_mark[item.mark]] if item.mark in by_mark else []
    if item.mark and not tagged:
        return []  # made for another text, whatever it is called now
    return tagged + [finding for finding in same if finding not in tagged]


def _by_text(text: str, task: Task) -> list[TaskFinding]:
    """Return the findings of a text, a number that a program has put behind it aside."""
    for wanted in (text, _COUNTED.sub("", text)):
        found = [finding for finding in task.findings if _plain(finding.text) == _plain(wanted)]
        if found:
            return found
    return []


def _plain(text: str) -> str:
    return " ".join(text.replace("'", '"').replace("_", " ").casefold().split())


def _place(item: Drawn, task: Task, known: Mapping[str, TaskFinding | None], result: Matched) -> None:
    """Place an object that bears neither text nor digest of a finding of the task."""
    name = _NAME.fullmatch(item.name)
    of_number = [finding for finding in task.findings if name and finding.number == name[1]]
    if item.mark or (name and name[2]):
        result.unmatched.append((item, "it was drawn for a text that is not in this task"))
    elif name and _FURTHER.fullmatch(name[4]):
        finding = known.get(name[1])
        if finding is not None:
            result.of.setdefault(finding.id, []).append(item)
            return
        reason = "it bears only a number, and nothing says for which text it was drawn"
        result.unmatched.append((item, reason))
        if name[1] not in known:
            result.stop(item, of_number, reason)
    elif name and name[3]:
        reason = "it bears another text than the finding of its number"
        result.unmatched.append((item, reason))
        finding = known.get(name[1])
        result.stop(item, [finding] if finding else [f for f in of_number if f.id not in result.of], reason)
    else:
        reason = "its name is that of no finding"
        result.unmatched.append((item, reason))
        begun = _plain(item.name)
        near = [f for f in task.findings if len(begun) >= _PREFIX and _plain(f.text).startswith(begun)]
        result.stop(item, near if len(near) == 1 else task.findings, reason)
