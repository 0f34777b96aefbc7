"""``bench shard``: what a job of a cluster runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--shared",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder that the driver and this host see.",
)
@click.option("--scratch", default="$TMPDIR", show_default=True, help="Folder on a local disk; variables are expanded.")
def shard(file: Path, shared: Path, scratch: str) -> None:
    """Run one shard FILE of a run, which `bench run --cluster` has written; its jobs call this.

    The cases that have an outcome already are left out. Whatever becomes of the shard is told by files in the run's
    folder, and the exit code is 0, also where the model failed. SIGTERM ends it after the current case, or after 20 s.
    """
    from harness.cluster.job import QUESTION, answer_file, run_file

    file, shared = file.resolve(), shared.resolve()
    if file.name == QUESTION:  # of `bench cluster check`
        answer_file(file, shared=shared)
        return
    report = run_file(file, shared=shared, scratch=scratch, log=lambda line: click.echo(line, err=True))
    where = f"{report.run}, shard {report.shard} on {report.node}"
    click.echo(f"{where}: {report.state}{f': {report.reason}' if report.reason else ''}", err=True)
