"""Dice by category or by size of finding, of one run or several, on a terminal (paper, Figures 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from harness.categories import CATEGORIES
from harness.cli.tables import cell, print_table, printable
from harness.errors import UsageError
from harness.rows import RunRow

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


def groups_document(documents: Sequence[dict[str, Any]], by: str) -> dict[str, Any]:
    """Return the mean Dice of each group of findings, of each run.

    Parameters
    ----------
    documents
        One document a run (:func:`harness.runs.document.run_document`), all of one split and one profile.
    by
        ``"category"`` or ``"size"``.

    Returns
    -------
    dict
        ``{"schema", "by", "profile", "metric", "dataset", "runs"}``, with ``{"run", "plugin", "variant", "unrankable",
        "groups"}`` of each run; a group is ``{"group", "name", "value", "ci95", "n"}``. Every run has every group that
        one of them has.

    Raises
    ------
    UsageError
        A run has no scores under the profile.
    """
    found = {document["run"]: document["metrics"].get("dice", {}).get(GROUPS[by]) for document in documents}
    for document in documents:
        if found[document["run"]] is None:
            raise UsageError(
                f"{document['run']} has no scores under {document['profile']} (it is {document['state']})",
                fix="finish it with the command that began it, or choose another --profile",
            )
    keys = dict.fromkeys(key for groups in found.values() for key in groups)
    ordered = sorted(keys) if by == "category" else list(keys)
    nothing = {"value": None, "ci95": None, "n": 0}
    first = documents[0]
    return {
        "schema": 1,
        "by": by,
        "profile": first["profile"],
        "metric": "dice",
        "dataset": first["dataset"],
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
    click.echo(f"{printable(data['name'])}, split {data['split']} ({document['profile']}; 95 % intervals)")
    head = document["by"] if one else f"{document['by']}, run"
    print_table([head, "Dice", "n"], list(_lines(runs)), right=(1, 2))
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
