"""``bench submission verify``: whether a text folder is what it says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.lazy import LazyGroup
from harness.cli.settings import Settings, find_plugins, json_option, pass_settings, plugin_dir_option, print_json
from harness.engines import ENGINES
from harness.errors import DataError, UsageError

if TYPE_CHECKING:
    from harness.submissions.travelled import TextFolder
    from harness.submissions.verify import SubmissionCheck

submission = LazyGroup(
    name="submission",
    help="Verify rows that travel as folders of text.",
    no_args_is_help=True,
    lazy={
        "verify": ("harness.cli.submission:verify", "Verify a text folder: form, sums, masks, signatures."),
        "review": ("harness.cli.submission:review", "Check what a pull request adds to a results repository."),
        "log": ("harness.cli.submission_log:log", "Log the rows of a results repository, so that none changes unseen."),
        "queue": ("harness.cli.submission_queue:queue", "Run rows again that wait by label, and raise their level."),
    },
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--masks", type=click.Path(path_type=Path, exists=True), help="Its masks: folder or archive.")
@click.option("--dataset", metavar="PATH|NAME", help="Its data set, with the truth: the masks are scored again.")
@click.option(
    "--signers",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Keys of the organisers (a file as ssh-keygen's allowed_signers): their verification counts.",
)
@click.option("--rerun", type=click.Choice(["jittered", "as-it-was"]), help="Also run its plugin again, and compare.")
@plugin_dir_option
@click.option(
    "--engine",
    type=click.Choice(["auto", *ENGINES]),
    default="auto",
    show_default=True,
    help="Of --rerun, as for `bench run`.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    help="Of --rerun: the largest difference of the mean Dice that counts as the same.  "
    "[default: 0.02 jittered, 0.005 as it was]",
)
@click.option(
    "--raise-as",
    "by",
    metavar="NAME",
    help="Write the level that these checks reached into the folder, signed: your name in the board's keys.",
)
@click.option("--key", type=click.Path(path_type=Path), help="The SSH key that signs for --raise-as.")
@click.option("--jobs", type=click.IntRange(1), help="Worker processes; as many as there are cores by default.")
@click.option("--markdown", is_flag=True, help="Print a table for a pull request.")
@json_option
@pass_settings
def verify(
    settings: Settings,
    /,
    folder: Path,
    *,
    masks: Path | None,
    dataset: str | None,
    signers: Path | None,
    rerun: str | None,
    plugin_dirs: tuple[Path, ...],
    engine: str,
    tolerance: float | None,
    by: str | None,
    key: Path | None,
    jobs: int | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Verify a text folder, one line a check; exit with 4 when one fails.

    The text alone: names, sizes, schema, manifest, card; every metric and interval computed again from the findings, to
    the last digit. With --masks and --dataset each mask is scored again. With --rerun and --dataset the image is built
    and run again: as it was, or on jittered cases with other names, another order, up to three slices less at one end,
    and noise below 1 HU.

    Example: bench submission verify submissions/phantom-0123abcd/test/mine/zero-shot/2026-11-30-0123456789ab
    """
    from harness.dataset import find_dataset
    from harness.submissions.report import markdown_of
    from harness.submissions.verify import HeldAgainst, verify_folder

    if (by is None) != (key is None):
        raise UsageError("--raise-as and --key go together", fix="give both, or neither")
    if rerun is not None and dataset is None:
        raise UsageError("--rerun needs the data", fix="give --dataset")
    index = None if dataset is None else find_dataset(dataset, settings.home)
    checks, found = verify_folder(folder, HeldAgainst(masks, index, settings.home, signers, jobs))
    said = {"how": "rescored", "tolerance": 0.0, "difference": 0.0}
    if rerun is not None and index is not None and found is not None:
        line, said = _run_again(
            settings,
            found,
            index,
            plugin_dirs=plugin_dirs,
            jitter=rerun == "jittered",
            engine=engine,
            tolerance=tolerance,
        )
        checks.append(line)
    if as_json:
        print_json({"schema": 1, "folder": str(folder), "checks": [vars(one) for one in checks]})
    elif markdown:
        click.echo(markdown_of(checks, found))
    else:
        show(checks)
    require_passed(checks, str(folder))
    if by is not None and key is not None and found is not None:
        from harness.submissions.rerun import write_verification

        level = write_verification(found, checks, by=by, key=key, **said)
        click.echo(
            f"raised to {level}; commit it: git add {folder} && git commit --gpg-sign -m 'Raise a row'", err=True
        )


def _run_again(
    settings: Settings,
    folder: TextFolder,
    dataset: Path,
    *,
    plugin_dirs: tuple[Path, ...],
    jitter: bool,
    engine: str,
    tolerance: float | None,
) -> tuple[SubmissionCheck, dict[str, Any]]:
    """Run a row again; returns its line, and what a verification says of it."""
    from harness.cli.run import interruptible
    from harness.submissions.rerun import JITTERED, SAME, Rerun, run_again

    def log(line: str) -> None:
        click.echo(line, err=True)

    most = tolerance if tolerance is not None else JITTERED if jitter else SAME
    plugin = find_plugins(plugin_dirs).get(folder.record.run.plugin)
    with interruptible(log) as stop:
        how = Rerun(plugin, dataset, settings.home, engine, jitter, most, log, stop)
        line, difference = run_again(folder, how)
    return line, {"how": how.how, "tolerance": most, "difference": difference}


@click.command()
@click.option(
    "--repo",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="A git repository that has both commits; by default the current folder.",
)
@click.option("--base", required=True, metavar="COMMIT", help="The commit that it is to be merged into.")
@click.option("--head", required=True, metavar="COMMIT", help="The commit of the pull request.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.md", help="Write the report there, too."
)
@json_option
def review(*, repo: Path, base: str, head: str, out: Path | None, as_json: bool) -> None:
    """Check what a pull request adds to a results repository; exit with 4 when a check fails.

    Its commits are data: nothing of them is checked out or run. It may add text folders below submissions/ and nothing
    else; each is verified, has to lie where its content belongs, and its masks are held against those of other rows.
    """
    from harness.submissions.pull_request import check_pull_request
    from harness.submissions.report import markdown_of_request

    found = check_pull_request(repo, base, head)
    report = markdown_of_request(found)
    if out is not None:
        out.write_text(report + "\n", encoding="utf-8")
    if as_json:
        folders = {place: [vars(one) for one in checks] for place, (checks, _) in found.folders.items()}
        print_json({"schema": 1, "checks": [vars(one) for one in found.checks], "folders": folders})
    else:
        click.echo(report)
    require_passed(found.failed, "the pull request")


def show(checks: list[SubmissionCheck]) -> None:
    """Print a line a check, with what to do below one that failed."""
    for one in checks:
        click.echo(f"{one.outcome:5} {one.name}: {one.found}")
        if one.fix and one.outcome != "pass":
            click.echo(f"      fix: {one.fix}")
    counted = Counter(one.outcome for one in checks)
    click.echo(", ".join(f"{counted[outcome]} {outcome}" for outcome in ("pass", "FAIL", "note", "skip")))


def require_passed(checks: list[SubmissionCheck], what: str) -> None:
    """Raise DataError where a check failed."""
    if failed := [one for one in checks if one.outcome == "FAIL"]:
        raise DataError(f"{what}: {failed[0].name}: {failed[0].found}", fix=failed[0].fix)
