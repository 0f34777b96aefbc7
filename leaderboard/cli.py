"""``bench leaderboard``: turn the results database into a site."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group(no_args_is_help=True)
def leaderboard() -> None:
    """Turn the results database into a static site."""


@leaderboard.command()
@click.option(
    "--db",
    type=click.Path(path_type=Path),
    help="Results database; by default the one of the home.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the site: new, empty, or made by this command before.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def build(ctx: click.Context, db: Path | None, out: Path, *, as_json: bool) -> None:
    """Write the leaderboard as one page that needs no server.

    Example: bench leaderboard build --out site/
    """
    from harness.store import Store
    from leaderboard.site import build_site

    with Store(db or ctx.obj.home / "results.db", readonly=True) as store:
        index = build_site(store, out)
    if as_json:
        click.echo(json.dumps({"schema": 1, "index": str(index)}))
    else:
        click.echo(f"The leaderboard is at {index}")
