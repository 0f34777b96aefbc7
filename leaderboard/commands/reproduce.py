"""``bench reproduce``: the rows of the paper's Table 4, run here one after another, and ours beside theirs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.run import run_plugins
from harness.cli.settings import Settings, json_option, pass_settings, plugin_dir_option, print_json
from harness.errors import BenchError, Interrupted, ModelError, PrerequisiteError, UsageError

if TYPE_CHECKING:
    from leaderboard.board.paper import PaperRow

PROFILE = "mlhc2025"


@click.command()
@click.option("--plugin", "plugins", default="", metavar="NAME[,NAME]", help="Only the rows that these plugins run.")
@click.option(
    "--dataset",
    default="rexgroundingct",
    show_default=True,
    metavar="PATH|NAME",
    help="As for `bench run`; `bench data fetch rexgroundingct` brings the paper's.",
)
@click.option("--split", default="test", show_default=True, help="The split that is predicted.")
@click.option("--gpus", default=1, show_default=True, type=click.IntRange(0, 1024), help="How many GPUs to use.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "docker", "local"]),
    default="auto",
    show_default=True,
    help="As for `bench run`.",
)
@click.option("--dry-run", is_flag=True, help="Show what each row needs and lacks; run nothing.")
@plugin_dir_option
@json_option
@pass_settings
def reproduce(
    settings: Settings,
    /,
    plugins: str,
    gpus: int,
    plugin_dirs: tuple[Path, ...],
    *,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the rows of the paper's Table 4 in its order, and show ours beside the paper's.

    Each row is one `bench run`: the same command resumes, and finished work is not repeated.
    A row that cannot be run is listed with its reason, and the next one is run.

    The verdict states where our mean Dice, at the table's three decimals, lies: inside the paper's 95 % interval (its
    ends included), below it, or above it. Other data than the paper's are named beside it.

    Example: bench reproduce --gpus 2
    """
    from harness.engines.allocation import Allocation
    from harness.engines.gpus import granted_gpus
    from harness.registry.discovery import discover
    from leaderboard.board.paper import plan

    only = [name.strip() for name in plugins.split(",") if name.strip()]
    rows = plan(discover(plugin_dirs), settings.home, gpus, granted_gpus() if gpus else Allocation(), only)
    records = [_record(row) for row in rows]
    absent = _absent(options["dataset"], settings.home)
    ended: BenchError | None = None
    if not dry_run:
        if absent is not None and not all(row.lacking for row in rows):
            raise absent  # no row's fault
        options |= {"plugin_dirs": plugin_dirs, "profile": PROFILE}
        ended = _run_rows(settings, rows, records, gpus, options)
    if as_json:
        data = {"name": options["dataset"], "lacking": [absent.message, absent.fix] if absent else []}
        print_json({"schema": 1, "dataset": data, "rows": records})
    elif dry_run:
        click.echo(f"data set: {f'{absent.message}; {absent.fix}' if absent else options['dataset']}")
        _print_needs(records)
    else:
        _print_verdicts(records)
    if ended is not None:
        raise ended


def _absent(dataset: str, home: Path) -> PrerequisiteError | None:
    """Return the error for a missing data set, with the way to get the paper's; None where it is present."""
    from harness.dataset import find_dataset
    from harness.dataset.rexgroundingct import NAME

    try:
        find_dataset(dataset, home)
    except UsageError as error:
        fix = f"`bench data fetch {NAME}` explains how to get it (a log-in is needed)" if dataset == NAME else error.fix
        return PrerequisiteError(f"the data set {dataset} has not been downloaded", fix=fix)
    return None


def _record(row: PaperRow) -> dict[str, Any]:
    average = row.paper.scores["average"]
    return {
        "row": row.name,
        "plugin": row.plugin.name if row.plugin else None,
        "variant": row.variant.name if row.variant else None,
        "needs": asdict(row.needs) if row.needs else None,
        "lacking": list(row.lacking),
        "paper": {"value": average.value, "ci95": [average.low, average.high]},
        "ours": None,
        "run": None,
        "verdict": "not run" if row.lacking else "ready",
        "why": list(row.lacking),
    }


