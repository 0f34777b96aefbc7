"""Why a row has its score: its findings in order, the reason of each, and whose fault a failure is."""

from __future__ import annotations

from typing import Any

import pytest

from harness.status import RowLevel, Status
from harness.store.database import Store
from leaderboard.board.board import Row, read_board
from leaderboard.pages.why import FAILURES, addresses, extremes, failure_of, lesions_of, reason
from leaderboard.published.database import Published, PublishedFinding, PublishedScore
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy

FINDING = PublishedFinding(1, "d", "case-0", "0", "2d", "a nodule", 100, 0.01, 100.0)


def row_of(store: Store) -> tuple[Published, Row]:
    published = export(store, PrivacyPolicy())
    return published, read_board(published)[0].rows[0]


def score(**changes: Any) -> PublishedScore:
    counts: dict[str, Any] = {"pred_voxels": 50, "intersection": 10, "tp": 1, "fp": 0, "fn": 0}
    others = dict.fromkeys(("other_truth", "other_truth_dice", "other_mask", "other_mask_dice"))
    return PublishedScore(**{"status": "ok", "dice": 0.1, "placement": "not_known", **counts, **others, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "10% of the reference is marked, 80% of the mask lies outside it"),
        ({"pred_voxels": 0, "intersection": 0, "placement": "not_found"}, "an empty mask"),
        ({"tp": 1, "fn": 2, "fp": 3, "intersection": None}, "1 of 3 lesions found, 3 false"),
        ({"placement": "elsewhere", "intersection": 0},
         "found elsewhere; 0% of the reference is marked, 100% of the mask lies outside it"),
        ({"status": "timeout"}, "no mask: it took longer than it declares (the model)"),
        ({"status": "infra_error"}, "no mask: the harness or the container engine failed (the harness)"),
    ],
)  # fmt: skip
def test_reasons(bench: Any, store: Store, changes: dict[str, Any], said: str) -> None:
    """Of a failure what happened and whose fault it is; of a mask how much of it is right."""
    bench.add()
    assert reason(row_of(store)[1], FINDING, score(**changes)) == said


def test_every_status_has_a_fault_and_masks_made_elsewhere_are_no_models(bench: Any, store: Store) -> None:
    """No status is without words; what a submission lacks is not called the fault of a model; the unknown stays so."""
    bench.add(kind="submitted", engine="", image_id="", record={}, timing={})
    row = row_of(store)[1]
    assert row.level == RowLevel.RESCORED
    assert {*FAILURES} >= {*Status} - {Status.OK}
    assert failure_of(Status.MISSING_OUTPUT, row).fault == "the submission"
    assert "deliver" not in failure_of(Status.MISSING_OUTPUT, row).what
    assert failure_of(Status.INFRA_ERROR, row).fault == "the harness"
    assert failure_of("odd_status", row).fault == "not known"


def test_ten_worst_and_best_lead_to_their_places(bench: Any, store: Store, pages: Any) -> None:
    """In order of Dice, each with a link to the finding on its case's page; a closed split shows none."""
    bench.add(level=0.3, failures={5: Status.TIMEOUT})
    published, row = row_of(store)
    findings = published.findings(row.run.data_set) if row.run else []
    numbers = {finding.number: finding for finding in findings}
    worst, best = extremes(published, row, numbers, addresses(findings))
    assert len(worst) == len(best) == 10
    assert [one.dice for one in worst] == sorted(one.dice for one in worst)
    assert [one.dice for one in best] == sorted((one.dice for one in best), reverse=True)
    assert worst[0].why.startswith("no mask")
    site = pages(store)
    links = [link.attributes["href"] for link in site["runs/run-01.html"].all("a")]
    for one in (*worst, *best):
        path, _, place = one.address.partition("#")
        assert f"../{path}?a=run-01#{place}" in links
        [section] = [node for node in site[path].all("section") if node.attributes.get("id") == place]
        assert f"Finding {one.finding.finding}" in section.text
    closed = pages(store, PrivacyPolicy(public=True))["runs/run-01.html"]
    assert "Worst" not in closed.text


def test_single_lesions_are_counted_by_volume(bench: Any, store: Store) -> None:
    """As many found and missed as the instance metrics count."""
    bench.add(level=0.2)
    published, _ = row_of(store)
    [group] = lesions_of(published, "run-01")
    assert (group.size, group.truths) == ("1,000 to 10,000 mm³", 24)
    counted = [row.details.instances for row in store.findings("run-01") if row.details.instances]
    assert group.found == sum(one.overlap.tp for one in counted)
