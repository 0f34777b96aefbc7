"""``bench results``: the stored runs and submissions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from harness.cli.lazy import LazyGroup
from harness.cli.settings import (
    Settings,
    cut_offs_option,
    json_option,
    pass_settings,
    plugin_dir_option,
    print_json,
    size_cuts_option,
)
from harness.errors import UnknownName, UsageError
from harness.rows import CaseRow, FindingRow, MaskVerdict

results = LazyGroup(
    name="results",
    help="List, show, compare, verify, import, archive and remove results.",
    no_args_is_help=True,
    lazy={
        "list": ("harness.cli.results:list_results", "List every run, newest last."),
        "show": ("harness.cli.results:show", "Show a run, or the scores of runs by category or size."),
        "archive": ("harness.cli.archive:archive", "Leave runs out of lists and boards; it can be undone."),
        "compare": (
            "harness.cli.compare:compare",
            "Compare runs on the same findings: what can be told apart, and ranks.",
        ),
        "import": ("harness.cli.results_import:import_rows", "Import rows that travelled as folders of text."),
        "remove": ("harness.cli.remove:remove", "Remove runs for good: rows, masks, logs."),
        "sign": ("harness.cli.sign:sign", "Sign the record of a run with an SSH key."),
        "verify": ("harness.cli.verify:verify", "Recompute a stored row from its masks, digit by digit."),
    },
)


@click.command("list")
@click.option("--archived", "with_archived", is_flag=True, help="List archived runs as well.")
@plugin_dir_option
@json_option
@pass_settings
def list_results(settings: Settings, /, plugin_dirs: tuple[Path, ...], *, with_archived: bool, as_json: bool) -> None:
    """List every run that is not archived, newest last.

    One that does not follow from its plan, its record and its findings is listed as reported, without numbers.
    """
    from harness.cli.tables import cell, counted, print_table
    from harness.registry.discovery import discover
    from harness.runs.claims import trained_here
    from harness.runs.confirmed import confirmed
    from harness.runs.lock import as_seen
    from harness.runs.standing import judged
    from harness.store.archive import archived

    with settings.open_store(readonly=True) as store:
        left_out = {} if with_archived else archived(store)
        shown = [as_seen(run, store) for run in store.runs() if run.id not in left_out]
        found = [confirmed(store, run, settings.home / "runs") for run in shown]
        doubts = [run.id for run, row in zip(shown, found, strict=True) if row is not run]
        rows = judged(found, discover(plugin_dirs), trained_here(store))
        metrics = {row.id: {} if row.id in doubts else store.metrics(row.id, row.profile) for row in rows}
        coverage = {row.id: store.coverage(row.id) for row in rows}
    if as_json:
        listed = [
            {
                **asdict(row),
                "level": row.level,
                "who": row.who,
                "coverage": {"ok": 0, **coverage[row.id]},
                "metrics": metrics[row.id],
            }
            for row in rows
        ]
        print_json({"schema": 1, "runs": listed, "archived": list(left_out)})
        return
    for run in doubts:
        click.echo(f"{run} does not follow from its record: `bench results verify {run}` says what differs", err=True)
    if left_out:
        click.echo(f"{counted(len(left_out), 'archived run')} not listed; --archived lists them", err=True)
    if not rows:
        click.echo(f"no results yet in {settings.home}; `bench demo` or `bench run` makes the first one", err=True)
        return
    print_table(
        ["run", "state", "level", "data", "Dice", "ok", "ranked", "when"],
        [
            [
                row.id,
                row.state,
                row.level,
                f"{row.dataset}/{row.split}",
                cell(metrics[row.id].get("dice", {}).get("all")),
                f"{coverage[row.id].get('ok', 0)}/{row.n_findings}",
                "yes" if row.rankable else "no",
                row.created,
            ]
            for row in rows
        ],
        right=(4, 5),
    )


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--by", type=click.Choice(["category", "size"]), help="Only the Dice by this, of one run or several.")
@click.option("--case", "wanted", metavar="C", help="Only this case: every finding, with verdicts and the log's path.")
@click.option("--profile", help="Metrics to show; by default those of the run's own profile.")
@click.option(
    "--instances",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write one row an instance, of the truth and of the prediction, to this .csv, .json or .parquet file.",
)
@cut_offs_option
@size_cuts_option
@plugin_dir_option
@json_option
@pass_settings
def show(
    settings: Settings,
    /,
    runs: tuple[str, ...],
    *,
    by: str | None,
    wanted: str | None,
    profile: str | None,
    instances: Path | None,
    cut_offs: tuple[float, ...],
    size_cuts: tuple[float, float] | None,
    plugin_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show one run (the beginning of its id is enough): scores, costs, provenance, and failures with their reasons.

    With --by, show the mean Dice by category or by size of finding instead, of several runs beside one another (the
    paper's Figures 2 and 3).
    """
    from harness.cli.report import print_documents, print_recall_by_size
    from harness.cli.tables import one_line, printable
    from harness.registry.discovery import discover
    from harness.runs.claims import trained_here
    from harness.runs.confirmed import confirmed
    from harness.runs.document import case_document, finding_document, run_document
    from harness.runs.lock import as_seen
    from harness.runs.rows import check_format, write_instances
    from harness.runs.standing import judged
    from harness.scoring.lesions import recall_by_size

    _check_options(runs, by, size_cuts, of_one=wanted is not None or instances is not None)
    if by is not None:
        _show_groups(settings, runs, by, profile, size_cuts, as_json=as_json)
        return
    if instances is not None:
        check_format(instances)
    with settings.open_store(readonly=True) as store:
        run = as_seen(store.run(runs[0]), store)
        (row,) = judged([confirmed(store, run, settings.home / "runs")], discover(plugin_dirs), trained_here(store))
        document = run_document(store, row, profile or row.profile)
        cases = store.cases(row.id)
        if wanted is not None and wanted not in {case.case for case in cases}:
            raise UnknownName(f"case of {row.id}", wanted, [case.case for case in cases])
        shown = [case for case in cases if wanted in (None, case.case)]
        findings = store.findings(row.id, wanted)
    document["recall_by_size"] = recall_by_size(findings, cut_offs)
    if instances is not None:
        write_instances(instances, findings)
    if as_json:
        document |= {
            "record": row.record,
            "plan": row.plan,
            "cases": [case_document(case) for case in shown],
            "findings": [finding_document(finding) for finding in findings],
        }
        print_json(document)
        return
    if wanted is None:
        document = one_line(document)
        print_documents([document])
        print_recall_by_size(document)
        _print_provenance(one_line(row.record), document)
    if wanted is None:
        _print_findings([row for row in findings if row.status != "ok"])
    else:
        _print_findings(findings, placed=True)
    for line in _case_lines(shown, findings if wanted is not None else [], settings.home / "runs" / row.id):
        click.echo(printable(line))


