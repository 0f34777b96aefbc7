"""A row run again from its plugin, as it was or on jittered cases; and an organiser's signed word on it."""

from __future__ import annotations

import math
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.dataset import Dataset, open_dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.errors import DataError, UsageError
from harness.images.context import content_of
from harness.registry.discovery import Plugin
from harness.rows import CaseRow, FindingRow, RunRow
from harness.runs.claims import NOT_ISOLATED
from harness.runs.hardware import describe_harness
from harness.runs.plan import RunRequest
from harness.runs.run import execute
from harness.sandbox.stop import Stop
from harness.status import RowLevel
from harness.store.database import Store
from harness.store.trainings import TrainingPoint
from harness.submissions import signature
from harness.submissions.jitter import write_jittered
from harness.submissions.record import Raised, Verification, dump_record
from harness.submissions.text_files import VERIFICATION, VERIFIED_BY
from harness.submissions.travelled import TextFolder
from harness.submissions.verify import SubmissionCheck

#: Largest difference of the mean Dice that counts as the same: of the same cases, and of jittered ones.
SAME, JITTERED = 0.005, 0.02

#: What the harness keeps of models in a home, and a rerun may use.
_SHARED: Final = ("sources", "weights", "wheels", "checkpoints")


@dataclass(frozen=True)
class Rerun:
    """How a row is run again.

    Attributes
    ----------
    plugin
        Its plugin, as it is here.
    dataset
        Index of its data set.
    home
        Whose sources, weights and checkpoints are used; a folder beside them is made and removed.
    engine
        As for ``bench run``.
    jitter
        Whether the cases are jittered.
    tolerance
        Largest difference of the mean Dice that counts as the same.
    log, stop
        Shows a line; ends it early.
    """

    plugin: Plugin
    dataset: Path
    home: Path
    engine: str
    jitter: bool
    tolerance: float
    log: Callable[[str], None]
    stop: Stop

    def begin(self, run: RunRow, done: int, kept: int) -> None:
        """Show nothing."""

    def case(self, run: str, case: CaseRow, done: int) -> None:
        """Show nothing."""

    def training(self, name: str, points: Sequence[TrainingPoint]) -> None:
        """Show nothing."""

    @property
    def how(self) -> str:
        """How it was run, as a verification says it."""
        return "run again, jittered" if self.jitter else "run again"


def run_again(folder: TextFolder, how: Rerun) -> tuple[SubmissionCheck, float]:
    """Run the row of a text folder again and compare; returns the line, and the difference of the mean Dice.

    Raises
    ------
    BenchError
        Something outside the row is missing or wrong: the engine, a weight, the data set.
    """
    stated = folder.record.run
    content, here = folder.record.content.plugin, content_of(how.plugin)["plugin"]
    if content is not None and content != here:
        return _failed(
            f"the plugin here, with the SDK, is another one: {here[:12]}…, the row was made by {content[:12]}…",
            f"get the plugin as submitted, and groundbench at commit {folder.record.content.harness or 'unknown'}",
        ), math.nan
    data = open_dataset(how.dataset, cache=how.home / "datasets" / ".digests")
    if (fingerprint := fingerprint_of(data, stated.split)) != stated.fingerprint:
        raise DataError(
            f"{stated.id} was measured on {stated.fingerprint}, but {data.root} is {fingerprint}",
            fix="give its data set",
        )
    how.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".rerun-", dir=how.home) as work:
        names, rows, isolated = _rows(folder, how, data, Path(work))
    before = _dice(folder)
    mean = math.fsum(row.dice for row in rows) / max(1, len(rows))
    if before is None:  # of a closed split the mean is all that is stated
        value = folder.record.metrics["mlhc2025"]["dice"]["all"]["value"]
        difference, told = abs(mean - value), ""
    else:
        pairs = {(names[row.case], row.finding): row for row in rows}
        if pairs.keys() != before.keys():
            return _failed("it has other findings than the row", "give the data set of the row"), math.nan
        difference = abs(mean - math.fsum(row.dice for row in before.values()) / max(1, len(before)))
        largest = max((abs(row.dice - before[key].dice) for key, row in pairs.items()), default=0.0)
        same = sum(row.mask_sha256 == before[key].mask_sha256 for key, row in pairs.items())
        told = f"; largest of one finding {largest:.4f}"
        told += "" if how.jitter else f"; {same} of {len(pairs)} masks are the same"
    said = f"{how.how} on {how.engine}: the mean Dice differs by {difference:.4f}, of at most {how.tolerance:g}{told}"
    if difference > how.tolerance:
        return _failed(said, "it is not reproduced: compare the masks, or ask its authors"), difference
    if not isolated:
        why = f"{said}; it was not isolated, so that no level follows"
        return SubmissionCheck("run again", "note", why, "run it with --engine docker or apptainer"), difference
    return SubmissionCheck("run again", "pass", said), difference


