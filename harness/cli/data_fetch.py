"""``bench data fetch``: how to download a gated data set, and its links once it is downloaded."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.settings import Settings, pass_settings
from harness.dataset.orientation import name_of
from harness.dataset.rexgroundingct import GUIDE, NAME, Linked, indexes_in, link, wanted_cts
from harness.errors import UnknownName, UsageError

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("name")
@click.option("--rexgroundingct", type=_FOLDER, help="The download of the findings and masks.")
@click.option("--ct-rate", type=_FOLDER, help="The download of the CT volumes.")
@click.option("--list", "as_list", is_flag=True, help="Print the CTs still to be downloaded, one path a line.")
@click.option("--split", help="With --list: of this split only.")
@pass_settings
def fetch(
    settings: Settings,
    name: str,
    rexgroundingct: Path | None,
    ct_rate: Path | None,
    split: str | None,
    *,
    as_list: bool,
) -> None:
    """Show how to download the gated data set NAME, or link a finished download into the home.

    Nothing is copied, and nothing is downloaded: the terms of the data sets are yours to accept.

    Example: bench data fetch rexgroundingct --rexgroundingct ReXGroundingCT --ct-rate CT-RATE
    """
    if name != NAME:
        raise UnknownName("data set", name, [NAME])
    if split is not None and not as_list:
        raise UsageError("--split goes with --list", fix="leave it out: linking covers every split that was downloaded")
    if as_list:
        if rexgroundingct is None:
            raise UsageError("--list reads the names from the findings", fix="add --rexgroundingct PATH")
        for path in wanted_cts(indexes_in(rexgroundingct), split, ct_rate):
            click.echo(path)
        return
    target: Path = settings.home / "datasets" / NAME
    if rexgroundingct is not None and ct_rate is not None:
        _show(link(target, rexgroundingct, ct_rate))
    elif rexgroundingct is not None or ct_rate is not None:
        raise UsageError("both downloads are needed", fix="give --rexgroundingct PATH and --ct-rate PATH")
    elif target.is_dir():
        click.echo(
            f"ReXGroundingCT is linked at {target}; for more of its CTs repeat steps 3 and 4:\n\n{GUIDE}", nl=False
        )
    else:
        click.echo(GUIDE, nl=False)


def _show(linked: Linked) -> None:
    click.echo(f"linked {linked.cts:,} of {linked.cases:,} CTs at {linked.folder}")
    if linked.raw:
        click.echo(f"{linked.raw:,} of the others were downloaded only as raw values, which are not used", err=True)
    found = linked.orientation
    for error in found.damaged:
        click.echo(f"{error.message} ({error.fix})", err=True)
    if found.best is None:
        click.echo("orientation of the masks on the CTs: these files do not show it; used as stored")
    else:
        click.echo(
            f"orientation of the masks on the CTs: {name_of(found.best)} "
            f"({found.shares[found.best]:.1%} of a finding inside the lungs, mean over {found.findings} findings)"
        )
    whole = [split for split, found in linked.whole.items() if found]
    if len(whole) == len(linked.whole):
        click.echo(f"next: bench data validate {linked.name} --quick")
    for split in whole if len(whole) < len(linked.whole) else ():
        click.echo(f"next: bench data validate {linked.name} --split {split} --quick")
    if not whole:
        click.echo(f"no split of {linked.name} has all its CTs; with --list instead of a link the others are named")