def _check_options(runs: Sequence[str], by: str | None, size_cuts: tuple[float, float] | None, *, of_one: bool) -> None:
    """Raise UsageError where options contradict each other; `of_one`: whether one is given that is about one run."""
    if by is not None and of_one:
        raise UsageError("--by shows groups of findings", fix="leave --case and --instances out")
    if size_cuts is not None and by != "size":
        raise UsageError("--size-cuts divides the findings of --by size", fix="add --by size, or leave it out")
    if by is None and len(runs) > 1:
        raise UsageError(
            f"{len(runs)} runs were given, and one is shown at a time",
            fix="give one, add --by category or --by size, or use `bench results compare`",
        )


def _show_groups(
    settings: Settings,
    runs: Sequence[str],
    by: str,
    profile: str | None,
    size_cuts: tuple[float, float] | None,
    *,
    as_json: bool,
) -> None:
    from harness.cli.groups import groups_document, print_groups, require_same_data, with_sizes
    from harness.runs.document import run_document
    from harness.scoring.profiles import profile_on

    with settings.open_store(readonly=True) as store:
        rows = list({row.id: row for row in map(store.run, runs)}.values())
        require_same_data(rows)
        used = profile_on(profile or rows[0].profile, rows[0].split)
        documents = [run_document(store, row, used.name) for row in rows]
        if by == "size":
            documents = [
                with_sizes(document, row, store.findings(row.id), used, size_cuts)
                for document, row in zip(documents, rows, strict=True)
            ]
    document = groups_document(documents, by)
    if as_json:
        print_json(document)
    else:
        print_groups(document)


def _case_lines(cases: list[CaseRow], findings: list[FindingRow], folder: Path) -> list[str]:
    """Explain one case with the verdicts on its `findings`; without these, each case that failed for a new reason."""
    lines = [line for finding in findings for line in _verdict_lines(finding)]
    explained: set[str] = set()
    for case in cases:
        if findings or (case.status != "ok" and case.reason not in explained):
            explained.add(case.reason)
            lines += _explain(case, folder)
    return lines


def _verdict_lines(finding: FindingRow) -> list[str]:
    """Say everything about a finding's mask: what was found, the likely cause, and what to do."""
    from harness.cli.tables import printable

    lines = []
    for problem in (finding.verdict or MaskVerdict()).problems:
        lines.append(f"{finding.case}/{finding.finding}: {problem.level} {problem.code}: {printable(problem.message)}")
        lines.append(f"  cause: {printable(problem.cause)}")
        lines.append(f"  fix: {printable(problem.fix)}")
    return lines


