"""``bench check-masks``: what would be refused, said without any ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json

if TYPE_CHECKING:
    from harness.scoring.case import CheckedMask


@click.command("check-masks")
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option("--dataset", required=True, metavar="PATH|NAME", help="A data set's folder or index, or a name.")
@click.option("--split", default="test", show_default=True, help="Which split.")
@json_option
@pass_settings
def check_masks(settings: Settings, /, predictions: Path, *, dataset: str, split: str, as_json: bool) -> None:
    """Judge masks made elsewhere as `bench score` would, without any ground truth: one line a mask.

    The shape, the affine and the values of every mask are held against its case's CT, or against the `shape` of the
    index where there is no CT. Exit code 4 where a mask would be refused, and score 0; masks that are missing are
    named, and score 0 too.

    Example: bench check-masks predictions.zip --dataset rexgroundingct --split test
    """
    from harness.dataset import find_dataset, open_dataset
    from harness.dataset.judge import judge
    from harness.dataset.problems import Level, refuse
    from harness.dataset.volumes import Depth
    from harness.errors import DataError
    from harness.scoring.case import check_case
    from harness.scoring.submission import open_submission
    from harness.status import Status

    data = open_dataset(find_dataset(dataset, settings.home), cache=settings.home / "datasets" / ".digests")
    cases = data.split(split)
    judgement = judge(data, [split], depth=Depth.QUICK)
    # A mask is held against its CT's header, so that one must be right; the truth is not needed.
    of_ct = ("ct-", "unreadable-ct", "two-cts", "raw-ct")
    if faults := [problem for problem in judgement.of(Level.ERROR) if problem.code.startswith(of_ct)]:
        raise refuse(faults, str(data.root), doing="cannot determine where masks should lie")
    submission = open_submission(predictions, cases)
    found = [mask for case in cases for mask in check_case(submission.task(case, data.mask_flip, blind=True))]
    counts = _Counts(
        ok=sum(mask.status is Status.OK for mask in found),
        refused=sum(mask.status is Status.INVALID_OUTPUT for mask in found),
        missing=sum(mask.status is Status.MISSING_OUTPUT for mask in found),
    )
    if as_json:
        document = {
            "schema": 1,
            "dataset": {"name": data.name, "split": split},
            "ok": counts.ok,
            "refused": counts.refused,
            "missing": counts.missing,
            "strangers": list(submission.strangers),
            "holds": list(submission.holds),
            "masks": [_document(mask) for mask in found],
        }
        print_json(document)
    else:
        for mask in found:
            for line in _lines(mask):
                click.echo(line)
        for line in submission.holds:
            click.echo(f"note: {predictions} holds {line}", err=True)
        for name in submission.strangers:
            click.echo(f"note: {name} belongs to no finding of split {split!r}", err=True)
        click.echo(f"{counts.ok} ok, {counts.refused} refused, {counts.missing} missing", err=True)
    if counts.refused:
        raise DataError(
            f"{counts.refused} of {len(found)} masks would be refused, and score 0",
            fix="the fix of each stands below its line",
        )


@dataclass(frozen=True)
class _Counts:
    """How many masks would be scored, refused, or are not there."""

    ok: int
    refused: int
    missing: int


def _document(mask: CheckedMask) -> dict[str, Any]:
    return {
        "case": mask.case,
        "finding": mask.finding,
        "status": mask.status,
        "voxels": mask.voxels,
        "verdict": mask.verdict.to_json(),
    }


def _lines(mask: CheckedMask) -> list[str]:
    """Say one mask: its line, and below it what to do about a refusal or a warning."""
    from harness.cli.tables import counted, printable
    from harness.status import Status

    name = f"{mask.case}/{mask.finding}"
    if mask.status is Status.MISSING_OUTPUT:
        return [f"missing  {name}"]
    level = "refused" if mask.verdict.refusals else "warning" if mask.verdict.problems else "ok"
    what = f"{counted(mask.voxels, 'voxel')}" if mask.voxels is not None else ""
    said = "; ".join(printable(problem.message) for problem in mask.verdict.refusals or mask.verdict.problems)
    lines = [f"{level:8} {name}  {'; '.join(part for part in (what, said) if part)}"]
    for problem in mask.verdict.refusals:
        lines.append(f"         cause: {printable(problem.cause)}")
        lines.append(f"         fix: {printable(problem.fix)}")
    return lines
