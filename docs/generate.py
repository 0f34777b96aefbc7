"""Write the generated parts of the documentation, or check that they are up to date (``--check``)."""  # noqa: INP001

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from files import contexts, meanings, statuses, table, tables, variables
from house import picture
from messages import messages
from reference import sdk_reference

from harness.cli import cli
from harness.registry.constraints import rules
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.discovery import discover
from harness.registry.pinned import Source, Weights
from harness.registry.protocol import BoxRule
from harness.registry.resources import Resources
from harness.sandbox.contract import schemas
from leaderboard.board.paper import variant_for
from leaderboard.board.reported import read_reported, row_name

DOCS = Path(__file__).resolve().parent
_BEGIN, _END = "<!-- generated, do not edit: make docs -->\n", "<!-- end of the generated part -->\n"


def _schemas() -> str:
    """Return the JSON Schema of every record of the contract."""
    return "\n".join(
        f"### `{name}`\n\n```json\n{json.dumps(schema, indent=2)}\n```\n" for name, schema in schemas().items()
    )


def _commands() -> str:
    """Return the help page of every command."""
    blocks = []
    with click.Context(cli, info_name="bench", terminal_width=80, **cli.context_settings) as root:
        for context in contexts(root):
            page = context.command.get_help(context)
            blocks.append(f"## `{context.command_path}`\n\n```text\n{page}\n```\n")
    return "\n".join(blocks)


def _models() -> str:
    """Return the tables of all models that this package brings: what they declare, and what was verified."""
    root = DOCS.parent
    models = [p.model for p in discover().plugins.values() if p.model.root.is_relative_to(root) and not p.granted_truth]
    verified = json.loads((DOCS / "verified.json").read_text(encoding="utf-8"))
    declared = [
        [
            f"[`{model.name}`](../{model.root.relative_to(root)}/README.md)",
            "<br>".join(_variant(variant) for variant in model.variants),
            str(model.sees.value),
            ", ".join(dict.fromkeys([model.licence, *(source.licence for source in model.sources)])),
            "<br>".join(_weights(weights) for weights in model.weights) or "none",
            f"{model.resources.memory_gb:g}",
            _gpu_memory(model),
            "<br>".join(_paper_rows(model)) or "none",
        ]
        for model in models
    ]
    head = ["model", "variants (prompt)", "sees", "code licence", "weights"]
    head += ["`memory_gb`", "`gpu_gb`", "row of the paper"]
    checks = [
        cells
        for model in models
        if model.sources or model.weights  # the others run whole in the tests
        for cells in _verified(model, verified.get(model.name, {}))
    ]
    full = [
        _full_size(model, name, ran)
        for model in models
        for name, ran in verified.get(model.name, {}).get("full_size_gpu", {}).items()
    ]
    loaded = [
        _loaded(model, name, ran)
        for model in models
        for name, ran in verified.get(model.name, {}).get("published_cpu", {}).items()
    ]
    of_check = [
        _of_check(model, name, ran)
        for model in models
        for name, ran in verified.get(model.name, {}).get("checked_cpu", {}).items()
    ]
    return "\n".join(
        [
            "## Declared\n",
            table(head, declared),
            _asked(models),
            "## Verified\n",
            table(_CHECKED, checks),
            *(["## Checked as a stranger's is\n", table(_OF_CHECK, of_check)] if of_check else []),
            "## Made-up published files\n",
            table(_LOADED, loaded),
            "## At full size, on a GPU\n",
            table(_FULL, full),
            "## Beside upstream's functions\n",
            table(_COMPARED, _compared(models)),
            "## Point by point\n",
            _POINTS,
            *(f"### `{model.name}`\n\n{table(_POINT, list(_points(model)))}" for model in models),
        ]
    )


_COMPARED = ["model", "what went through upstream's code and ours", "difference", "at most", "run"]


def _compared(models: list[Model]) -> list[list[str]]:
    """Return a row for each comparison that somebody ran (``make fidelity``); of another version it says so."""
    record = json.loads((DOCS / "fidelity.json").read_text(encoding="utf-8"))
    order = {model.name: (place, model) for place, model in enumerate(models)}
    found = sorted(record.items(), key=lambda item: (order[item[1]["model"]][0], item[0]))
    return [
        [
            f"`{ran['model']}`",
            f"{ran['what']} (`{name}`)",
            f"{ran['result']:.2g} {ran['unit']}",
            f"{ran['most']:g}",
            f"{_when(order[ran['model']][1], ran)}, torch {ran['torch']}",
        ]
        for name, ran in found
    ]


_POINTS = """\
What the paper states, what the code of the model's authors has at the pinned commit, what is used here, and where that
comes from (upstream with file and line; ours where it was chosen here). A variant in brackets has the value alone; each
such reading is a row of its own on the board. An empty cell: that source says nothing. `bench plugin show NAME` shows
what one model declares.
"""

_POINT = ["point", "paper", "upstream", "ours", "origin"]

#: Another source's value in an origin, as :func:`harness.registry.origins.ours` has it.
_ELSEWHERE = re.compile(r"\b(paper|upstream) has ([^,;: ]+)")


