"""``bench list``: the models that can be run, and the plugins that are broken."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.settings import find_plugins, json_option, plugin_dir_option, print_json
from harness.registry.discovery import Registry


@click.command("list")
@plugin_dir_option
@json_option
def list_plugins(plugin_dirs: tuple[Path, ...], as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    """List the models that can be run; a plugin that cannot be loaded is a row with the reason."""
    registry = find_plugins(plugin_dirs)
    if as_json:
        print_json(_document(registry))
        return
    from harness.cli.tables import print_table

    rows = []
    for plugin in registry.plugins.values():
        model = plugin.model
        variants = ", ".join(f"{variant.name} ({variant.prompt})" for variant in model.variants)
        rows.append([model.name, variants, model.version, plugin.origin, model.summary])
    rows += [[broken.name, "—", "—", broken.origin, f"broken: {broken.reason}"] for broken in registry.broken]
    print_table(["plugin", "variants", "version", "from", "what it is"], rows, fold=(1, 3, 4))


def _document(registry: Registry) -> dict[str, object]:
    return {
        "schema": 1,
        "plugins": [
            {
                "name": plugin.name,
                "title": plugin.model.title,
                "summary": plugin.model.summary,
                "version": plugin.model.version,
                "origin": plugin.origin,
                "licence": plugin.model.licence,
                "rankable": not plugin.granted_truth,
                "sees": plugin.model.sees.value,
                "variants": [
                    {
                        "name": variant.name,
                        "prompt": variant.prompt,
                        "fine_tuned": variant.fine_tuned,
                        "summary": variant.summary,
                        "licences": plugin.model.licences(plugin.model.loaded_by(variant)),
                        "params": variant.params,
                        "origins": variant.origins,
                    }
                    for variant in plugin.model.variants
                ],
            }
            for plugin in registry.plugins.values()
        ],
        "broken": [{"name": b.name, "origin": b.origin, "reason": b.reason} for b in registry.broken],
    }
