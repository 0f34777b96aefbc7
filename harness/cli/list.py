"""``bench list``: the models, those first that can run here and now, and the plugins that are broken."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from harness.cli.settings import Settings, find_plugins, json_option, pass_settings, plugin_dir_option, print_json
from harness.errors import PrerequisiteError
from harness.host.sizes import gpu_size
from harness.registry.declaration import Model
from harness.registry.discovery import Plugin, Registry

#: Columns of a terminal from which a line has room for what a model is.
_WIDE = 140


@click.command("list")
@plugin_dir_option
@json_option
@pass_settings
def list_plugins(settings: Settings, plugin_dirs: tuple[Path, ...], as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    """List the models: those that can run here and now first, models of known answers and broken plugins last."""
    registry = find_plugins(plugin_dirs)
    lacks = {name: _lacks(plugin.model, settings.home) for name, plugin in registry.plugins.items()}
    if as_json:
        print_json(_document(registry, lacks))
        return
    from harness.cli.tables import print_table

    def order(plugin: Plugin) -> tuple[bool, bool]:
        return plugin.granted_truth, bool(lacks[plugin.model.name])

    rows = []
    for plugin in sorted(registry.plugins.values(), key=order):
        model = plugin.model
        prompts = ", ".join(dict.fromkeys(str(variant.prompt) for variant in model.variants))
        here = "it reads the truth" if plugin.granted_truth else ", ".join(lacks[model.name]) or "nothing"
        rows.append([model.name, prompts, len(model.variants), here, model.summary])
    rows += [[broken.name, "—", "—", "broken", broken.reason] for broken in registry.broken]
    wide = not sys.stdout.isatty() or shutil.get_terminal_size().columns >= _WIDE
    header = ["plugin", "prompt", "variants", "lacks here", "what it is"][: 5 if wide else 4]
    print_table(header, [row[: len(header)] for row in rows], right=(2,), fold=(4,) if wide else ())
    click.echo("`bench plugin show NAME`: a model and its variants; `bench get --plugin NAME`: what it lacks", err=True)


def _lacks(model: Model, home: Path) -> list[str]:
    """Name what a model needs and this machine lacks; a container engine is `bench doctor`'s matter."""
    from harness.engines.gpus import require_gpus
    from harness.upstream.missing import missing

    lacking = missing(model, home)
    words = [word for word, files in (("code", lacking.sources), ("weights", lacking.weights)) if files]
    try:
        require_gpus(model.resources.gpus, memory_mb=model.resources.gpu_memory_mb)
    except PrerequisiteError:
        each = model.resources.gpu_memory_mb
        words.append("a GPU" + (f" of {gpu_size(each)}" if each else ""))
    return words


def _document(registry: Registry, lacks: dict[str, list[str]]) -> dict[str, object]:
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
                "lacks": lacks[plugin.model.name],
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
