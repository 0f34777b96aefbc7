"""``bench plugin check``: what a model has to do before it meets real data, one line a check.

The model is run in the ordinary way, in its container, over a small data set in every form that the contract allows
(:mod:`harness.authoring.torture`), and again over the same cases under other names, in the reversed order, after one
that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.authoring.answers import Answers
from harness.authoring.behaviour import check_behaviour
from harness.authoring.floor import check_row
from harness.authoring.packing import check_packing
from harness.authoring.target import IMAGE
from harness.authoring.torture import forms
from harness.authoring.training import check_training, kill_a_training
from harness.authoring.verdict import PluginCheck, Surroundings
from harness.engines import choose_engine
from harness.engines.base import Engine
from harness.errors import ModelError
from harness.registry.declaration import Prompt, Variant
from harness.registry.discovery import Plugin
from harness.registry.plugin_toml import FILE

#: What the harness keeps of models in a home, and a check may use.
_SHARED = ("sources", "weights", "wheels")

#: What a control that sees nothing of a CT need not do, and what a known answer, made from the truth, need not.
_CONTROL = {"heeds its prompt", "row"}
_KNOWN = {*_CONTROL, "orients"}


def check_plugin(plugin: Plugin, variant: Variant, around: Surroundings) -> Iterator[PluginCheck]:
    """Yield the checks of a variant, each as soon as it is known.

    Raises
    ------
    BenchError
        When something outside the plugin is missing, such as an engine.
    """
    for check in _checks(plugin, variant, around):
        yield _by_design(check, plugin)


def _by_design(check: PluginCheck, plugin: Plugin) -> PluginCheck:
    """Return a check as skipped that a control fails by what it is declared to be."""
    if check.outcome == "FAIL" and plugin.granted_truth and check.name in _KNOWN:
        return replace(check, outcome="skip", found=f"{check.found}; it is a known answer, made from the truth", fix="")
    if check.outcome == "FAIL" and plugin.model.sees.value == "nothing" and check.name in _CONTROL:
        return replace(check, outcome="skip", found=f"{check.found}; it is a control that sees nothing", fix="")
    return check


def _checks(plugin: Plugin, variant: Variant, around: Surroundings) -> Iterator[PluginCheck]:
    yield from check_statically(plugin, variant, around)
    around.own_home.mkdir(parents=True)
    for name in _SHARED:
        if (around.home / name).is_dir():
            (around.own_home / name).symlink_to((around.home / name).resolve())
    engine = choose_engine(around.engine, trusted=plugin.shipped)
    built = _builds(plugin, around, engine)
    yield built
    if built.outcome == "FAIL":
        return
    chosen = list(forms(boxed=variant.prompt is Prompt.BOX))
    first = Answers(plugin, variant, chosen, around, "first")
    killed = kill_a_training(first, around) if variant.fine_tuned else None
    try:
        first.run()
    except ModelError as error:
        fix = f"`bench run --plugin {plugin.name} --variant {variant.name}` keeps its log; nothing of a check is kept"
        yield PluginCheck("trains" if variant.fine_tuned else "runs", "FAIL", error.message, fix)
        return
    yield check_training(first, killed) if variant.fine_tuned else PluginCheck("trains", "skip", "it is not trained")
    yield first.answered()
    yield first.read_alike()
    yield first.turned_alike()
    again = Answers(plugin, variant, chosen, around, "again", last_first=True)
    again.run()
    yield again.repeats(first)
    yield first.heeds_its_prompt()
    yield check_behaviour(first, again, around, engine)
    yield check_row(plugin, variant, around)


def check_statically(plugin: Plugin, variant: Variant, around: Surroundings) -> Iterator[PluginCheck]:
    """Yield the checks for which nothing of the model is run."""
    yield _declares(plugin, variant)
    try:
        yield check_packing(plugin, around.work / "wheel")
    except ModelError as error:
        yield PluginCheck("packs", "FAIL", error.message, error.fix)


def _builds(plugin: Plugin, around: Surroundings, engine: Engine) -> PluginCheck:
    """Build the image."""
    try:
        image = engine.prepare(plugin, home=around.own_home, gpus=False, log=around.log)
    except ModelError as error:
        return PluginCheck("builds", "FAIL", error.message, error.fix)
    if not engine.isolates:
        return PluginCheck("builds", "skip", f"the {engine.name} engine needs no image")
    size = "of unknown size" if image.size is None else f"{image.size / 1e6:,.0f} MB with what it begins from"
    return PluginCheck("builds", "pass", f"{image.tag or image.id}, {size}")


def _declares(plugin: Plugin, variant: Variant) -> PluginCheck:
    """Hold what is declared against what a reader of the board wants to know; the rest was checked when it was read."""
    model = plugin.model
    if plugin.origin.startswith(IMAGE):
        return PluginCheck(
            "declares", "skip", f"{plugin.origin}, which declares nothing, also no params; `bench plugin new` does"
        )
    # Why an exposure is unknown is a statement, too; one that reads the truth has seen everything.
    unsaid = [what for what, said in (
        ("licence", model.licence not in ("", "not stated")),
        ("exposure", bool(variant.exposure.origin) or plugin.granted_truth),
    ) if not said]  # fmt: skip
    unpinned = [file.name for file in model.loaded_by(variant) if not file.pinned]
    if unsaid or (unpinned and not plugin.shipped):
        parts = [f"not stated: {', '.join(unsaid)}"] if unsaid else []
        parts += [f"not pinned: {', '.join(unpinned)}"] if unpinned else []
        return PluginCheck("declares", "FAIL", "; ".join(parts), "state them in the declaration; nothing is guessed")
    said = f"{model.name} {model.version}, {variant.name}, {model.licence}"
    if unpinned:
        seen = "nobody could download them where this plugin was written, and the hub pins the first download"
        return PluginCheck("declares", "skip", f"{said}; not pinned: {', '.join(unpinned)}: {seen}")
    data = (model.root / FILE).is_file() or plugin.shipped
    how = "" if data else "; in Python, which runs on the host of whoever lists it: a plugin.toml does not"
    return PluginCheck("declares", "pass", f"{said}{how}")
