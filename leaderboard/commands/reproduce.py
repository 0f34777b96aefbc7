"""``bench reproduce``: published rows, such as the paper's Table 4, run here in one queue; ours beside theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.run import run_each
from harness.cli.settings import Settings, json_option, pass_settings, plugin_dir_option, print_json
from harness.cli.several import NotEnded
from harness.engines import ENGINES
from harness.errors import BenchError, Interrupted, ModelError, PrerequisiteError, UsageError

if TYPE_CHECKING:
    from harness.rows import RunRow
    from harness.store.database import Store
    from leaderboard.board.board import Score
    from leaderboard.board.paper import ReferenceRow
    from leaderboard.board.reported import Reference
    from leaderboard.board.verdicts import Cell

#: The ids of the references, so that the command's help needs none of them.
REFERENCES = ("paper", "challenge", "challenge-july", "main", "voxtell")


@click.command()
@click.option(
    "--reference",
    "reference_id",
    type=click.Choice(REFERENCES),
    default="paper",
    show_default=True,
    help="The published rows: Table 4, copies of the challenge's and the main board, or VoxTell's known figures.",
)
@click.option("--plugin", "plugins", default="", metavar="NAME[,NAME]", help="Only the rows that these plugins run.")
@click.option(
    "--dataset",
    metavar="PATH|NAME",
    help="As for `bench run`; by default the reference's own: rexgroundingct:mlhc2025 for the paper's.",
)
@click.option("--split", help="The split that is predicted; by default that of the reference.")
@click.option("--gpus", default=1, show_default=True, type=click.IntRange(0, 1024), help="How many GPUs to use.")
@click.option(
    "--engine",
    type=click.Choice(["auto", *ENGINES]),
    default="auto",
    show_default=True,
    help="As for `bench run`.",
)
@click.option("--dry-run", is_flag=True, help="Show what each row needs and lacks; run nothing.")
@click.option(
    "--statements",
    is_flag=True,
    help="Say which statements of the paper hold, in Table 4 and in the rows of this home; run nothing.",
)
@plugin_dir_option
@json_option
@pass_settings
def reproduce(
    settings: Settings,
    /,
    reference_id: str,
    plugins: str,
    gpus: int,
    plugin_dirs: tuple[Path, ...],
    *,
    dry_run: bool,
    statements: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run published rows, by default those of the paper's Table 4, in one queue, and show ours beside theirs.

    Each row is one `bench run`: the same command resumes, and finished work is not repeated.
    A row that cannot be run is listed with its reason, and the next one is run.

    Each number of a row is judged: at three decimals it lies inside the reported 95 % interval (its ends included),
    below it, or above it; beside a number without an interval, it agrees within 0.005 or not. What a run on these data
    may claim is said for every reference: only the same cases reproduce a row.

    Example: bench reproduce --gpus 2
    """
    if statements and reference_id != "paper":
        raise UsageError("--statements are the paper's", fix="leave --reference out")
    if statements:
        _statements(settings, as_json=as_json)
        return
    from harness.dataset.rexgroundingct import NAME
    from harness.engines.allocation import Allocation
    from harness.engines.gpus import granted_gpus
    from harness.registry.discovery import discover
    from leaderboard.board.paper import plan
    from leaderboard.board.reported import read_references

    references = read_references()
    reference = references[reference_id]
    options["split"] = options["split"] or reference.local_split
    options["dataset"] = options["dataset"] or f"{NAME}:{reference.edition}"
    only = [name.strip() for name in plugins.split(",") if name.strip()]
    here = granted_gpus() if gpus else Allocation()
    rows = plan(reference, discover(plugin_dirs), settings.home, gpus, here, only=only)
    absent = _lacking(options["dataset"], options["split"], settings.home)
    trained = [row.variant is not None and row.variant.fine_tuned for row in rows]
    if absent is None and any(trained):
        lacking = _lacking_to_train(options["dataset"], settings.home)  # once: it reads the header of every CT
        rows = [
            replace(row, lacking=(*row.lacking, *lacking)) if tuned else row
            for row, tuned in zip(rows, trained, strict=True)
        ]
    records = [_record(row) for row in rows]
    ended: BenchError | None = None
    if not dry_run:
        if absent is not None and not all(row.lacking for row in rows):
            raise absent  # no row's fault
        options |= {"plugin_dirs": plugin_dirs, "profile": reference.profile}
        ended = _run_rows(settings, reference, rows, records, gpus=gpus, options=options)
    claims = {} if absent else _claims(references.values(), options["dataset"], options["split"], settings.home)
    if as_json:
        data = {"name": options["dataset"], "lacking": [absent.message, absent.fix] if absent else []}
        about = {name: getattr(reference, name) for name in ("id", "title", "source", "retrieved", "note")}
        print_json({"schema": 3, "reference": about, "dataset": data, "claims": claims, "rows": records})
    else:
        if dry_run:
            click.echo(f"data set: {f'{absent.message}; {absent.fix}' if absent else options['dataset']}")
            _print_needs(records)
        else:
            _print_verdicts(reference, records)
        for name, why in claims.items():
            click.echo(f"{name}: a run on these data {f'reproduces no row ({why})' if why else 'can reproduce a row'}")
    if ended is not None:
        raise ended


