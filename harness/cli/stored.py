"""Shared by ``bench sources`` and ``bench weights``: the choice of plugins, and a check of each stored item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from harness.cli.settings import find_plugins, print_json
from harness.errors import BenchError, DataError, PrerequisiteError, UnknownName
from harness.registry.declaration import Model
from harness.registry.licences import NONE
from harness.registry.pinned import Source, Weights

Item = TypeVar("Item", Source, Weights)

plugin_option = click.option("--plugin", help="Only the items that this plugin declares.")


def declared(
    items: Callable[[Model], Iterable[Item]], plugin_dirs: tuple[Path, ...], plugin: str | None, name: str | None = None
) -> dict[Item, list[str]]:
    """Return the chosen items, each with the plugins that declare it.

    Parameters
    ----------
    items
        Returns the sources or the weights of a model.
    plugin_dirs, plugin
        Folders of further plugins, and the one plugin; None for all.
    name
        Only the item of this name; None for all.

    Raises
    ------
    UsageError
        When no item is named `name`, with the nearest names.
    """
    registry = find_plugins(plugin_dirs)
    found: dict[Item, list[str]] = {}
    for one in [registry.get(plugin)] if plugin else registry.plugins.values():
        for item in items(one.model):
            found.setdefault(item, []).append(one.name)
    named = {item: plugins for item, plugins in found.items() if name in {None, item.name}}
    if name is not None and not named:
        raise UnknownName("declaration", name, {item.name for item in found})
    return named


def say_what_is_asked(models: Iterable[Model]) -> None:
    """Say where nobody has licensed the code of models, and what is asked beside the licences of their weights."""
    lines: list[str] = []
    for model in models:
        if without := [source.name for source in model.sources if source.licence == NONE]:
            lines.append(f"{model.name}: {', '.join(without)}: no licence; ask the authors what you may do with it")
        lines += [
            f"{model.name}: weights of {file.repo or file.origin}: {file.licence}; {file.note}"
            for file in model.weights
            if file.note
        ]
    for line in dict.fromkeys(lines):
        log(line)


def fetch_all(found: Mapping[Item, list[str]], fetch: Callable[[Item], object]) -> None:
    """Fetch the items in turn; one that fails does not stop the others.

    Raises
    ------
    BenchError
        What the only failure was, or all of them.
    """
    from harness.cli import expected
    from harness.cli.several import NotEnded, one_by_one, worst_of

    steps = [(item.name, item) for item in found]
    ended = list(one_by_one(steps, fetch, expected=expected, log=log))
    if failures := [one for one in ended if isinstance(one, NotEnded)]:
        raise worst_of(failures, len(steps))


def verify_all(found: Mapping[Item, list[str]], check: Callable[[Item], object], *, as_json: bool) -> None:
    """Check the items in turn and print a verdict for each; the worst one is raised at the end.

    Parameters
    ----------
    found
        The items to check.
    check
        Raises a BenchError for an item that is missing or changed.
    as_json
        Print one document instead of lines.

    Raises
    ------
    DataError
        When an item was changed.
    PrerequisiteError
        When an item is missing.
    """
    rows, worst = [], None
    for item in found:
        problem = None
        try:
            check(item)
        except BenchError as error:
            problem = error
            worst = error if worst is None or error.exit_code > worst.exit_code else worst
        state = {DataError: "changed", PrerequisiteError: "missing", type(None): "ok"}[type(problem)]
        rows.append({"name": item.name, "state": state, "why": problem.message if problem else ""})
        if not as_json:
            click.echo(f"{state:8} {item.name}")
    if as_json:
        print_json({"schema": 1, "verified": rows})
    wrong = sum(row["state"] != "ok" for row in rows)
    if worst is not None and wrong > 1:
        raise type(worst)(f"{wrong} of {len(rows)} are missing or changed; for example: {worst.message}", fix=worst.fix)
    if worst is not None:
        raise worst


def log(line: str) -> None:
    """Show a step on standard error."""
    click.echo(line, err=True)
