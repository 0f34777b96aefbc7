"""``bench submission log``: the log of a results repository, in which no row changes in silence."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import DataError


@click.command()
@click.argument("repository", metavar="REPO", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--check", is_flag=True, help="Add nothing; exit with 4 where log and rows differ.")
def log(*, repository: Path, check: bool) -> None:
    """Add the rows of a results repository to its record-log.txt, or hold them against it.

    Each line contains the digest of the line before it. A row that was changed, removed or made again is named.
    """
    from harness.submissions.record_log import append_to_log, changes, read_log, repeated
    from harness.submissions.text_files import RECORD, SUBMISSIONS, find_folders
    from harness.submissions.verify import read_folder

    lines = read_log(repository)
    there = repository / SUBMISSIONS
    places = list(find_folders(there)) if any(there.rglob(RECORD)) else []
    folders = [(place.relative_to(repository).as_posix(), read_folder(place)) for place in places]
    differing = list(changes(lines, folders)) if lines or check else []
    for line in differing:
        click.echo(line)
    if not check:
        added = append_to_log(repository, lines, folders)
        lines += added
        click.echo(f"{len(added)} rows added, {len(lines)} lines in the log")
    for line in repeated(lines):
        click.echo(line)
    if check and differing:
        raise DataError(
            f"{len(differing)} rows of {repository} are not as its log has them",
            fix="see the history of the repository; a row that may change is logged again: `bench submission log REPO`",
        )
    if check:
        click.echo(f"{len(folders)} rows are as the log has them")
