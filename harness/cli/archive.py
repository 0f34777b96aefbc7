"""``bench results archive``: runs that are kept and no longer shown."""

from __future__ import annotations

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--undo", is_flag=True, help="Show them again.")
@json_option
@pass_settings
def archive(settings: Settings, /, runs: tuple[str, ...], *, undo: bool, as_json: bool) -> None:
    """Leave runs out of lists and boards, such as failed tries; nothing is removed, and --undo shows them again.

    `bench results list --archived` lists them, and every board says how many it leaves out.

    Example: bench results archive rules-zero-shot-0123456789
    """
    from harness.cli.tables import counted
    from harness.store import archive as of_store

    with settings.open_store() as store:
        chosen = list(dict.fromkeys(store.run(run).id for run in runs))
        (of_store.unarchive if undo else of_store.archive)(store, chosen)
    if as_json:
        print_json({"schema": 1, "shown" if undo else "archived": chosen})
    elif undo:
        click.echo(f"{counted(len(chosen), 'run')} shown again")
    else:
        click.echo(f"archived {counted(len(chosen), 'run')}; `bench results archive {chosen[0]} --undo` shows it again")
