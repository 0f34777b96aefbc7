"""``bench reproduce``: the rows of the paper's Table 4, run here one after another, and ours beside theirs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from harness.cli.settings import Settings, json_option, pass_settings, plugin_dir_option
from harness.errors import Interrupted, PrerequisiteError, UsageError
from harness.models import Model, Prompt, Variant
from harness.registry import Registry, discover
from harness.sources import SourceStore
from harness.weights import WeightsStore
from leaderboard.board import Entry
from leaderboard.reported import read_reported

#: Hours that the paper gave a training on its two GPUs (section 4: about one day each).
TRAINING_HOURS = 24


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes
    ----------
    paper
        What its authors report.
    plugin, model, variant
        What runs it here; None where no plugin does.
    lacking
        What is not here and has to be, each with the command that brings it.
    """

    paper: Entry
    plugin: str = ""
    model: Model | None = None
    variant: Variant | None = None
    lacking: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The row in words."""
        return f"{self.paper.title}, {self.paper.prompt}{', fine-tuned' if self.paper.fine_tuned else ''}"


def plan(registry: Registry, home: Path, gpus: int, only: Sequence[str] = ()) -> list[Row]:
    """Find what runs each row of the table, in the table's order, and what it lacks here.

    Parameters
    ----------
    registry
        The plugins.
    home
        Where sources and weights lie.
    gpus
        How many may be used.
    only
        Plugins to keep; empty for all rows, those without a plugin too.

    Raises
    ------
    UsageError
        When a plugin of `only` runs no row.
    """
    rows = []
    for entry in read_reported().in_table:
        found = next(_matches(registry, entry), None)
        if found is None:
            rows.append(Row(entry, lacking=("no plugin runs this row",)))
            continue
        plugin, model, variant = found
        rows.append(Row(entry, plugin, model, variant, tuple(_lacking(plugin, model, variant, home, gpus))))
    unknown = set(only) - {row.plugin for row in rows}
    if unknown:
        known = ", ".join(sorted({row.plugin for row in rows if row.plugin}))
        raise UsageError(f"no row of the paper is run by {', '.join(sorted(unknown))}", fix=f"one of: {known}")
    return [row for row in rows if not only or row.plugin in only]


def _matches(registry: Registry, entry: Entry) -> Iterator[tuple[str, Model, Variant]]:
    """Yield the variants that stand beside a row; the first is the one that its plugin puts first."""
    for plugin in registry.plugins.values():
        if plugin.model.title != entry.title:
            continue
        for variant in plugin.model.variants:
            prompt = "box" if variant.prompt is Prompt.BOX else "text"
            if (prompt, variant.fine_tuned) == (entry.prompt, entry.fine_tuned):
                yield plugin.name, plugin.model, variant


def _lacking(plugin: str, model: Model, variant: Variant, home: Path, gpus: int) -> Iterator[str]:
    sources, weights = SourceStore(home / "sources"), WeightsStore(home / "weights")
    absent = [source.name for source in model.sources if not sources.has(source)]
    if absent:
        yield f"sources {', '.join(absent)}: bench sources fetch --plugin {plugin}"
    wanted = [file for file in model.weights if file.name in variant.weights and weights.find(file) is None]
    if wanted:
        gated = ", after a log-in at the hub" if any(file.gated for file in wanted) else ""
        yield f"weights {', '.join(file.name for file in wanted)}: bench weights fetch --plugin {plugin}{gated}"
    needed = max(model.resources.gpus, model.training.gpus if variant.fine_tuned and model.training else 0)
    if needed > gpus:
        yield f"{needed} GPU: --gpus {needed}"


def verdict(ours: Mapping[str, Any], paper: Entry) -> str:
    """Say where our mean Dice lies: ``inside``, ``below`` or ``above`` the paper's 95 % interval."""
    theirs, value = paper.scores["average"], ours["value"]
    low, high = theirs.low, theirs.high
    if value is None or low is None or high is None:
        return "not comparable"
    return "below" if value < low else "above" if value > high else "inside"


def _interval(value: float | None, ci95: Sequence[float] | None) -> str:
    if value is None:
        return "—"
    return f"{value:.3f} [{ci95[0]:.3f}, {ci95[1]:.3f}]" if ci95 else f"{value:.3f}"


def _needs(row: Row) -> dict[str, Any]:
    """Return what a row would take: gigabytes to fetch, as far as they are declared, and the paper's hours."""
    model, variant = row.model, row.variant
    files = [file for file in model.weights if variant and file.name in variant.weights] if model else []
    return {
        "weights_gb": sum(file.size for file in files) / 1e9,
        "weights_of_unknown_size": sum(not file.size for file in files),
        "training_hours_in_the_paper": TRAINING_HOURS if row.paper.fine_tuned else 0,
        "log_in": any(file.gated for file in files),
    }


