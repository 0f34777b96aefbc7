"""Masks of the truth and of other rows are known by what is stored of them, and said with the row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.rows import CaseRow, FindingRow, RunRow
from harness.runs.likeness import likenesses
from harness.store.database import Store

ROW = RunRow(
    id="", plan_key="", attempt=1, kind="measured", plugin="m", title="M", plugin_version="1", variant="v",
    prompt="text", fine_tuned=False, profile="mlhc2025", dataset="d", fingerprint="f", split="test", engine="docker",
    image_id="", rankable=True, unrankable=[], state="done", created="",
)  # fmt: skip
MASKS = ((90, 80), (50, 20), (70, 10), (40, 40))


@pytest.fixture
def lab(tmp_path: Path):
    """Return a function that stores rows and returns what is said of the masks of each."""
    rows: list[RunRow] = []
    with Store(tmp_path / "results.db") as store:

        def add(name: str, masks: Any = MASKS, *, packed: str = "", **fields: Any) -> dict[str, tuple[list[str], str]]:
            row = replace(ROW, id=name, plan_key=name, plugin=name, created=f"2026-{len(rows):02}")
            row = replace(row, **fields)
            found = [
                FindingRow(
                    "c", str(n), n, None, "", "ok", dice=2 * shared / (100 + voxels), truth_voxels=100,
                    pred_voxels=voxels, intersection=shared, mask_sha256=f"{packed}{n}-{voxels}",
                )
                for n, (voxels, shared) in enumerate(masks)
            ]  # fmt: skip
            store.save_whole(row, [(CaseRow("c", 0, "ok"), found)], {})
            rows.append(row)
            said = likenesses(store, rows)
            return {run: (list(one.warnings), one.contradiction) for run, one in said.items()}

        yield add


def _masks(who: str, prompt: str = "text") -> dict[str, Any]:
    return {"kind": "submitted", "prompt": prompt, "plan": {"card": {"who": who}}}


def test_masks_of_another_row_are_named(lab) -> None:
    """By digest, or by their voxels where they were packed anew; a row of the same people is no other row."""
    lab("rules", variant="a")
    lab("rules-again", plugin="rules", variant="b")
    lab("copied", **_masks("A lab"))
    said = lab("packed", packed="stack", **_masks("B lab"))
    assert said["rules"] == said["rules-again"] == ([], "")
    assert said["copied"][0] == ["its masks are those of rules", "its masks are those of rules-again"]
    assert "its masks are those of copied" in said["packed"][0]
    assert lab("other", [(90, 80), (51, 20), (70, 10), (40, 40)], **_masks("C lab"))["other"] == ([], "")


def test_masks_of_a_box_run_are_no_text_row(lab) -> None:
    """The ellipsoid, or a box-prompted model, sold as text: the row's own statement cannot be."""
    lab("ellipsoid", prompt="box")
    said = lab("brilliant", **_masks("A lab"))
    told = "its masks are those of ellipsoid, which was prompted with boxes"
    assert said["brilliant"] == ([told], told)
    assert lab("honest", **_masks("B lab", "box"))["honest"][1] == ""


def test_masks_of_the_truth_are_said(lab) -> None:
    """A mean Dice above 0.98 is the truth's, blurred at most; the known answer itself is no model."""
    truth = [(100, 100), (100, 99), (99, 99)]
    lab("oracle", truth, unrankable=["known answer: it reads the ground truth"])
    said = lab("super-net", truth, **_masks("A lab"))
    assert said["oracle"] == ([], "")
    assert said["super-net"][0] == [
        "its masks are those of oracle, which reads the truth",
        "its masks are as good as the truth itself: their mean Dice is above 0.98",
    ]


def test_few_and_empty_masks_are_not_taken_for_copies(lab) -> None:
    """Two rows without a mask are not alike for that; of one or two masks only the digest tells."""
    lab("none", [(0, 0), (0, 0), (0, 0)])
    assert lab("nothing", [(0, 0), (0, 0), (0, 0)])["nothing"] == ([], "")
    lab("one", [(9, 8), (0, 0)])
    assert lab("same-count", [(9, 8), (0, 0)], packed="x")["same-count"] == ([], "")
    assert lab("same-file", [(9, 8), (0, 0)])["same-file"][0] == ["its masks are those of one"]
