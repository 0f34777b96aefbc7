"""Tricks with files in ``out/`` and with events: one a case, all in one run, each with its own end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.docker

OK = ("ok", "")

#: Trick -> status of the finding that it concerns, and words of the reason.
TRICKS = {
    "link-to-the-host": ("invalid_output", "symbolic link"),
    "link-to-a-ct": ("invalid_output", "symbolic link"),
    "link-to-another-mask": ("invalid_output", "symbolic link"),
    "hard-link-to-another-file": ("invalid_output", "another name"),
    "folder-is-a-link": ("invalid_output", "not a plain folder"),
    "folder-is-a-link-upwards": ("invalid_output", "not a plain folder"),
    "folder-is-a-file": ("invalid_output", "not a plain folder"),
    "pipe": ("invalid_output", "not a regular file"),
    "listening-socket": ("invalid_output", "cannot be opened"),
    "folder-instead-of-a-file": ("invalid_output", "not a regular file"),
    "unreadable-mask": OK,
    "lease-on-the-mask": ("invalid_output", "cannot be opened"),
    "locks-on-the-mask": OK,
    "bomb": ("invalid_output", "goes on after"),
    "bomb-of-many-members": ("invalid_output", ""),
    "header-claims-a-terabyte": ("invalid_output", "32767"),
    "header-claims-negative-axes": ("invalid_output", ""),
    "header-points-far-away": ("invalid_output", ""),
    "header-points-nowhere": ("invalid_output", ""),
    "header-extension-of-two-gigabytes": ("invalid_output", ""),
    "affine-of-nan-and-infinity": ("invalid_output", ""),
    "sparse-file-of-zeros": ("invalid_output", ""),
    "second-sparse-file": ("invalid_output", "a mask of this case needs at most"),
    "not-compressed": OK,
    "only-the-partial-name": ("missing_output", "not delivered"),
    "names-that-confuse": OK,
    "gzip-header-without-end": (None, ""),  # a valid stream, or one refused: the reading is bounded either way
    "two-masks-in-one-file": ("invalid_output", "goes on after"),
    "grows-while-it-is-taken": (None, ""),
    "shrinks-while-it-is-taken": (None, ""),
    "folder-switched-while-it-is-taken": (None, ""),  # its own masks or none, but never what the link leads to
    "set-uid-file": OK,
    "switched-while-it-is-taken": (None, ""),  # whichever it was at that moment, but never what the link leads to
    "will-be-overwritten": OK,
    "overwrites-the-one-before": OK,
    "will-be-replaced": OK,
    "replaces-the-one-before": OK,
    "will-be-changed-through-a-handle": OK,
    "changes-the-one-before-through-a-handle": OK,
    "will-be-taken-away": OK,
    "takes-the-one-before-away": OK,
}

#: Forgery -> status of both findings of its case, and words of the reason.
FORGERIES = {
    "claim-without-masks": ("missing_output", "not delivered"),
    "claim-of-foreign-cases": OK,
    "claim-of-no-time": ("missing_output", "not delivered"),
    "claim-of-endless-time": ("missing_output", "not delivered"),
    "claim-of-impossible-numbers": OK,
    "claim-of-impossible-memory": ("missing_output", "not delivered"),
    "start-and-finish-again": OK,
    "failure-that-writes-on-the-terminal": ("plugin_error", "owned"),
    "flood-of-noise": OK,
    "nested-without-end": OK,
    "numbers-without-end": OK,
    "half-a-line": OK,
    "failure-in-a-thousand-marks": ("plugin_error", "Zalgo"),
}


@pytest.fixture(scope="module")
def tricked(attack: Callable[..., Any]) -> Any:
    """Run every trick with files, one a case, in one container."""
    outcome = attack("outputs", cases=len(TRICKS) + 2)
    assert {row["attempts"] for row in outcome.cases.values()} == {1}
    return outcome


@pytest.fixture(scope="module")
def forged(attack: Callable[..., Any]) -> Any:
    """Run every forgery of events, one a case."""
    return attack("events", cases=len(FORGERIES) + 2)


def _case_of(outcome: Any, name: str) -> str:
    return next(line.split()[0] for line in outcome.said("TRICK") if line.split()[1] == name)


def _others(outcome: Any) -> list[str]:
    """Return how the cases ended in which nothing was tried."""
    tried = {line.split()[0] for line in outcome.said("TRICK")}
    return [case["status"] for name, case in outcome.cases.items() if name not in tried]


@pytest.mark.parametrize("name", TRICKS)
def test_trick_with_a_file(name: str, tricked: Any, record_property: Callable[[str, object], None]) -> None:
    """The file is refused, or counts as what it was when its case was done; its neighbours are unharmed."""
    record_property("attack", name)
    status, words = TRICKS[name]
    case = _case_of(tricked, name)
    finding = tricked.findings[case, "0"]
    record_property("outcome", f"{finding['status']}: {finding['reason'] or 'counts as it was'}"[:100])
    if status is not None:
        assert finding["status"] == status, finding["reason"]
    assert words in finding["reason"]
    assert finding["dice"] == 0.0
    if not name.startswith("folder-"):
        assert tricked.findings[case, "1"]["status"] == "ok"
    if finding["status"] == "ok":
        assert finding["pred_voxels"] == 1
        kept = tricked.bench.home / "runs" / tricked.shown["run"] / "masks" / case / "0.nii.gz"
        assert hashlib.sha256(kept.read_bytes()).hexdigest() == finding["mask_sha256"]
    assert _others(tricked) == ["ok", "ok"]


def test_accepted_masks_stay_as_they_were(tricked: Any) -> None:
    """What is stored of a mask is what lay there when its case was done, whatever became of the file."""
    accepted = dict(line.split() for line in tricked.said("SHA"))
    assert len(accepted) == 4
    for case, digest in accepted.items():
        assert tricked.findings[case, "0"]["mask_sha256"] == digest


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_events(name: str, forged: Any, record_property: Callable[[str, object], None]) -> None:
    """A claim without masks scores 0, nonsense is ignored, and times and memory are those that can be true."""
    record_property("attack", name)
    status, words = FORGERIES[name]
    case = _case_of(forged, name)
    row = forged.cases[case]
    record_property("outcome", f"{row['status']}: {row['reason'] or 'noise'}, {row['seconds']} s"[:100])
    assert row["status"] == status, row["reason"]
    assert words in row["reason"]
    assert row["reason"].isprintable()
    # An event that ran into half a line is lost: that the case began, or how it ended. Any other time is our clock.
    assert (name == "half-a-line" and row["seconds"] is None) or 0 < row["seconds"] < 30
    assert row["host_bytes"] is None or row["host_bytes"] <= 256 * 2**20
    assert row["device_bytes"] is None
    if name == "claim-of-no-time":  # which case took which time is the events' word; what all took is not
        assert forged.shown["timing"]["predict_s"] > 0.8 + 0.3 + 0.3
        assert forged.shown["timing"]["case_wall_s"] > forged.shown["timing"]["predict_s"] / len(forged.cases)
    assert _others(forged) == ["ok", "ok"]
    assert len(forged.cases) == len(FORGERIES) + 2


def test_nothing_outside_the_home_is_named(tricked: Any) -> None:
    """Every mask that was taken lies in the run's own folder, under the names of its case."""
    masks = Path(tricked.bench.home) / "runs" / tricked.shown["run"] / "masks"
    names = {path.relative_to(masks).parts for path in masks.rglob("*") if not path.is_dir()}
    assert {parts[0] for parts in names} <= set(tricked.cases)
    assert {parts[1] for parts in names} <= {"0.nii.gz", "1.nii.gz", "refused.json"}
    assert not any(path.is_symlink() for path in masks.rglob("*"))