def _explain(case: CaseRow, folder: Path) -> list[str]:
    """Print how a case ended: its status and reason, the evidence, the model's warnings, and the path of the log."""
    from harness.cli.tables import printable, seconds, size
    from harness.sandbox.evidence import PredictionEvidence

    tries = f", {case.attempts} tries" if case.attempts > 1 else ""
    lines = [f"{case.case}: {case.status}{tries}" + (f": {printable(case.reason)}" if case.reason else "")]
    seen = PredictionEvidence.read(case.evidence)
    if seen is not None:
        end, event = seen.end, seen.last_event
        last = " ".join(str(event[key]) for key in ("event", "stage", "case") if key in event) or "none"
        said = f"; last output: {' | '.join(map(printable, seen.last_lines))}" if seen.last_lines else ""
        lines.append(
            f"  seen: {end.state} with code {end.code}{' (ended by the harness)' if seen.ended_by_us else ''}, "
            f"memory {size(end.peak_bytes)} of "
            f"{size(seen.memory_limit_bytes)}{' (ended by the kernel)' if end.oom else ''}, "
            f"lived {seconds(seen.lived_s)}, last event: {last}{said}"
        )
    elif case.seconds is not None:
        lines.append(f"  seen: done in {seconds(case.seconds)} by its events; it says it took {size(case.host_bytes)}")
    if phases := case.evidence.get("phases"):
        parts = [f"{name.removesuffix('_s')} {seconds(value)}" for name, value in phases.items()]
        lines.append(f"  told: {', '.join(parts)}")
    lines += [f"  said: {printable(warning)}" for warning in case.evidence.get("warnings", [])]
    if case.log:  # masks that were made elsewhere have none
        lines.append(f"  log:  {folder / case.log}")
    return lines


def _print_provenance(record: dict[str, Any], document: dict[str, Any]) -> None:
    harness, hardware = record.get("harness", {}), record.get("hardware", {})
    click.echo(f"run       {document['run']} ({document['state']})")
    click.echo(f"image     {document['image']}")
    for file in record.get("weights", []):
        click.echo(f"weights   {file['name']} sha256:{file['sha256']}{_stated(file)}")
    click.echo(f"licences  {_licences(record.get('licences'))}")
    click.echo(f"exposure  {_exposure(record)}")
    if share := record.get("training", {}).get("share"):
        because = f": {'; '.join(share['because'])}" if share["because"] else ""
        click.echo(f"share     its checkpoint may be shared: {share['answer']}{because}")
    click.echo(f"data      {document['dataset']['fingerprint']}")
    if boxes := record.get("prompts"):
        click.echo(f"boxes     {boxes['number']} in {boxes['file']}, sha256:{boxes['sha256']}")
    click.echo(f"harness   {harness.get('groundbench', '—')}, commit {harness.get('commit', '—')}")
    click.echo(f"scorer    {record.get('scorer', '—')}, seed {record.get('seed', '—')}")
    click.echo(f"hardware  {hardware.get('cpu', '—')}, {hardware.get('cores', '—')} cores{_gpus(hardware)}")


def _gpus(hardware: dict[str, Any]) -> str:
    """Name the GPUs that were used, and how many containers shared each; empty without any."""
    names = [gpu["name"] for gpu in hardware.get("gpus", [])]
    sharing = hardware.get("containers_per_gpu", 1)
    shared = f", {sharing} containers on each" if sharing > 1 else ""
    return "".join(f"; {names.count(name)} x {name}" for name in dict.fromkeys(names)) + shared


def _licences(said: dict[str, Any] | None) -> str:
    """Name the licences of code and weights, and say whether they allow commercial use."""
    if not said:
        return "not recorded; commercial use: unknown"
    code = dict.fromkeys(filter(None, [said["code"], *said["sources"].values()]))
    weights = dict.fromkeys(one["licence"] for one in said["weights"].values())
    of_weights = f"; weights {', '.join(weights)}" if weights else ""
    return f"code {', '.join(code) or 'not stated'}{of_weights}; commercial use: {said['commercial']}"


def _exposure(record: dict[str, Any]) -> str:
    """Say what its weights were trained on elsewhere, and who says so."""
    from harness.runs.claims import exposure_of
    from harness.status import UNKNOWN

    said = exposure_of(record)
    origin = record["exposure"].get("origin") if said != UNKNOWN else ""
    return f"{'not stated' if said == UNKNOWN else said}{f' ({origin})' if origin else ''}"


def _stated(file: dict[str, str]) -> str:
    """Say which hub stated the digest of a file that its plugin does not pin."""
    from harness.upstream.weights import PUBLIC_HUB

    if not file.get("hub"):
        return ""
    by = "pinned by the hub" if file["hub"] == PUBLIC_HUB else f"not pinned, only stated by {file['hub']}"
    return f", {by} at revision {file['revision']}"


def _print_findings(findings: list[FindingRow], *, placed: bool = False) -> None:
    """Print the scores of single findings; with `placed` also where each mask lies."""
    from harness.cli.tables import print_table
    from harness.scoring.placement import placement

    if findings:
        print_table(
            [
                *("case", "finding", "category", "status", "Dice"),
                *(("where the mask lies",) if placed else ()),
                *("why", "text"),
            ],
            [
                [
                    finding.case,
                    finding.finding,
                    finding.category or "—",
                    finding.status,
                    f"{finding.dice:.3f}",
                    *((placement(finding).words,) if placed else ()),
                    finding.reason or "; ".join(p.message for p in (finding.verdict or MaskVerdict()).problems),
                    finding.text,
                ]
                for finding in findings
            ],
            right=(4,),
            fold=(5, 6, 7) if placed else (5, 6),
        )