def _statements(settings: Settings, *, as_json: bool) -> None:
    from leaderboard.commands.statements import answered, print_statements

    records = answered(settings)
    if as_json:
        print_json({"schema": 1, "statements": records})
    else:
        print_statements(records)


def _lacking(dataset: str, split: str, home: Path) -> BenchError | None:
    """Return the error that any run on a split would end with; None without one.

    It lacks the data set, a CT or a mask, or breaks a rule that can be seen without reading a volume to its end, such
    as a patient in two splits.
    """
    from harness.dataset import find_dataset, open_dataset
    from harness.dataset.judge import judge
    from harness.dataset.problems import Level, refuse
    from harness.dataset.rexgroundingct import NAME
    from harness.dataset.volumes import Depth
    from harness.runs.plan import select_cases

    try:
        data = open_dataset(find_dataset(dataset, home))
    except UsageError as error:
        ours = dataset.split(":", maxsplit=1)[0] == NAME
        fix = f"`bench data fetch {NAME}` explains how to get it (a log-in is needed)" if ours else error.fix
        return PrerequisiteError(f"the data set {dataset} has not been downloaded", fix=fix)
    try:
        select_cases(data, split, None)
    except BenchError as error:
        return error
    errors = judge(data, [split], depth=Depth.QUICK).of(Level.ERROR)
    return refuse(errors, str(data.index), doing="cannot be scored on") if errors else None


def _lacking_to_train(dataset: str, home: Path) -> tuple[str, ...]:
    """Return what the train and val splits lack for a row that is trained."""
    from harness.dataset import find_dataset, open_dataset
    from harness.runs.training.finetune import SPLITS

    held = open_dataset(find_dataset(dataset, home)).splits
    errors = (_lacking(dataset, split, home) for split in SPLITS if held.get(split) or split == "train")
    return tuple(f"{error.message}; {error.fix}" for error in errors if error is not None)


def _record(row: ReferenceRow) -> dict[str, Any]:
    return {
        "row": row.name,
        "plugin": row.plugin.name if row.plugin else None,
        "variant": row.variant.name if row.variant else None,
        "needs": asdict(row.needs) if row.needs else None,
        "lacking": list(row.lacking),
        "run": None,
        "cells": [],
        "verdict": "not run" if row.lacking else "ready",
        "why": list(row.lacking),
    }


def _claims(references: Iterable[Reference], dataset: str, split: str, home: Path) -> dict[str, str]:
    """Return, by reference, why a run on these data reproduces none of its rows; empty where it can."""
    from harness.dataset import find_dataset, open_dataset
    from harness.dataset.editions import edition_of

    data = open_dataset(find_dataset(dataset, home))
    cases = data.splits.get(split, ())
    about = {
        "name": data.name,
        "edition": edition_of(data, split),
        "split": split,
        "n_cases": len(cases),
        "n_findings": sum(len(case.findings) for case in cases),
    }
    return {reference.title: reference.claim(about) for reference in references}


def _run_rows(
    settings: Settings,
    reference: Reference,
    rows: list[ReferenceRow],
    records: list[dict[str, Any]],
    *,
    gpus: int,
    options: dict[str, Any],
) -> BenchError | None:
    """Run what can be run, in one queue, and fill in what came of it; returns what the command has to end with."""
    ready = [(row, record) for row, record in zip(rows, records, strict=True) if not row.lacking]
    errors: list[BenchError] = []
    for used in dict.fromkeys([gpus, 0]):
        # A model for the CPU is not asked to share the GPUs.
        group = [pair for pair in ready if (gpus if pair[0].needs and pair[0].needs.gpus else 0) == used]
        errors += _run_group(settings, reference, group, gpus=used, options=options) if group else []
        if any(isinstance(error, Interrupted) for error in errors):
            for _, record in ready:
                if record["verdict"] == "ready":
                    record |= {"verdict": "not run", "why": ["interrupted"]}
            return Interrupted("interrupted", fix="finished work is kept; the same command resumes")
    if any(isinstance(error, ModelError) for error in errors):
        return ModelError("a row failed", fix="the table gives the reasons; the same command tries again")
    if not any(record["cells"] for record in records):
        return PrerequisiteError("no row could be run", fix="`bench reproduce --dry-run` lists what each one lacks")
    return None


