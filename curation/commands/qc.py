"""``bench curate qc``: check masks against texts and anatomy."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.settings import Settings, json_option, pass_settings
from harness.cli.tables import counted, printable
from harness.errors import DataError


@click.command()
@click.argument("path")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for the report.")
@click.option("--split", help="Check this split only.")
@click.option(
    "--anatomy",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of lobe masks named as the CTs (1 RUL 2 RML 3 RLL 4 LUL 5 LLL 6 airway)  [default: PATH/anatomy]",
)
@click.option("--every", is_flag=True, help="Make pictures of findings without a problem too.")
@json_option
@pass_settings
@click.pass_context
def qc(
    ctx: click.Context,
    settings: Settings,
    *,
    path: str,
    out: Path,
    split: str | None,
    anatomy: Path | None,
    every: bool,
    as_json: bool,
) -> None:
    """Check every mask of the data set at PATH; exit code 4 when there is an error.

    Looked for: empty masks, voxels outside the body or the lungs, the wrong side or lobe, HU that the category cannot
    have, masks too small or too large, sizes and numbers that are not the text's, one mask for two findings. OUT gets
    qc.json and qc.html with pictures.
    """
    from curation.qc.report import HTML, check_all, write_report
    from harness.dataset import find_dataset, open_dataset

    dataset = open_dataset(find_dataset(path, settings.home))
    folder = anatomy or dataset.root / "anatomy"
    rows = check_all(
        dataset,
        split=split,
        anatomy=folder if folder.is_dir() else None,
        every=every,
        progress=lambda done, total, name: click.echo(f"{done}/{total} {name}", err=True),
    )
    document = write_report(dataset.name, rows, out)
    if as_json:
        click.echo(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        for problem in document["problems"]:
            click.echo(printable(f"{problem['level']} {problem['code']} {problem['where']}: {problem['what']}"))
        found = ", ".join(f"{count} {level}" for level, count in document["counts"].items())
        clean = f"{document['clean']} of {counted(document['findings'], 'finding')} clean"
        click.echo(f"{out / HTML}: {clean}; {found}")
    if document["counts"]["error"]:
        ctx.exit(DataError.exit_code)
