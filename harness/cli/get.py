"""``bench get``: everything that models need from outside, ahead of a run."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.settings import Settings, find_plugins, json_option, pass_settings, plugin_dir_option, print_json
from harness.cli.several import NotEnded, one_by_one, worst_of
from harness.cli.stored import log, say_what_is_asked

if TYPE_CHECKING:
    from harness.registry.declaration import Variant
    from harness.registry.discovery import Plugin
    from harness.registry.pinned import Source, Weights
    from harness.upstream.repositories import Clones
    from harness.upstream.sources import SourceStore
    from harness.upstream.weights import WeightsStore


@dataclass(frozen=True)
class Got:
    """One item that models need, and what became of it."""

    kind: str  #: ``"source"`` or ``"weights"``
    name: str
    plugins: tuple[str, ...]
    origin: str  #: where it is published
    state: str  #: ``"present"``, ``"fetched"``, ``"missing"`` or ``"failed"``
    path: str = ""
    size: int = 0  #: bytes of weights; 0 where not known
    identity: str = ""  #: the commit of a source, the SHA-256 of weights
    pinned_by: str = ""  #: ``"plugin"``, ``"hub at REVISION"``, or empty where nobody does
    why: str = ""
    fix: str = ""


@click.command()
@click.option("--plugin", metavar="NAME[,NAME]", required=True, help="Models to get everything for; see `bench list`.")
@click.option("--variant", help="Only the weights of this variant; otherwise those of all of them.")
@click.option("--dry-run", is_flag=True, help="List what is missing, and download nothing.")
@plugin_dir_option
@json_option
@pass_settings
def get(
    settings: Settings,
    /,
    plugin: str,
    variant: str | None,
    plugin_dirs: tuple[Path, ...],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Download all that models need for a run: upstream code at its commits, and released weights.

    What is present is checked and kept, an interrupted download resumes, and what cannot be had does not
    stop the rest: it is told at the end, with what to do. Nothing else is downloaded by a run, apart from
    the packages of its image.

    Example: bench get --plugin biomedparse
    """
    from harness.upstream.repositories import Clones
    from harness.upstream.sources import SourceStore
    from harness.upstream.weights import WeightsStore

    registry = find_plugins(plugin_dirs)
    chosen = [registry.get(name) for name in _names(plugin)]
    sources, weights = SourceStore(settings.home / "sources"), WeightsStore(settings.home / "weights")
    say_what_is_asked(one.model for one in chosen)
    wanted = _wanted(chosen, [one.variant(variant) for one in chosen] if variant else None)
    with Clones.open(settings.home / "sources", log) as clones:
        store = _Store(sources, weights, clones, dry_run=dry_run)
        rows, failures = _get(wanted, store)
    if as_json:
        print_json({"schema": 1, "complete": all(_here(row) for row in rows), "items": [asdict(row) for row in rows]})
    else:
        _print(rows)
    if failures:
        raise worst_of(failures, len(rows))
    if not as_json and not dry_run:
        log(f"complete; next: bench run --plugin {plugin}{f' --variant {variant}' if variant else ''}")


def _names(plugin: str) -> list[str]:
    return list(dict.fromkeys(name for part in plugin.split(",") if (name := part.strip())))


def _wanted(plugins: list[Plugin], variants: list[Variant] | None) -> list[tuple[Source | Weights, tuple[str, ...]]]:
    """Return each item once, small files before large ones, with the models that need it."""
    found: dict[Source | Weights, list[str]] = {}
    for number, plugin in enumerate(plugins):
        files = plugin.model.weights
        loaded = {file.name for file in files} if variants is None else set(variants[number].weights)
        needed: list[Source | Weights] = [*plugin.model.sources, *(file for file in files if file.name in loaded)]
        for item in needed:
            found.setdefault(item, []).append(plugin.name)
    return sorted(((item, tuple(names)) for item, names in found.items()), key=_bytes)


def _bytes(wanted: tuple[Source | Weights, tuple[str, ...]]) -> float:
    """Return the size for the order: sources first, weights of unknown size last."""
    size = getattr(wanted[0], "size", None)
    return -1 if size is None else size or math.inf


@dataclass(frozen=True)
class _Store:
    """Where items are kept, and what they are fetched with."""

    sources: SourceStore
    weights: WeightsStore
    clones: Clones
    dry_run: bool

    def here(self, item: Source | Weights) -> bool:
        from harness.registry.pinned import Source

        return self.sources.has(item) if isinstance(item, Source) else self.weights.find(item) is not None

    def get(self, item: Source | Weights) -> Path | None:
        """Return where an item lies, after fetching it where it is missing; None where it is only to be told."""
        from harness.registry.pinned import Source
        from harness.upstream.hub import fetch

        if self.dry_run:
            if not self.here(item):
                return None
            return self.sources.check(item) if isinstance(item, Source) else self.weights.check(item)[0]
        if isinstance(item, Source):
            return self.sources.fetch(item, log, self.clones)
        return fetch(item, self.weights, log)


def _get(wanted: list[tuple[Source | Weights, tuple[str, ...]]], store: _Store) -> tuple[list[Got], list[NotEnded]]:
    """Fetch items one after another; return all of them, and those that failed."""
    from harness.cli import expected

    rows: list[Got] = []
    failures: list[NotEnded] = []

    def work(item: Source | Weights) -> tuple[bool, Path | None]:
        return store.here(item), store.get(item)

    steps: list[tuple[str, Source | Weights]] = [(item.name, item) for item, _ in wanted]
    for (item, plugins), ended in zip(wanted, one_by_one(steps, work, expected=expected, log=log), strict=False):
        row = _row(item, plugins)
        if isinstance(ended, NotEnded):
            failures.append(ended)
            rows.append(replace(row, state="failed", why=ended.error.message, fix=ended.error.fix))
            continue
        here, path = ended
        state = "present" if here else "missing" if path is None else "fetched"
        rows.append(_with_file(replace(row, state=state), path, item, store.weights))
    return rows, failures


def _row(item: Source | Weights, plugins: tuple[str, ...]) -> Got:
    from harness.registry.pinned import Source

    if isinstance(item, Source):
        return Got("source", item.name, plugins, item.git, "missing", identity=item.commit, pinned_by="plugin")
    by = "plugin" if item.pinned else ""
    return Got("weights", item.name, plugins, item.origin, "missing", "", item.size, item.sha256, by)


def _with_file(row: Got, path: Path | None, item: Source | Weights, weights: WeightsStore) -> Got:
    """Return the row of an item with what is known of its file."""
    from harness.registry.pinned import Source

    if path is None:
        return row
    row = replace(row, path=str(path))
    if isinstance(item, Source):
        return row
    row = replace(row, size=path.stat().st_size)
    if (received := weights.received(item)) is None:
        return row
    return replace(row, identity=received.sha256, pinned_by=f"hub at {received.revision}" if received.pinned else "")


def _here(row: Got) -> bool:
    return row.state in {"present", "fetched"}


def _print(rows: list[Got]) -> None:
    from harness.cli.tables import print_table, size

    if not rows:
        log("nothing to get: no upstream code and no weights are declared")
        return
    print_table(
        ["needs", "name", "state", "size", "pinned by", "from"],
        [[row.kind, row.name, row.state, size(row.size or None), _pinned(row), row.origin] for row in rows],
        right=(3,),
    )


def _pinned(row: Got) -> str:
    if row.pinned_by.startswith("hub"):
        return f"the hub at {row.pinned_by.removeprefix('hub at ')[:12]}"
    return row.pinned_by or ("nobody: not ranked" if _here(row) else "—")