def _points(model: Model) -> Iterator[list[str]]:
    """Yield a row for each parameter, the boxes and what the weights have seen: the sources, ours, and its origin."""
    names = dict.fromkeys(name for variant in model.variants for name in variant.params)
    for name in names:
        yield _point(
            name,
            [
                (variant, _shown(variant.params[name]), variant.origins.get(name, ""))
                for variant in model.variants
                if name in variant.params
            ],
            len(model.variants),
        )
    boxed = [variant for variant in model.variants if variant.prompt is Prompt.BOX]
    if boxed:
        stated = [(one, one.boxes.value, "paper, section 4.1" + _READING[one.boxes]) for one in boxed]
        yield _point("boxes", stated, len(model.variants))
    sees = [(one, str(model.sees.value), model.sees.origin) for one in model.variants]
    yield _point("seen of a CT at once", sees, len(model.variants))
    seen = [(one, str(one.exposure.value), one.exposure.origin) for one in model.variants]
    yield _point("cases of this data seen before", seen, len(model.variants))


_READING = {
    BoxRule.WIDENED: " as in MedSAM2's scripts",
    BoxRule.WIDENED_BY_SIDE: " as in LiteMedSAM",
    BoxRule.MOVED: " read literally",
}


def _point(name: str, stated: list[tuple[Variant, str, str]], variants: int) -> list[str]:
    """Return one row from (variant, value, origin) of each variant that has the point."""
    uses: dict[tuple[str, str], list[str]] = {}
    for variant, value, origin in stated:
        uses.setdefault((value, origin), []).append(variant.name)
    sources: dict[str, list[str]] = {"paper": [], "upstream": []}
    for value, origin in uses:
        kind = origin.partition(",")[0]
        if kind in sources and name != "cases of this data seen before":
            sources[kind].append(value)
        for source, other in _ELSEWHERE.findall(origin):
            sources[source].append(other)
    return [
        f"`{name}`" if name.isidentifier() else name,
        *("<br>".join(f"`{value}`" for value in dict.fromkeys(sources[kind])) for kind in ("paper", "upstream")),
        "<br>".join(
            f"`{value}`" + ("" if len(names) == variants else f" ({', '.join(names)})")
            for (value, _), names in uses.items()
        ),
        "<br>".join(dict.fromkeys(origin or "not stated" for _, origin in uses)),
    ]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _variant(variant: Variant) -> str:
    return f"`{variant.name}` ({variant.prompt.value}{', fine-tuned' if variant.fine_tuned else ''})"


def _gpu_memory(model: Model) -> str:
    asked = [f"{model.resources.gpu_gb:g}" if model.resources.gpu_memory_mb else "no GPU"]
    if model.training is not None and model.training.gpu_memory_mb:
        asked.append(f"training {model.training.gpu_gb:g}")
    return "<br>".join(asked)


def _weights(weights: Weights) -> str:
    size = f", {weights.size / 1e6:,.0f} MB" if weights.size else ""
    notes = [*(["gated"] if weights.gated else []), *([] if weights.pinned else ["not pinned yet"])]
    return f"`{weights.name}` ({', '.join([weights.licence, *notes])}{size}; commercial use: {weights.commercial})"


def _asked(models: list[Model]) -> str:
    """Return what authors ask beside a licence, as a list."""
    notes = dict.fromkeys(
        (file.repo, file.licence, file.note) for model in models for file in model.weights if file.note
    )
    lines = "".join(f"- {repo}: {licence}; {note}\n" for repo, licence, note in notes)
    return f"Stated beside the licences of weights:\n\n{lines}"


def _paper_rows(model: Model) -> Iterator[str]:
    """Yield the rows of the paper's table that the model's variants stand beside."""
    for row in read_reported().rows:
        if variant_for(model, row) is not None:
            yield row_name(row)


_CHECKED = [
    "model",
    "variant",
    "random weights, CPU",
    "image",
    "findings",
    "load",
    "a case",
    "peak memory",
    "reoriented CT",
    "other text",
    "trained",
    "real weights, GPU",
]


def _verified(model: Model, record: dict[str, dict[str, Any]]) -> Iterator[list[str]]:
    """Yield the cells of each variant that somebody ran; what was verified of another version says so."""
    random, real = record.get("random_cpu", {}), record.get("real_gpu", {})
    names = [variant.name for variant in model.variants if variant.name in {*random, *real}]
    if not names:
        yield [f"`{model.name}`", *[""] * (len(_CHECKED) - 1)]
    for name in names:
        ran: dict[str, Any] = random.get(name, {})
        yield [
            f"`{model.name}`",
            f"`{name}`",
            _when(model, ran),
            f"{ran['image_bytes'] / 1e9:.1f} GB" if ran else "",
            f"{ran['ok']} of {ran['findings']}, {ran['cases']} CTs" if ran else "",
            f"{ran['load_s']:.0f} s" if ran else "",
            f"{ran['case_s']:.1f} s" if ran else "",
            f"{ran['peak_bytes'] / 1e9:.1f} GB" if ran else "",
            ran.get("turned", ""),
            ran.get("texts", ""),
            f"{ran['trained']}, {ran['train_s']:.0f} s" if ran.get("trained") else "",
            _when(model, real.get(name, {})),
        ]