def _run_rows(
    settings: Settings, rows: list[PaperRow], records: list[dict[str, Any]], gpus: int, options: dict[str, Any]
) -> BenchError | None:
    """Run what can be run and fill in what came of it; returns what the command has to end with, if anything."""
    failed = False
    for row, record in zip(rows, records, strict=True):
        if row.lacking:
            continue
        click.echo(f"{row.name}: {record['plugin']} {record['variant']}", err=True)
        try:
            _run_row(settings, row, record, gpus, options)
        except (Interrupted, KeyboardInterrupt):
            for left in records[records.index(record) :]:
                if left["verdict"] == "ready":
                    left |= {"verdict": "not run", "why": ["interrupted"]}
            return Interrupted("interrupted", fix="finished work is kept; the same command resumes")
        except BenchError as error:
            failed = failed or isinstance(error, ModelError)
            record |= {"verdict": "not run", "why": [error.message, *([error.fix] if error.fix else [])]}
            click.echo(f"{row.name}: {error.message}", err=True)
    if failed:
        return ModelError("a row failed", fix="the table gives the reasons; the same command tries again")
    if not any(record["ours"] for record in records):
        return PrerequisiteError("no row could be run", fix="`bench reproduce --dry-run` lists what each one lacks")
    return None


def _run_row(settings: Settings, row: PaperRow, record: dict[str, Any], gpus: int, options: dict[str, Any]) -> None:
    from harness.runs.document import run_document
    from leaderboard.board.paper import beside_interval, remarks

    assert row.needs is not None  # noqa: S101 - a row without a plugin lacks it
    with settings.open_store() as store:
        used = gpus if row.needs.gpus else 0  # a model for the CPU is not asked to share them
        (run,) = run_plugins(settings, store, [record["plugin"]], variant=record["variant"], gpus=used, **options)
        document = run_document(store, run, PROFILE)
    record["run"] = run.id
    if not document["coverage"]["ok"]:
        raise ModelError("every finding failed", fix=f"`bench results show {run.id}` gives the reason for each case")
    ours = document["metrics"]["dice"]["all"]
    record |= {"ours": ours, "verdict": beside_interval(ours["value"], row.paper), "why": remarks(document)}


def _print_verdicts(records: list[dict[str, Any]]) -> None:
    from harness.cli.tables import cell, print_table

    header = ["row of the paper", "variant", "Dice here", "Dice in the paper", "verdict"]
    print_table(header, [[r["row"], _variant(r), cell(r["ours"]), cell(r["paper"]), r["verdict"]] for r in records])
    for record in records:
        for line in record["why"]:
            click.echo(f"{record['row']}: {line}")


def _print_needs(records: list[dict[str, Any]]) -> None:
    for record in records:
        click.echo(f"{record['row']}: {_variant(record)}")
        for line in [*_needs(record["needs"]), *(f"lacking: {text}" for text in record["lacking"])]:
            click.echo(f"  {line}")
        if not record["lacking"]:
            click.echo("  ready")


def _needs(needs: dict[str, Any] | None) -> list[str]:
    if needs is None:
        return []
    from harness.cli.tables import counted, size

    room = f", about {size(needs['build_bytes'])} of free disk to build it" if needs["build_bytes"] else ""
    weights = [size(needs["weights_bytes"])] if needs["weights_bytes"] else []
    weights += [f"size unknown: {', '.join(needs['unknown_sizes'])}"] if needs["unknown_sizes"] else []
    memory = f" with {needs['gpu_memory_mb']:,} MiB" if needs["gpu_memory_mb"] else ""
    lines = [
        f"image: size unknown until it is built{room}",
        f"weights: {'; '.join(weights) or 'none'}",
        f"log-in at the hub: {', '.join(needs['log_ins']) or 'none declared'}",
        f"GPUs: {counted(needs['gpus'], 'GPU') + memory if needs['gpus'] else 'none'}",
        f"training: {needs['training'] or 'none'}; predicting: {needs['predicting']}",
    ]
    if needs["unpinned"]:
        lines.append(f"never ranked: weights not pinned by the plugin: {', '.join(needs['unpinned'])}")
    return lines


def _variant(record: dict[str, Any]) -> str:
    return f"{record['plugin']} {record['variant']}" if record["plugin"] else "no plugin"
