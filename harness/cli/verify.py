"""``bench results verify``: a stored row, computed again from its masks."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.errors import DataError


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--masks", type=click.Path(path_type=Path, exists=True), help="New place of the masks, if they moved.")
@click.option("--dataset", metavar="PATH|NAME", help="New place of the data set, if it moved.")
@click.option("--jobs", type=click.IntRange(1), help="Worker processes; as many as there are cores by default.")
@json_option
@pass_settings
def verify(
    settings: Settings, /, run_id: str, *, masks: Path | None, dataset: str | None, jobs: int | None, as_json: bool
) -> None:
    """Compute a run again from its masks and compare every stored digit; exit with 4 when any differs.

    Also compared: the row with its plan, the database with the row's record.json, and box prompts with the ground
    truth. Columns that nothing here can compute are named: they are compared with the record only.
    """
    from harness.runs.verify import verify_run

    with settings.open_store(readonly=True) as store:
        report = verify_run(store, store.run(run_id), settings.home, masks=masks, dataset=dataset, jobs=jobs)
    if as_json:
        print_json({"schema": 1, **report})
    else:
        click.echo(
            f"{report['run']}: {report['findings']} findings and {report['metrics']} metrics computed again, "
            f"{len(report['differences'])} differ"
        )
        click.echo(f"stated, and compared with the record only: {', '.join(report['stated'])}")
        for line in report["differences"][:20]:
            click.echo(f"  {line}")
    if report["differences"]:
        raise DataError(
            f"{report['run']} does not match its masks and its record",
            fix="the database, the masks, the record or the scorer changed since; run or score again for a new row",
        )
