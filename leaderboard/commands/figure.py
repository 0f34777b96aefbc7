"""``bench leaderboard figure``: one case as a strip of pictures, the reference beside runs (paper, Figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.errors import DataError, UnknownName, UsageError
from harness.status import Status

if TYPE_CHECKING:
    from harness.dataset import Case, Dataset
    from harness.rows import RunRow
    from harness.store.database import Store
    from leaderboard.gallery.delivered import Delivered
    from leaderboard.gallery.scans import Points, Scan
    from leaderboard.gallery.strip import Marks

#: What the terms of a data set must allow before a strip of one of its cases may be published.
_SHOWN = ("scores", "texts", "images", "masks")


@click.command()
@click.option("--case", "wanted", required=True, metavar="C", help="The case.")
@click.option("--runs", "names", required=True, metavar="RUN,...", help="The runs, from left to right.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The picture: a .svg or a .png file."
)
@click.option(
    "--slice",
    "wanted_slice",
    type=click.IntRange(min=0),
    help="Axial slice, counted from 0 at the feet. By default the one on which most findings of the reference are "
    "seen, and of them most voxels.",
)
@click.option("--dataset", help="The data set, by path or name; by default where the first run found it.")
@click.option(
    "--visibility",
    type=click.Choice(["private", "public"]),
    default="public",
    show_default=True,
    help="Who will see it. A public picture needs terms of the data set that allow it; a private one says on itself "
    "that it is not to be published.",
)
@json_option
@pass_settings
def figure(
    settings: Settings,
    /,
    *,
    wanted: str,
    names: str,
    out: Path,
    wanted_slice: int | None,
    dataset: str | None,
    visibility: str,
    as_json: bool,
) -> None:
    """Draw one case as a strip: all its findings in colours and patterns, the reference first, then each run.

    Below each picture are the scores of its masks, below all the texts. The same case and masks give the same bytes.

    Example: bench leaderboard figure --case train_19753_a_2 --runs sat-fine-tuned,rules --out strip.svg
    """
    from harness.cli.groups import require_same_data
    from leaderboard.gallery.delivered import Delivered
    from leaderboard.gallery.scans import read_scan
    from leaderboard.gallery.strip import choose_slice, strip_of, to_png

    if out.suffix not in {".svg", ".png"}:
        raise UsageError(f"{out}: a strip cannot be drawn as {out.suffix or 'that'}", fix="use .svg or .png")
    with settings.open_store(readonly=True) as store:
        runs = [store.run(name.strip()) for name in names.split(",") if name.strip()]
        if not runs:
            raise UsageError("--runs names no run", fix="see `bench results list`")
        require_same_data(runs)
        data = _data(runs[0], settings.home, dataset)
        case = _case(data, runs[0].split, wanted)
        warning = _may_be_shown(data, public=visibility == "public")
        scan = read_scan(case)
        by_channel = scan.truth(data.mask_flip)
        truth = {finding.id: by_channel[finding.index].points for finding in case.findings}
        masks = Delivered(store, settings.home / "runs", data)
        rows = [_marks(store, run, title, scan, masks) for run, title in zip(runs, _titles(runs), strict=True)]
    if not any(map(len, truth.values())):
        raise DataError(f"no finding of {case.id} has a voxel", fix="choose another case", path=case.truth)
    if wanted_slice is not None and wanted_slice >= scan.shape[2]:
        raise UsageError(
            f"{case.id} has {scan.shape[2]} axial slices, not {wanted_slice + 1}",
            fix=f"give --slice 0 to {scan.shape[2] - 1}",
        )
    z = choose_slice(list(truth.values())) if wanted_slice is None else wanted_slice
    texts = {finding.id: finding.text for finding in case.findings}
    title, lines = f"{case.id}, {data.name}", [_source(data), *warning]
    svg = strip_of(scan, texts, truth, rows, z=wanted_slice, title=title, lines=lines)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(svg.encode() if out.suffix == ".svg" else to_png(svg))
    if as_json:
        print_json({"schema": 1, "out": str(out), "case": case.id, "runs": [run.id for run in runs], "slice": z})
    else:
        click.echo(f"the strip of {case.id}, axial slice {z}, is at {out}")


def _data(run: RunRow, home: Path, dataset: str | None) -> Dataset:
    """Open the data set that a run was measured on; raises DataError where it is another one today."""
    from harness.dataset import find_dataset, open_dataset
    from harness.dataset.fingerprint import fingerprint_of

    place = dataset or run.plan.get("dataset") or run.record.get("dataset", {}).get("path") or run.dataset
    data = open_dataset(find_dataset(place, home), cache=home / "datasets" / ".digests")
    if (fingerprint := fingerprint_of(data, run.split)) != run.fingerprint:
        raise DataError(
            f"{run.id} was measured on {run.fingerprint}, but {data.root} is {fingerprint}",
            fix="give the data set of that run with --dataset",
        )
    return data


def _case(data: Dataset, split: str, wanted: str) -> Case:
    cases = {case.id: case for case in data.split(split)}
    if wanted not in cases:
        raise UnknownName(f"case of {data.name}/{split}", wanted, cases)
    if cases[wanted].truth is None:
        raise DataError(f"{wanted} has no ground truth here", fix="choose a case with a mask")
    return cases[wanted]


def _may_be_shown(data: Dataset, *, public: bool) -> list[str]:
    """Return the line that a private picture carries; raises DataError where a public one may not be made."""
    lacking = data.terms.lacks(*_SHOWN)
    if not lacking:
        return []
    if public:
        answers = ", ".join(f'"{one.partition(":")[0]}": "yes"' for one in lacking)
        raise DataError(
            f"the terms of {data.name} do not allow that pictures of its cases are published ({', '.join(lacking)})",
            fix="draw it for yourself with --visibility private; or, where the owner of the data allows it, state that "
            f'in its groundbench.json: "terms": {{{answers}}}',
        )
    return [f"NOT TO BE PUBLISHED: the terms of the data do not allow it ({', '.join(lacking)})."]


def _source(data: Dataset) -> str:
    terms = data.terms
    parts = [terms.authors, terms.licence or data.licence, terms.source]
    return f"CT, reference and texts: {data.name}; {'; '.join(filter(None, parts)) or 'licence not stated'}."


def _titles(runs: Sequence[RunRow]) -> list[str]:
    """Name each run by its model and variant; by its id where two of them share these."""
    named = [f"{run.title or run.plugin}, {run.variant}" for run in runs]
    return [name if named.count(name) == 1 else run.id for run, name in zip(runs, named, strict=True)]


def _marks(store: Store, run: RunRow, title: str, scan: Scan, masks: Delivered) -> Marks:
    """Read what a run made of a case: its scores, and those of its masks that are at hand and are what was scored."""
    from leaderboard.gallery.strip import Marks

    rows = store.findings(run.id, scan.case.id)
    delivered = masks.masks(run.id, scan)
    found: dict[str, Points | None] = {}
    for row in rows:
        mask = delivered.get(row.finding)
        found[row.finding] = None if isinstance(mask, str) or row.status != Status.OK else mask
    return Marks(title, {row.finding: (row.status, row.dice) for row in rows}, found)
