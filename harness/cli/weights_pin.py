"""``bench weights pin``: the digests that the hub states, as a patch of the plugins that do not have them."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.settings import Settings, find_plugins, json_option, pass_settings, plugin_dir_option, print_json
from harness.cli.several import NotEnded, one_by_one, worst_of
from harness.cli.stored import log, plugin_option
from harness.errors import PrerequisiteError

if TYPE_CHECKING:
    from harness.registry.discovery import Plugin
    from harness.registry.patch import Pin
    from harness.registry.pinned import Weights
    from harness.upstream.weights import WeightsStore


@click.command()
@plugin_option
@plugin_dir_option
@json_option
@pass_settings
def pin(settings: Settings, /, plugin: str | None, plugin_dirs: tuple[Path, ...], *, as_json: bool) -> None:
    """Print a patch that pins the weights whose digest a plugin does not state yet.

    For a large file the hub states digest, size and commit itself, and nothing is downloaded; a small one is
    downloaded and verified by the hub's own id of it. Apply the patch in the folder where you are.

    Example: bench weights pin --plugin biomedparse | git apply
    """
    from harness.cli import expected
    from harness.upstream.hub import endpoint
    from harness.upstream.weights import PUBLIC_HUB, WeightsStore

    store = WeightsStore(settings.home / "weights")
    registry = find_plugins(plugin_dirs)
    plugins = [registry.get(plugin)] if plugin else list(registry.plugins.values())
    unpinned = list(dict.fromkeys(file for one in plugins for file in one.model.weights if not file.pinned))
    steps = [(file.name, file) for file in unpinned]
    ended = list(one_by_one(steps, lambda file: _pin(file, store), expected=expected, log=log))
    failures = [one for one in ended if isinstance(one, NotEnded)]
    pins = {file: one for file, one in zip(unpinned, ended, strict=False) if not isinstance(one, NotEnded)}
    if pins and endpoint() != PUBLIC_HUB:
        log(f"warning: these are statements of {endpoint()}, not of {PUBLIC_HUB}: compare them before you publish them")
    if as_json:
        records = [
            {"name": file.name, "repo": file.repo, "file": file.file, **asdict(one)} for file, one in pins.items()
        ]
        print_json({"schema": 1, "pins": records})
    else:
        for one in plugins:
            _print_patch(one, {file: pins[file] for file in one.model.weights if file in pins})
        if not unpinned:
            log("nothing to pin: every digest is declared")
    if failures:
        raise worst_of(failures, len(steps))


def _pin(file: Weights, store: WeightsStore) -> Pin:
    """Return what the hub states of a file, or stated when it was downloaded."""
    from harness.registry.patch import Pin
    from harness.upstream.hub import ask, fetch

    received = store.received(file)
    if received is None or not received.hub:
        stated = ask(file)
        if stated.sha256 and stated.size and stated.revision:
            return Pin(stated.revision, stated.sha256, stated.size)
        fetch(file, store, log)
        received = store.received(file)
    if received is None or not received.hub:
        raise PrerequisiteError(
            f"the hub states neither digest nor commit of {file.name}",
            fix="pin it by a digest that its authors publish",
        )
    return Pin(received.revision, received.sha256, received.size)


def _print_patch(plugin: Plugin, pins: dict[Weights, Pin]) -> None:
    """Print the patch of one plugin's declaration; what cannot be patched is told on standard error."""
    from harness.registry.patch import patch, pinned_text, pinned_toml
    from harness.registry.plugin_toml import FILE

    if not pins:
        return
    as_data = (plugin.model.root / FILE).is_file()
    path = plugin.model.root / (FILE if as_data else "__init__.py")
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    rewrite = pinned_toml if as_data else pinned_text
    after, found = rewrite(before, {(file.repo, file.file): one for file, one in pins.items()})
    name = os.path.relpath(path)
    click.echo(patch(path.as_posix().lstrip("/") if name.startswith("..") else name, before, after), nl=False)
    for file, one in pins.items():
        if (file.repo, file.file) not in found:
            log(f"{plugin.name}, to be written by hand: {file.repo}, {file.file}: {one}")
