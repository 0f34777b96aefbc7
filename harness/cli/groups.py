"""Dice by category or by size of finding, of one run or several, on a terminal (paper, Figures 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from harness.categories import CATEGORIES
from harness.cli.tables import cell, print_table, printable
from harness.errors import UsageError
from harness.rows import FindingRow, RunRow

if TYPE_CHECKING:
    from harness.scoring.profiles import Profile

#: ``--by`` -> the groups of a run's metrics.
GROUPS = {"category": "by_category", "size": "by_size"}


def require_same_data(rows: Sequence[RunRow]) -> None:
    """Raise UsageError unless all runs were measured on the same split of the same data."""
    first, *others = rows
    for other in others:
        if (other.fingerprint, other.split) != (first.fingerprint, first.split):
            raise UsageError(
                f"{first.id} and {other.id} were measured on different data",
                fix="compare runs of one split of one data set; `bench results list` shows them",
            )


def with_sizes(
    document: dict[str, Any],
    run: RunRow,
    findings: Sequence[FindingRow],
    profile: Profile,
    fixed: tuple[float, float] | None,
) -> dict[str, Any]:
    """Return a run's document with its size groups cut at `fixed` shares of the scan, and with ``"sizes"``: the cuts.

    Parameters
    ----------
    document
        Of :func:`harness.runs.document.run_document`.
    run, findings
        Its row and its findings.
    profile
        That of the document.
    fixed
        Largest share that is small, and medium; None for the run's own cuts, with which its scores were stored.
    """
    from harness.scoring.sizes import SizeCuts, cuts_of
    from harness.scoring.summary import summarise

    if fixed is None:
        # Versions that did not record the cuts took the percentiles of what was scored.
        own = SizeCuts.recorded(run.record) or cuts_of(row.details.size_ratio for row in findings)
        return {**document, "sizes": own}
    cuts = SizeCuts(*fixed, of="fixed")
    if not document["metrics"]:
        return {**document, "sizes": cuts}
    quirks = bool(run.plan.get("organiser_quirks")) and profile.name == run.profile
    return {
        **document,
        "sizes": cuts,
        "metrics": summarise(findings, replace(profile, organiser_quirks=quirks), cuts=cuts),
    }


def groups_document(documents: Sequence[dict[str, Any]], by: str) -> dict[str, Any]:
    """Return the mean Dice of each group of findings, of each run.

    Parameters
    ----------
    documents
        One document a run (:func:`harness.runs.document.run_document`, by size :func:`with_sizes`), all of one split
        and one profile.
    by
        ``"category"`` or ``"size"``.

    Returns
    -------
    dict
        ``{"schema", "by", "profile", "metric", "dataset", "sizes", "runs"}``: by size, ``"sizes"`` are its cuts. A run
        is ``{"run", "plugin", "variant", "unrankable", "groups"}``, and one of its groups ``{"group", "name", "value",
        "ci95", "n", "cases"}``. Every run has every group that one of them has.

    Raises
    ------
    UsageError
        A run has no scores under the profile, or two were not divided at the same sizes.
    """
    found = {document["run"]: document["metrics"].get("dice", {}).get(GROUPS[by]) for document in documents}
    for document in documents:
        if found[document["run"]] is None:
            raise UsageError(
                f"{document['run']} has no scores under {document['profile']} (it is {document['state']})",
                fix="finish it with the command that began it, or choose another --profile",
            )
    first = documents[0]
    sizes = first["sizes"] if by == "size" else None
    for document in documents:
        if sizes is not None and not sizes.same_groups(document["sizes"]):
            raise UsageError(
                f"{first['run']} and {document['run']} were not divided at the same sizes",
                fix="give sizes for both with --size-cuts, such as "
                f"--size-cuts {100 * sizes.small:.3g},{100 * sizes.medium:.3g}",
            )
    keys = dict.fromkeys(key for groups in found.values() for key in groups)
    ordered = sorted(keys) if by == "category" else list(keys)
    nothing = {"value": None, "ci95": None, "n": 0, "cases": 0}
    return {
        "schema": 1,
        "by": by,
        "profile": first["profile"],
        "metric": "dice",
        "dataset": first["dataset"],
        **({} if sizes is None else {"sizes": sizes.to_json() | {"bounds": sizes.bounds, "origin": sizes.origin}}),
        "runs": [
            {name: document[name] for name in ("run", "plugin", "variant", "unrankable")}
            | {
                "groups": [
                    {"group": key, "name": CATEGORIES.get(key, key), **found[document["run"]].get(key, nothing)}
                    for key in ordered
                ]
            }
            for document in documents
        ],
    }


def print_groups(document: dict[str, Any]) -> None:
    """Print what :func:`groups_document` returned: one line a group, and of several runs one line a run below it."""
    data, runs = document["dataset"], document["runs"]
    one = len(runs) == 1
    of_one = f" of {runs[0]['run']}" if one else ""
    click.echo(f"Dice by {document['by']}{of_one}")
    shown = f"({document['profile']}; 95 % intervals from five cases on)"
    click.echo(f"{printable(data['name'])}, split {data['split']} {shown}")
    head = document["by"] if one else f"{document['by']}, run"
    print_table([head, "Dice", "n"], list(_lines(runs)), right=(1, 2))
    if "sizes" in document:
        click.echo(f"{document['sizes']['bounds']}\n({document['sizes']['origin']})")
    for run in runs:
        if run["unrankable"]:
            click.echo(f"not ranked: {run['run']} ({'; '.join(run['unrankable'])})")


def _lines(runs: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for groups in zip(*(run["groups"] for run in runs), strict=True):
        key, name = groups[0]["group"], groups[0]["name"]
        title = key if name == key else f"{key} {name}"
        if len(runs) == 1:
            yield title, cell(groups[0]), str(groups[0]["n"])
            continue
        yield title, "", ""
        for run, group in zip(runs, groups, strict=True):
            yield f"  {run['run']}", cell(group), str(group["n"])