def _run_group(
    settings: Settings,
    reference: Reference,
    group: list[tuple[ReferenceRow, dict[str, Any]]],
    *,
    gpus: int,
    options: dict[str, Any],
) -> list[BenchError]:
    """Run the models of rows that get as many GPUs, fill in what came of them, and return what failed."""
    named = {f"{record['plugin']}:{record['variant']}": (row, record) for row, record in group}
    for name, (row, _) in named.items():
        click.echo(f"{row.name}: {name.replace(':', ' ')}", err=True)
    with settings.open_store() as store:
        try:
            runs, failures = run_each(settings, store, list(named), gpus=gpus, **options)
        except KeyboardInterrupt:
            runs, failures = [], [NotEnded("", Interrupted("interrupted"))]
        except BenchError as error:  # of the only one, or of all
            runs, failures = [], [NotEnded(name, error) for name in named]
        for run in runs:
            row, record = named[f"{run.plugin}:{run.variant}"]
            try:
                _fill_in(store, reference, run, row, record)
            except ModelError as error:
                failures.append(NotEnded(f"{run.plugin}:{run.variant}", error))
    for failed in failures:
        if failed.name in named and not isinstance(failed.error, Interrupted):
            row, record = named[failed.name]
            record |= {"verdict": "not run", "why": list(filter(None, [failed.error.message, failed.error.fix]))}
            click.echo(f"{row.name}: {failed.error.message}", err=True)
    return [failed.error for failed in failures]


def _fill_in(store: Store, reference: Reference, run: RunRow, row: ReferenceRow, record: dict[str, Any]) -> None:
    from harness.runs.document import run_document
    from leaderboard.board.verdicts import judge, remarks, sentence

    document = run_document(store, run, reference.profile)
    record["run"] = run.id
    if not document["coverage"]["ok"]:
        raise ModelError("every finding failed", fix=f"`bench results show {run.id}` gives the reason for each case")
    judged = judge(reference, row.theirs, document["metrics"])
    record |= {"cells": [_cell(cell) for cell in judged], "verdict": sentence(judged)}
    record["why"] = remarks(reference, document)


def _cell(judged: Cell) -> dict[str, Any]:
    def number(score: Score) -> dict[str, Any]:
        return {"value": score.value, "ci95": None if score.low is None else [score.low, score.high], "n": score.n}

    return {
        "column": judged.key,
        "title": judged.title,
        "ours": number(judged.ours),
        "reported": number(judged.theirs),
        "verdict": judged.verdict,
    }


def _print_verdicts(reference: Reference, records: list[dict[str, Any]]) -> None:
    from harness.cli.tables import cell, print_table

    click.echo(f"{reference.title}: {reference.source}")
    for record in records:
        click.echo(f"\n{record['row']} ({_variant(record)}): {record['verdict']}")
        if record["cells"]:
            header = ["", "here", "reported", "verdict"]
            cells = [[c["title"], cell(c["ours"]), cell(c["reported"]), c["verdict"]] for c in record["cells"]]
            print_table(header, cells)
        for line in record["why"]:
            click.echo(f"  {line}")
    click.echo("")


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
    from harness.host.sizes import gpu_size

    room = f", about {size(needs['build_bytes'])} of free disk to build it" if needs["build_bytes"] else ""
    weights = [size(needs["weights_bytes"])] if needs["weights_bytes"] else []
    weights += [f"size unknown: {', '.join(needs['unknown_sizes'])}"] if needs["unknown_sizes"] else []
    memory = f" with {gpu_size(needs['gpu_memory_mb'])}" if needs["gpu_memory_mb"] else ""
    lines = [
        f"image: size unknown until it is built{room}",
        f"weights: {'; '.join(weights) or 'none'}",
        f"log-in at the hub: {', '.join(needs['log_ins']) or 'none declared'}",
        f"GPUs: {counted(needs['gpus'], 'GPU') + memory if needs['gpus'] else 'none'}",
        f"training: {needs['training'] or 'none'}; predicting: {needs['predicting']}",
    ]
    if needs["unpinned"]:
        lines.append(
            f"not pinned by the plugin: {', '.join(needs['unpinned'])}: ranked once the hub has stated their digests"
        )
    return lines


def _variant(record: dict[str, Any]) -> str:
    return f"{record['plugin']} {record['variant']}" if record["plugin"] else "no plugin"
