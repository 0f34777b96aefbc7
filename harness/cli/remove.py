"""``bench results remove``: runs that are to be forgotten."""

from __future__ import annotations

import sys

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.errors import UsageError


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_settings
def remove(settings: Settings, /, runs: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    """Remove runs for good: their rows, scores and texts in the database, their masks, logs and records.

    Lists them and asks first. What the database held is overwritten in its file. The checkpoint that a run predicted
    with stays, since other runs may use it, and its path is told; sites that were built before stay as they are.

    Example: bench results remove rules-zero-shot-0123456789 --yes
    """
    from harness.cli.tables import counted
    from harness.runs.removal import removal_of, remove_run

    with settings.open_store() as store:
        chosen = {row.id: row for row in map(store.run, runs)}
        found = [removal_of(store, row) for row in chosen.values()]
        for one in found:
            where = f"; {one.folder}" if one.folder else ""
            click.echo(f"{one.run}: {counted(one.cases, 'case')}, {counted(one.findings, 'finding')}{where}", err=True)
            if one.checkpoint:
                click.echo(f"  its checkpoint stays: {one.checkpoint}", err=True)
        if not yes:
            _ask()
        for row in chosen.values():
            remove_run(store, row)
    if as_json:
        print_json({"schema": 1, "removed": list(chosen)})
    else:
        click.echo(f"removed {counted(len(chosen), 'run')}")


def _ask() -> None:
    try:
        click.confirm("remove all of this?", abort=True, err=True)
    except click.Abort as error:
        if sys.stdin.isatty():
            raise
        raise UsageError("nothing was removed: remove asks first", fix="answer y, or add --yes") from error
