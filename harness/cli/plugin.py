"""``bench plugin``: the declaration of a model."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.settings import Settings, find_plugins, json_option, pass_settings, plugin_dir_option, print_json
from harness.engines import ENGINES
from harness.errors import ModelError
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.discovery import Plugin
from harness.registry.licences import commercial_use

if TYPE_CHECKING:
    from harness.authoring.verdict import PluginCheck
from harness.registry.origins import Stated

#: Shown where a declaration does not state the origin of a value.
NOT_STATED = "not stated"


@click.group()
def plugin() -> None:
    """Begin a plugin of your own, check it, or show a model's declaration."""


@plugin.command()
@click.argument("name", metavar="NAME")
@click.option("--prompt", type=click.Choice(["text", "box"]), default="text", show_default=True, help="Its prompt.")
@click.option("--trainable", is_flag=True, help="With a variant that is fine-tuned on the training split.")
@click.option("--torch", is_flag=True, help="On the base image that holds torch.")
@click.option(
    "--lang",
    type=click.Choice(["python", "none"]),
    default="python",
    show_default=True,
    help="An adapter of the Python SDK, or a program that reads and writes the files of the contract itself.",
)
@click.option(
    "--from-image",
    metavar="IMAGE",
    default="",
    help="The image to begin from, in place of a base image: with Python 3.11 or newer, and pip.",
)
@click.option("--to", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Its folder.  [default: NAME]")
def new(
    name: str, folder: Path | None, *, prompt: str, trainable: bool, torch: bool, lang: str, from_image: str
) -> None:
    """Write the folder of a plugin that runs at once, and whose model is yours to replace.

    It holds the declaration (plugin.toml), an adapter, locked requirements, a test, packaging and a workflow for hosted
    CI. Nothing that exists is overwritten.

    Example: bench plugin new my-model
    """
    from harness.authoring.new import NewPlugin, write_plugin

    wanted = NewPlugin(name, prompt, trainable=trainable, torch=torch, sdk=lang == "python", image=from_image)
    where = write_plugin(wanted, folder or Path(name))
    model = wanted.package + ("/adapter.py" if wanted.sdk else "/program.py")
    click.echo(f"{where} is ready; its model is {where / model}. Next:")
    click.echo(f"  bench run --plugin-dir {where} --plugin {name} --limit 3")
    click.echo(f"  bench plugin check {where}")


@plugin.command()
@click.argument("what", metavar="FOLDER|WHEEL|IMAGE|NAME")
@click.option("--variant", help="Variant of the model; its first by default.")
@click.option("--full", is_flag=True, help="Every variant, and its row of CTs of full size; takes minutes.")
@click.option("--prompt", type=click.Choice(["text", "box"]), default="text", help="Of an image, which declares none.")
@click.option(
    "--engine", type=click.Choice(["auto", *ENGINES]), default="auto", show_default=True, help="As for `bench run`."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a table for a pull request.")
@plugin_dir_option
@json_option
@pass_settings
def check(
    settings: Settings,
    /,
    what: str,
    *,
    variant: str | None,
    engine: str,
    prompt: str,
    full: bool,
    as_markdown: bool,
    plugin_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Check a plugin before it meets real data: one line a check, and what to do about each fault.

    The model is run over small CTs in every form that the contract allows, twice; a training is killed and taken up
    again; a row is made beside models that no model should be below. Nothing is kept. Weights are random, but for those
    beside the plugin. Exits with 1 when a check fails.

    Example: bench plugin check my-model
    """
    from harness.authoring.check import check_plugin
    from harness.authoring.target import plugin_at
    from harness.authoring.verdict import Surroundings
    from harness.cli.run import interruptible

    said: dict[str, list[PluginCheck]] = {}
    home = settings.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".check-", dir=home) as work, interruptible(_log) as stop:
        found = plugin_at(what, plugin_dirs, Path(work), prompt=prompt, database=settings.database)
        for chosen in found.model.variants if full else [found.variant(variant)]:
            around = Surroundings(Path(work) / chosen.name, home, engine, _log, stop, full=full)
            around.work.mkdir()
            checks = said.setdefault(chosen.name, [])
            if full and not as_json and not as_markdown:
                click.echo(f"{found.name} {chosen.name}")
            for one in check_plugin(found, chosen, around):
                checks.append(one)
                if not as_json and not as_markdown:
                    fix = f"\n      fix: {one.fix}" if one.fix else ""
                    click.echo(f"{one.outcome:<4}  {one.name}: {one.found}{fix}")
            if not as_json:
                click.echo(_markdown(found, chosen, checks) if as_markdown else _summary(checks))
    if as_json:
        documents = [
            {"schema": 1, "plugin": found.name, "variant": name, "checks": [dataclasses.asdict(one) for one in checks]}
            for name, checks in said.items()
        ]
        print_json({"schema": 1, "variants": documents} if full else documents[0])
    if failing := [name for name, checks in said.items() if any(one.outcome == "FAIL" for one in checks)]:
        raise ModelError(f"{found.name} {', '.join(failing)} does not pass", fix="see the lines that say FAIL")


@plugin.command()
@click.argument("name", metavar="NAME")
@plugin_dir_option
@json_option
def show(name: str, plugin_dirs: tuple[Path, ...], as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    """Show every parameter of a model's variants with the origin of its value, and the resources the model needs.

    The origin of a value is the paper, a line of the code of the model's authors ("upstream"), or this project
    ("ours"). A value can be changed for one run with `bench run --param NAME=VALUE`.
    """
    found = find_plugins(plugin_dirs).get(name)
    document = _document(found)
    if as_json:
        print_json(document)
        return
    from harness.cli.tables import print_table, size

    model = found.model
    click.echo(f"{model.title} {model.version}: {model.summary}")
    click.echo(f"it sees of a CT at once: {stated(model.sees)}")
    for variant in model.variants:
        rows = [[row["name"], _text(row["value"]), row["origin"] or NOT_STATED] for row in parameters(variant)]
        boxes = f", {variant.boxes}" if variant.prompt is Prompt.BOX else ""
        trained = ", fine-tuned" if variant.fine_tuned else ""
        title = f"\n{variant.name} (prompt: {variant.prompt}{boxes}{trained})"
        if rows:
            print_table(["parameter", "value", "origin"], rows, title=title)
        else:
            click.echo(f"{title}\nno parameters")
        click.echo(f"its weights were trained on this benchmark's cases: {stated(variant.exposure)}")
        click.echo(f"commercial use, by the licences of code and weights: {_commercial(model, variant)}")
    needs = [
        ["source", source.name, source.licence, commercial_use(source.licence), source.commit[:12]]
        for source in model.sources
    ]
    needs += [
        [
            "weights",
            file.name,
            f"{file.licence}; {file.note}" if file.note else file.licence,
            file.commercial,
            size(file.size) if file.pinned else "not pinned",
        ]
        for file in model.weights
    ]
    if needs:
        print_table(["needs", "name", "licence", "commercial use", "pinned"], needs, fold=(2,))
    limits = [(key, value) for key, value in document["resources"].items()]
    training = document["training"] or {}
    print_table(
        ["limit", "predicting", *(["training"] if training else [])],
        [[key, _text(value), *([_text(training[key])] if training else [])] for key, value in limits],
    )


def _log(line: str) -> None:
    """Show a step of a build; what a run says of the made-up CTs is of no use here."""
    if not line.startswith(("warning: ", "room: ")):
        click.echo(line, err=True)


def _summary(checks: list[PluginCheck]) -> str:
    counted = Counter(one.outcome for one in checks)
    return ", ".join(f"{counted[outcome]} {outcome}" for outcome in ("pass", "FAIL", "skip"))


def _markdown(found: Plugin, variant: Variant, checks: list[PluginCheck]) -> str:
    def cell(text: str) -> str:
        return " ".join(text.replace("|", "\\|").replace("<", "&lt;").replace("`", "'").split())

    rows = [f"| {one.name} | {one.outcome} | {cell(one.found)} | {cell(one.fix)} |" for one in checks]
    head = [f"{found.name} {found.model.version}, {variant.name}: {_summary(checks)}", "", "| check | | found | fix |"]
    return "\n".join([*head, "|---|---|---|---|", *rows])


def parameters(variant: Variant) -> list[dict[str, Any]]:
    """Return name, value, value under random weights and origin of each parameter of a variant, in declared order."""
    return [
        {
            "name": name,
            "value": value,
            "reduced": variant.reduced.get(name, value),
            "origin": variant.origins.get(name, ""),
        }
        for name, value in variant.params.items()
    ]


def stated(fact: Stated) -> str:
    """Return a stated fact with its origin in brackets."""
    return f"{fact.value} ({fact.origin})" if fact.origin else str(fact.value)


def _document(found: Plugin) -> dict[str, Any]:
    model = found.model
    return {
        "schema": 1,
        "name": model.name,
        "title": model.title,
        "summary": model.summary,
        "version": model.version,
        "origin": found.origin,
        "licence": model.licence,
        "homepage": model.homepage,
        "citation": model.citation,
        "rankable": not found.granted_truth,
        "sees": dataclasses.asdict(model.sees),
        "variants": [
            {
                "name": variant.name,
                "prompt": variant.prompt,
                "boxes": variant.boxes if variant.prompt is Prompt.BOX else None,
                "fine_tuned": variant.fine_tuned,
                "exposure": dataclasses.asdict(variant.exposure),
                "summary": variant.summary,
                "weights": list(variant.weights),
                "commercial": _commercial(model, variant),
                "parameters": parameters(variant),
            }
            for variant in model.variants
        ],
        "resources": model.resources.limits(),
        "training": model.training.limits() if model.training else None,
        "sources": [
            {**dataclasses.asdict(source), "commercial": commercial_use(source.licence)} for source in model.sources
        ],
        "weights": [
            {**dataclasses.asdict(file), "root": str(file.root), "commercial": file.commercial}
            for file in model.weights
        ],
    }


def _commercial(model: Model, variant: Variant) -> str:
    return str(model.licences(model.loaded_by(variant))["commercial"])


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
