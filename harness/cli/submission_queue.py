"""``bench submission queue``: rows that an organiser runs again, by label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.settings import Settings, find_plugins, pass_settings, plugin_dir_option
from harness.engines import ENGINES
from harness.errors import DataError

if TYPE_CHECKING:
    from harness.submissions.rerun import Rerun
    from harness.submissions.travelled import TextFolder


@click.command()
@click.option(
    "--repo",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="A checkout of the results repository, on main; by default the current folder.",
)
@click.option("--label", default="rerun", show_default=True, help="Of the merged pull requests that wait.")
@click.option("--dataset", metavar="PATH|NAME", required=True, help="The data set of the rows, with its truth.")
@plugin_dir_option
@click.option(
    "--engine",
    type=click.Choice(["auto", *(name for name in ENGINES if name != "local")]),
    default="auto",
    show_default=True,
    help="As for `bench run`; only an isolated run raises a level.",
)
@click.option("--raise-as", "by", metavar="NAME", required=True, help="Your name in the board's keys.")
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    required=True,
    help="The SSH key that signs words and commits.",
)
@click.option("--dry-run", is_flag=True, help="Only show what waits.")
@pass_settings
def queue(
    settings: Settings,
    /,
    repo: Path,
    *,
    label: str,
    dataset: str,
    plugin_dirs: tuple[Path, ...],
    engine: str,
    by: str,
    key: Path,
    dry_run: bool,
) -> None:
    """Run the rows of merged pull requests with a label again, the oldest first; exit with 4 when one does not hold.

    Each row is run on jittered cases, as `bench submission verify --rerun jittered` does. One that holds is raised by a
    signed word in a signed commit, which is not pushed. The pull request gets the report and loses the label; a row
    whose plugin is not in a --plugin-dir goes on waiting.

    Example: bench submission queue --dataset rexgroundingct --plugin-dir ../plugins --raise-as ada --key ada.key
    """
    from harness.cli.run import interruptible
    from harness.dataset import find_dataset
    from harness.submissions.queue import QueueKeeper, waiting, work_off
    from harness.submissions.rerun import JITTERED, Rerun

    def log(line: str) -> None:
        click.echo(line, err=True)

    found = waiting(repo, label)
    for one in found if dry_run else ():
        click.echo(f"#{one.number}: {', '.join(str(folder) for folder in one.folders)}")
    if dry_run or not found:
        click.echo(f"{len(found)} wait with the label {label}", err=True)
        return
    index, plugins = find_dataset(dataset, settings.home), find_plugins(plugin_dirs)
    failed = []
    with interruptible(log) as stop:

        def rerun(folder: TextFolder) -> Rerun:
            plugin = plugins.get(folder.record.run.plugin)
            return Rerun(plugin, index, settings.home, engine, jitter=True, tolerance=JITTERED, log=log, stop=stop)

        for one in found:
            failed += work_off(one, QueueKeeper(repo, label, by, key), rerun, log)
    click.echo(f"next: git -C {repo} push")
    if failed:
        raise DataError(f"{failed[0].name}: {failed[0].found}", fix=failed[0].fix)