def _failed(found: str, fix: str) -> SubmissionCheck:
    return SubmissionCheck("run again", "FAIL", found, fix)


def _rows(
    folder: TextFolder, how: Rerun, data: Dataset, work: Path
) -> tuple[Mapping[str, str], list[FindingRow], bool]:
    """Run it in a home of its own; return the cases' names there -> here, the findings, whether it was isolated."""
    stated = folder.record.run
    variant = how.plugin.variant(stated.variant)
    for name in _SHARED:
        if (how.home / name).is_dir():
            (work / name).symlink_to((how.home / name).resolve())
    names = {case.id: case.id for case in data.split(stated.split)}
    if how.jitter:
        (work / "jittered").mkdir()
        seed = secrets.randbits(63)
        new = write_jittered(data, stated.split, work / "jittered", seed, keep=variant.fine_tuned)
        names = {there: here for here, there in new.items()}
        data = open_dataset(work / "jittered" / "dataset.json", cache=None)
    plan: Mapping[str, Any] = stated.plan
    request = RunRequest(
        plugin=how.plugin,
        variant=variant,
        dataset=data,
        split=stated.split,
        profile=stated.profile,
        engine=how.engine,
        limit=None if how.jitter else plan.get("limit"),
        seed=int(plan.get("seed", 0)),
    )
    with Store(work / "results.db") as store:
        row = execute(request, home=work, store=store, watcher=how, stop=how.stop)
        rows = store.findings(row.id)
    known = _dice(folder)
    findings = [finding for finding in rows if known is None or (names[finding.case], finding.finding) in known]
    return names, findings, _isolated(row)


def _isolated(row: RunRow) -> bool:
    return not any(reason.startswith(NOT_ISOLATED) for reason in row.unrankable)


def _dice(folder: TextFolder) -> dict[tuple[str, str], FindingRow] | None:
    if folder.tables is None:
        return None
    return {(row.case, row.finding): row for row in folder.tables.findings}


def write_verification(
    folder: TextFolder, checks: Sequence[SubmissionCheck], *, by: str, key: Path, **how: Any
) -> RowLevel:
    """Write an organiser's signed word into a text folder: the level that its checks reached.

    Parameters
    ----------
    folder, checks
        The folder, and every check of it.
    by, key
        The organiser as the board's keys name them, and their SSH key.
    how
        `tolerance` and `difference` of a rerun, and `how` it was made.

    Returns
    -------
    RowLevel
        The level.

    Raises
    ------
    UsageError
        A check failed, neither masks nor image were looked at, or there is a word already.
    """
    failed = [one for one in checks if one.outcome == "FAIL"]
    passed = {one.name for one in checks if one.outcome == "pass"}
    if failed:
        raise UsageError(f"{failed[0].name} failed: no level is raised", fix=failed[0].fix)
    level: Raised
    if "run again" in passed:
        level = RowLevel.REPRODUCED if folder.record.opened else RowLevel.SEALED
    elif "rescored" in passed:
        level = RowLevel.RESCORED
    else:
        raise UsageError(
            "neither were masks scored nor was the image run again, isolated",
            fix="give --masks and --dataset, or --rerun with --engine docker",
        )
    if VERIFICATION in folder.files:
        raise UsageError(f"{folder.place} has a {VERIFICATION}", fix="remove it first, if it is to be replaced")
    harness = describe_harness()
    word = Verification(
        manifest=folder.digest,
        level=level,
        day=datetime.now(UTC).date().isoformat(),
        by=by,
        harness=str(harness.get("commit", harness["groundbench"])),
        **how,
    )
    content = dump_record(word)
    signed = signature.sign(content, key, signature.OF_VERIFICATION)
    try:
        for name, what in ((VERIFIED_BY, signed), (VERIFICATION, content)):
            part = folder.place / f".{name}"
            part.write_bytes(what)
            part.rename(folder.place / name)
    except OSError as error:
        raise UsageError(f"cannot write into {folder.place}: {error.strerror}", fix="check its permissions") from error
    return level
