"""``bench results verify``: a stored row, computed again from its masks."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.cli.tables import printable
from harness.errors import DataError


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--masks", type=click.Path(path_type=Path, exists=True), help="New place of the masks, if they moved.")
@click.option("--dataset", metavar="PATH|NAME", help="New place of the data set, if it moved.")
@click.option("--jobs", type=click.IntRange(1), help="Worker processes; as many as there are cores by default.")
@click.option(
    "--signers",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Its record must be signed by one of these keys (a file as ssh-keygen's allowed_signers).",
)
@json_option
@pass_settings
def verify(
    settings: Settings,
    /,
    run_id: str,
    *,
    masks: Path | None,
    dataset: str | None,
    jobs: int | None,
    signers: Path | None,
    as_json: bool,
) -> None:
    """Compute a run again from its masks and compare every stored digit; exit with 4 when any differs.

    Also compared: the row with its plan, the database with the row's record.json, and box prompts with the ground
    truth. Columns that nothing here can compute are named: they are compared with the record only.
    """
    from harness.runs.verify import verify_run
    from harness.submissions.signed_record import check_signature

    with settings.open_store(readonly=True) as store:
        run = store.run(run_id)
        signer = check_signature(settings.home / "runs" / run.id, signers) if signers else None
        report = verify_run(store, run, settings.home, masks=masks, dataset=dataset, jobs=jobs)
    if signers:
        report["signer"] = signer
    if as_json:
        print_json({"schema": 1, **report})
    else:
        click.echo(
            f"{report['run']}: {report['findings']} findings and {report['metrics']} metrics computed again, "
            f"{len(report['differences'])} differ"
        )
        if signer:
            click.echo(f"its record is signed by {printable(signer)}")
        click.echo(f"stated, and compared with the record only: {', '.join(report['stated'])}")
        for line in report["differences"][:20]:
            click.echo(f"  {line}")
    if report["differences"]:
        raise DataError(
            f"{report['run']} does not match its masks and its record",
            fix="the database, the masks, the record or the scorer changed since; run or score again for a new row",
        )
