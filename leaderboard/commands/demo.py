"""``bench demo``: the whole way in one command."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from harness.cli.run import PHANTOM, open_data, run_plugins
from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.engines import ENGINES

#: The baseline, and two models whose scores are known in advance.
PLUGINS = ["rules", "oracle", "shifted"]


@click.command()
@click.option(
    "--engine",
    type=click.Choice(["auto", *ENGINES]),
    default="auto",
    show_default=True,
    help="As for `bench run`.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Where the page goes; HOME/site by default."
)
@json_option
@pass_settings
def demo(settings: Settings, /, engine: str, out: Path | None, *, as_json: bool) -> None:
    """Make a small phantom, run the baseline and two known answers over it, score them, and write the page.

    Takes a minute or so; a second call only shows the results.
    """
    from harness.cli.report import print_documents
    from harness.runs.document import run_document
    from leaderboard.site.build import Options, build_site

    with settings.open_store() as store:
        phantom = str(settings.home / "datasets" / PHANTOM)
        rows = run_plugins(settings, store, PLUGINS, engine=engine, dataset=phantom)
        documents = [run_document(store, row, row.profile) for row in rows]
        data = open_data(settings, phantom, lambda _: None)
        options = Options(figures=True, datasets=(data,), runs=settings.home / "runs")
        page = build_site(store, out or settings.home / "site", options)
    if as_json:
        print_json({"schema": 1, "runs": documents, "page": str(page)})
        return
    print_documents(documents)
    click.echo(f"\nthe leaderboard is at {page.resolve().as_uri()}")
    called = "bench" if shutil.which("bench") else os.path.relpath(sys.argv[0])
    click.echo(f"what these lines say: docs/ten-minutes.md\nnext: {called} list")