@click.command()
@click.option("--plugin", "plugins", default="", metavar="NAME[,NAME]", help="Only the rows that these plugins run.")
@click.option("--dataset", type=click.Path(path_type=Path), help="The data set; not needed with --dry-run.")
@click.option("--split", default="test", show_default=True, help="The split that is predicted.")
@click.option("--gpus", default=1, show_default=True, type=click.IntRange(min=0), help="GPUs to use.")
@click.option("--dry-run", is_flag=True, help="Say what each row needs and lacks; run nothing.")
@plugin_dir_option
@json_option
@pass_settings
def reproduce(
    settings: Settings,
    /,
    plugins: str,
    dataset: Path | None,
    split: str,
    gpus: int,
    *,
    dry_run: bool,
    plugin_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Run the rows of the paper's Table 4 in its order, and show ours beside the paper's.

    Each row is one `bench run`: asking again goes on with what is left, and what is done is not done twice. The verdict
    says whether our mean Dice lies inside the paper's 95 % interval. A row that cannot be run says why.

    Example: bench reproduce --dataset ./ReXGroundingCT --gpus 2
    """
    from harness.cli.tables import print_table

    if dataset is None and not dry_run:
        raise UsageError("there is no data set to run on", fix="give --dataset PATH, or --dry-run")
    only = [name.strip() for name in plugins.split(",") if name.strip()]
    rows = plan(discover(plugin_dirs), settings.home, gpus, only)
    found: list[dict[str, Any]] = []
    for row in rows:
        scores = row.paper.scores["average"]
        record: dict[str, Any] = {"row": row.name, "plugin": row.plugin or None, "lacking": list(row.lacking)}
        record |= {"variant": row.variant.name if row.variant else None, "needs": _needs(row)}
        record |= {"paper": {"value": scores.value, "ci95": [scores.low, scores.high]}, "ours": None, "run": None}
        if row.lacking or dry_run:
            record["verdict"] = "not run: " + "; ".join(row.lacking) if row.lacking else "ready"
        else:
            click.echo(f"{row.name}: {row.plugin} {record['variant']}", err=True)
            record |= _run(row, settings.home, dataset=dataset, split=split, gpus=gpus, plugin_dirs=plugin_dirs)
        found.append(record)
    if as_json:
        click.echo(json.dumps({"rows": found}, indent=2))
    elif dry_run:
        table = [[r["row"], _variant(r), _wants(r["needs"]), r["verdict"]] for r in found]
        print_table(["row of the paper", "variant", "needs", "state"], table)
    else:
        table = []
        for r in found:
            ours = _interval(r["ours"]["value"], r["ours"]["ci95"]) if r["ours"] else "—"
            table.append(
                [r["row"], _variant(r), ours, _interval(r["paper"]["value"], r["paper"]["ci95"]), r["verdict"]]
            )
        print_table(["row of the paper", "variant", "Dice here", "Dice in the paper", "verdict"], table)
    if not dry_run and not any(r["ours"] for r in found):
        raise PrerequisiteError("no row could be run", fix="`bench reproduce --dry-run` says what each one lacks")


def _variant(record: Mapping[str, Any]) -> str:
    return f"{record['plugin']} {record['variant']}" if record["plugin"] else "—"


def _wants(needs: Mapping[str, Any]) -> str:
    parts = [f"{needs['weights_gb']:.1f} GB of weights"] if needs["weights_gb"] else []
    if needs["weights_of_unknown_size"]:
        parts.append(f"{needs['weights_of_unknown_size']} files of unknown size")
    if needs["training_hours_in_the_paper"]:
        parts.append(f"about {needs['training_hours_in_the_paper']} h on two A100 in the paper")
    return ", ".join([*parts, *(["a log-in"] if needs["log_in"] else [])]) or "—"


def _run(
    row: Row, home: Path, *, dataset: Path | None, split: str, gpus: int, plugin_dirs: Sequence[Path]
) -> dict[str, Any]:
    """Run one row as the user would, and read what came of it; a failure is the row's, not the table's."""
    assert row.variant is not None  # noqa: S101 - a row without a variant lacks its plugin
    command = [sys.executable, "-m", "harness", "--home", str(home), "run", "--plugin", row.plugin]
    command += ["--variant", row.variant.name, "--dataset", str(dataset), "--split", split, "--profile", "mlhc2025"]
    command += [*(["--gpus", str(gpus)] if gpus else []), "--json"]
    command += [part for folder in plugin_dirs for part in ("--plugin-dir", str(folder))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == Interrupted.exit_code:
        raise KeyboardInterrupt
    if done.returncode:
        return {"verdict": f"not run: `bench run` ended with {done.returncode}, see above"}
    document = json.loads(done.stdout)
    ours = document["metrics"]["dice"]["all"]
    note = "" if document["rankable"] else " (not rankable)"
    return {"ours": ours, "run": document["run"], "verdict": verdict(ours, row.paper) + note}
