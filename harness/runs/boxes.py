"""The box prompts of a run or a training: made once, kept in its folder, the same for every resumption."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.dataset import Case
from harness.dataset.boxes import BOX_RULES, Box, simulate_boxes
from harness.foreign import parse_json
from harness.registry.declaration import Prompt, Variant
from harness.registry.protocol import BoxRule

#: Name below the run's folder: one JSON object a line, ``{"case": id, "boxes": {finding id: [box, ...]}}``.
BOXES_FILE = "boxes.jsonl"


@dataclass(frozen=True)
class KeptBoxes:
    """Every box prompt of a run or a training.

    Attributes
    ----------
    by_case
        Case id -> finding id -> boxes.
    record
        Their entry ``prompts`` in the row's record: the rule, their number, the file and its
        digest. Empty where the variant is not prompted with boxes.
    """

    by_case: Mapping[str, Mapping[str, list[Box]]]
    record: Mapping[str, Any]

    def of(self, case: str) -> Mapping[str, list[Box]] | None:
        """Return finding id -> boxes of a case; None where the variant is not prompted with boxes."""
        return self.by_case[case] if self.record else None


def keep_boxes(
    folder: Path,
    cases: Sequence[Case],
    variant: Variant,
    *,
    mask_flip: tuple[int, ...],
    seed: int,
    earlier: Mapping[str, Any],
    log: Callable[[str], None],
) -> KeptBoxes:
    """Return the boxes of a run or a training: those stored in its folder, or new ones, which are stored there.

    Parameters
    ----------
    folder
        The folder of the run, or of the training.
    cases
        All of its cases.
    variant
        The variant; unless it is prompted with boxes, none are made and no mask is read.
    mask_flip, seed
        See :func:`harness.dataset.boxes.simulate_boxes`.
    earlier
        The record of its row from an earlier invocation.
    log
        Called with one line before masks are read.

    Raises
    ------
    DataError
        A mask cannot be read, or boxes cannot be made from it.
    """
    if variant.prompt is not Prompt.BOX:
        return KeptBoxes({}, {})
    path = folder / BOXES_FILE
    content = path.read_bytes() if path.is_file() else b""
    if not content or hashlib.sha256(content).hexdigest() != earlier.get("prompts", {}).get("sha256"):
        log(f"making box prompts from the ground truth of {len(cases)} cases")
        content = _made(cases, variant.boxes, mask_flip, seed)
        partial = path.with_name(f".partial-{path.name}")
        partial.write_bytes(content)
        partial.replace(path)
    by_case = {line["case"]: line["boxes"] for line in map(parse_json, content.splitlines())}
    prompts = {
        "rule": BOX_RULES[variant.boxes],
        "file": BOXES_FILE,
        "sha256": hashlib.sha256(content).hexdigest(),
        "number": sum(len(boxes) for findings in by_case.values() for boxes in findings.values()),
    }
    return KeptBoxes(by_case, {"prompts": prompts})


def compare_boxes(
    folder: Path,
    cases: Sequence[Case],
    *,
    mask_flip: tuple[int, ...],
    seed: int,
    recorded: Mapping[str, Any],
    travelled: bool = False,
) -> list[str]:
    """Return the differences between the boxes of a run and its record or the ground truth.

    Parameters
    ----------
    folder, cases, mask_flip, seed
        As in :func:`keep_boxes`.
    recorded
        The entry ``prompts`` of the run's record.
    travelled
        Whether the row was made in another home: its file stayed there, and its boxes are made again.

    Returns
    -------
    list of str
        A line for each difference. Boxes of a rule that is not known today are compared with their digest only.
    """
    path = folder / BOXES_FILE
    if travelled and not path.is_file():
        return _compare_travelled(cases, mask_flip, seed, recorded)
    if not path.is_file():
        return [f"{BOXES_FILE}: missing"]
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != recorded["sha256"]:
        return [f"{BOXES_FILE}: its digest differs from the recorded one"]
    rule = next((rule for rule, words in BOX_RULES.items() if words == recorded["rule"]), None)
    if rule is None:
        return []
    # Sorted: the file has the order of the index that the run was made with, which may be another one today.
    kept, made = (sorted(lines.splitlines()) for lines in (content, _made(cases, rule, mask_flip, seed)))
    if kept != made:
        return [f"{BOXES_FILE}: differs from the boxes that the ground truth gives"]
    return []


def _compare_travelled(
    cases: Sequence[Case], mask_flip: tuple[int, ...], seed: int, recorded: Mapping[str, Any]
) -> list[str]:
    """Make the boxes again, in the order of the index and, as that may be another one here, of the names."""
    rule = next((rule for rule, words in BOX_RULES.items() if words == recorded["rule"]), None)
    if rule is None:
        return []
    lines = _made(cases, rule, mask_flip, seed).splitlines(keepends=True)
    orders = (lines, sorted(lines))
    if any(hashlib.sha256(b"".join(order)).hexdigest() == recorded["sha256"] for order in orders):
        return []
    return [f"{BOXES_FILE}: the boxes that the ground truth gives have another digest than the recorded ones"]


def _made(cases: Sequence[Case], rule: BoxRule, mask_flip: tuple[int, ...], seed: int) -> bytes:
    boxes = (
        {"case": case.id, "boxes": simulate_boxes(case, rule=rule, mask_flip=mask_flip, seed=seed)} for case in cases
    )
    return "".join(json.dumps(line) + "\n" for line in boxes).encode()
