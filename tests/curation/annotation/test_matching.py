"""An object belongs to the finding whose text or digest it bears, never to a number alone."""

from __future__ import annotations

import numpy as np
import pytest

from curation.annotation.matching import Drawn, match
from curation.annotation.tasks import Task, task_of
from curation.records import CategorizedFinding

TEXTS = ("6 mm nodule in the right upper lobe", "Septal thickening", "Nodule", "Nodule")


def task(*texts: str, scan: str = "scan") -> Task:
    """Return the task of a scan with findings of these texts."""
    findings = [CategorizedFinding(text=text, codes=(), abnormal=True, prior=False, category="2d") for text in texts]
    return task_of(scan, findings)


def drawn(name: str, mark: str = "", where: str = "x.seg.nrrd") -> Drawn:
    """Return an object with a voxel."""
    return Drawn(name, where, lambda: np.ones((1, 1, 1), np.uint8), mark)


TASK = task(*TEXTS)
IDS = [finding.id for finding in TASK.findings]


@pytest.mark.parametrize(
    ("names", "of"),
    [
        ([f"0: {TEXTS[0]}"], {0: 1}),
        ([TEXTS[0].upper()], {0: 1}),
        ([IDS[0]], {0: 1}),
        ([f"{IDS[1]} (2)", IDS[1]], {1: 2}),
        ([f"1: {TEXTS[1]}", "1 (2)", "1b", "1_3", "1.4", "1 copy"], {1: 6}),
        ([f"1: {TEXTS[1]} (2)", f"{TEXTS[1]}_3"], {1: 2}),
        (["2: Nodule", "3: Nodule"], {2: 1, 3: 1}),
    ],
)
def test_known_by_text_or_digest(names: list[str], of: dict[int, int]) -> None:
    """Text, digest, and further objects that are counted on from one of them; texts that occur twice keep apart."""
    found = match(TASK, [drawn(name) for name in names], {})
    assert {key: len(items) for key, items in found.of.items()} == {IDS[n]: count for n, count in of.items()}
    assert not found.unmatched
    assert not found.stopped


@pytest.mark.parametrize(
    ("names", "stopped"),
    [
        (["1"], [1]),
        (["1 (2)"], [1]),
        (["1: Emphysema"], [1]),
        (["0-00000000"], []),
        ([f"1: {TEXTS[1]}", "1: a cyst"], [1]),
        (["6 mm nodule in the"], [0]),
        (["Segment_1"], [0, 1, 2, 3]),
        ([f"0: {TEXTS[0]}", "Segment_1"], [0, 1, 2, 3]),
        (["Nodule"], [0, 1, 2, 3]),
        (["nodule"], [0, 1, 2, 3]),
    ],
)
def test_what_cannot_be_told_stops_what_it_may_belong_to(names: list[str], stopped: list[int]) -> None:
    """A bare number, another text under the number, a stranger's name: named, and no incomplete mask comes in."""
    found = match(TASK, [drawn(name) for name in names], {})
    assert [item.name for item, _ in found.unmatched] == names[-1:]
    assert sorted(found.stopped) == [IDS[n] for n in stopped]


def test_a_renumbered_selection_keeps_drawings_with_their_texts() -> None:
    """Drawings of an older selection go to their texts; that of a finding that is gone goes nowhere."""
    before = [drawn(f"{n}: {text}") for n, text in enumerate(TEXTS[:2])] + [drawn("1 (2)")]
    after = task(TEXTS[1], "Emphysema")
    found = match(after, before, {})
    assert {key: [item.name for item in items] for key, items in found.of.items()} == {
        after.findings[0].id: [f"1: {TEXTS[1]}", "1 (2)"]
    }
    assert [item.name for item, _ in found.unmatched] == [f"0: {TEXTS[0]}"]


def test_another_scans_objects_are_nobodys() -> None:
    """The digest is of scan and text: the same text of another scan is another finding."""
    other = task(*TEXTS, scan="other")
    objects = [drawn(f"{finding.id}: {finding.text}") for finding in other.findings]
    objects += [drawn(f"0: {TEXTS[0]}", mark=other.findings[0].mark)]
    found = match(TASK, objects, {})
    assert not found.of
    assert len(found.unmatched) == 5


def test_a_tag_outlives_a_new_name_and_contradicts_another_text() -> None:
    """A renamed segment keeps its tag; one that bears the text of another finding is neither's."""
    mark = TASK.findings[0].mark
    assert list(match(TASK, [drawn("my nodule", mark)], {}).of) == [IDS[0]]
    found = match(TASK, [drawn(f"1: {TEXTS[1]}", mark)], {})
    assert sorted(found.stopped) == IDS[:2]


def test_the_exported_list_gives_numbers_their_texts() -> None:
    """A bare number counts beside the list that was exported with it, and goes where the list's text is now."""
    numbers = {"7": TASK.findings[1].mark, "0": "00000000"}
    found = match(TASK, [drawn("7"), drawn("0")], numbers)
    assert list(found.of) == [IDS[1]]
    assert not found.stopped