_OF_CHECK = ["model", "variant", "checked", "passed", "skipped, and why", "took"]


def _of_check(model: Model, name: str, ran: dict[str, Any]) -> list[str]:
    """Return the cells of a variant on which ``bench plugin check`` was run."""
    skipped = "<br>".join(f"{line}: {why}" for line, why in ran["skipped"].items())
    return [
        f"`{model.name}`",
        f"`{name}`",
        _when(model, ran),
        ", ".join(ran["passed"]),
        skipped,
        f"{ran['seconds']:.0f} s",
    ]


_LOADED = ["model", "variant", "loaded", "files", "parameters", "both processes", "tokens of two texts"]


def _loaded(model: Model, name: str, ran: dict[str, Any]) -> list[str]:
    """Return the cells of a variant that loaded files made up in the layout of the published ones."""
    return [
        f"`{model.name}`",
        f"`{name}`",
        _when(model, ran),
        f"{ran['bytes'] / 1e9:.1f} GB",
        f"{ran['parameters']:,}",
        f"{ran['seconds']:.0f} s",
        ", ".join(map(str, ran["tokens"])),
    ]


_FULL = ["model", "variant", "measured", "GPU", "a case", "memory", "a step", "memory of training", "checkpoint"]


def _full_size(model: Model, name: str, ran: dict[str, Any]) -> list[str]:
    """Return the cells of a variant that predicted, and was trained for some steps, as it is declared."""
    predicted, trained = ran["predict"], ran.get("train", {})
    return [
        f"`{model.name}`",
        f"`{name}`",
        f"{_when(model, ran)}, {ran['where']}",
        f"{ran['gpu']}, torch {ran['torch']}",
        f"{predicted['case_s']:.0f} s",
        f"{predicted['gpu_bytes'] / 1e9:.1f} GB",
        f"{trained['step_s']:.2f} s" if trained else "",
        f"{trained['gpu_bytes'] / 1e9:.1f} GB" if trained else "",
        f"{trained['checkpoint_bytes'] / 1e9:.1f} GB" if trained else "",
    ]


def _when(model: Model, ran: dict[str, Any]) -> str:
    if not ran:
        return ""
    return f"{ran['date']}" + (f" (version {ran['version']})" if ran["version"] != model.version else "")


def _declaration() -> str:
    """Return the reference of a declaration: every field, what it must be, its default and its meaning."""
    blocks = []
    for kind in (Model, Variant, Resources, Source, Weights):
        meaning = meanings(kind, "Parameters")
        fields = {field.name: field for field in dataclasses.fields(kind)}
        rows = [
            [f"`{name}`", rule.says, _default(fields[name]), meaning[name]]
            for name, rule in rules(kind).items()
            if name in meaning
        ]
        summary = inspect.getdoc(kind) or ""
        blocks.append(f"## `{kind.__name__}`\n\n{summary.splitlines()[0]}\n\n{table(_FIELD, rows)}")
    shared = Variant("shared").trained()
    rows = [
        [f"`{name}`", f"`{json.dumps(value)}`", f"`{json.dumps(shared.reduced.get(name, value))}`"]
        for name, value in shared.params.items()
    ]
    head = ["parameter", "value", "under `--weights random`"]
    return "\n".join([*blocks, f"## What `Variant.trained` adds\n\n{table(head, rows)}"])


_FIELD = ["field", "must be", "default", "meaning"]


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"`{field.default_factory.__name__}()`" if field.default_factory is Resources else "empty"
    if field.default is dataclasses.MISSING:
        return "required"
    if field.name == "variants":
        return "one, `zero-shot`"
    if field.name == "root":
        return "the plugin's folder"
    value = str(field.default) if isinstance(field.default, Prompt) else field.default
    return f"`{value!r}`" if value not in ("", ()) else "empty"


GENERATED: dict[str, Callable[[], str]] = {
    "architecture.md": picture,
    "contract.md": _schemas,
    "cli.md": _commands,
    "declaration.md": _declaration,
    "messages.md": messages,
    "models.md": _models,
    "variables.md": variables,
    "statuses.md": statuses,
    "results.md": tables,
    "plugin-reference.md": lambda: f"{_declaration()}\n## The adapter\n\n{sdk_reference()}",
}


def renewed(text: str, generated: str) -> str:
    """Return `text` with `generated` between the two markers."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}\n{generated}\n{_END}{after}"


def main(arguments: list[str]) -> int:
    """Write every page, or with ``--check`` name those that are out of date; returns the exit code."""
    stale = []
    for name, generate in GENERATED.items():
        text = (DOCS / name).read_text(encoding="utf-8")
        new = renewed(text, generate())
        if text != new:
            stale.append(name)
            if "--check" not in arguments:
                (DOCS / name).write_text(new, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
