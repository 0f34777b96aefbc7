"""``bench curate run``: all steps on a file of reports."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from curation.commands.options import Progress, llm_options, methods_of
from harness.cli.settings import json_option
from harness.cli.tables import counted, print_table, printable
from harness.errors import UsageError

_SHOWN = 20  # problems of rows that are listed one by one


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for everything.")
@click.option(
    "--column", "columns", multiple=True, metavar="ROLE=NAME", help="id=, findings= or impressions=; may be repeated."
)
@click.option("--encoding", help="Of the file; by default UTF-8, UTF-16 with a mark, or Windows-1254.")
@click.option("--limit", type=click.IntRange(min=1), help="Most reports to work on, by id: for a trial run.")
@click.option("--again", is_flag=True, help="Try again what an earlier run set aside.")
@llm_options
@json_option
def run(
    *,
    reports: Path,
    out: Path,
    columns: tuple[str, ...],
    encoding: str | None,
    limit: int | None,
    again: bool,
    method_of: Callable[[Any, str], Any],
    as_json: bool,
) -> None:
    """Take the REPORTS of a CSV file through all steps, from split to select.

    OUT gets one file a step (split.jsonl to select.jsonl), set_aside.jsonl, row_problems.jsonl, summary.json and the
    memory work.db, from which the same command goes on after any interruption. Bad rows are reported and set aside; the
    rest goes on.

    Example: bench curate run reports.csv --out curated
    """
    from curation.pipeline import MEMORY, run_all, write_lines
    from curation.reports import describe_problems, read_reports
    from curation.steps.select import natural
    from curation.work import Work

    read = read_reports(reports, columns=_columns(columns), encoding=encoding)
    problems = list(describe_problems(read.problems))
    for line in problems[:_SHOWN]:
        click.echo(printable(line), err=True)
    if len(problems) > _SHOWN:
        click.echo(f"and {len(problems) - _SHOWN} more; all are in {out / 'row_problems.jsonl'}", err=True)
    write_lines(
        out / "row_problems.jsonl", (json.dumps(vars(problem), ensure_ascii=False) for problem in read.problems)
    )
    with Work(out / MEMORY) as work:
        if again:
            work.forget_set_aside()
        first = {report.id for report in sorted(read.reports, key=lambda report: natural(report.id))[:limit]}
        taken = [report for report in read.reports if report.id in first]
        methods_of(method_of, work, taken)
        # Made anew for each step: its budget begins with what those before have spent.
        summary = run_all(taken, out, method_of=lambda step: method_of(work, step.name), work=work, progress=Progress())
        spent = work.spent()
    document = summary.as_dict()
    document["rows"] = {"encoding": read.encoding, "set_aside": sum(problem.lost for problem in read.problems)}
    document["seconds"] = summary.seconds
    document["reports_per_second"] = summary.rate
    document["spent"] = vars(spent)
    if as_json:
        click.echo(json.dumps(document, indent=1, ensure_ascii=False))
        return
    _show(document, summary, out)


def _columns(given: tuple[str, ...]) -> dict[str, str]:
    from curation.reports import COLUMNS

    columns = {}
    for item in given:
        role, _, name = item.partition("=")
        if role not in COLUMNS or not name:
            raise UsageError(f"--column {item!r} is incomplete", fix=f"give ROLE=NAME; roles: {', '.join(COLUMNS)}")
        columns[role] = name
    return columns


def _show(document: dict[str, Any], summary: Any, out: Path) -> None:
    print_table(
        ["category", "", "count", "%"],
        [[row["group"], f"{row['code']} {row['name']}", row["count"], row["percent"]] for row in document["table3"]],
        title="findings to annotate (as the paper's Table 3)",
        right=(2, 3),
    )
    excluded = ", ".join(f"{reason} {count}" for reason, count in document["excluded"].items())
    click.echo(f"not annotated: {excluded or 'nothing'}")
    aside = Counter(item.step for item in summary.set_aside)
    if aside:
        steps = ", ".join(f"{step} {count}" for step, count in aside.items())
        click.echo(f"set aside, with the reason in {out / 'set_aside.jsonl'}: {steps}")
    else:
        click.echo("nothing set aside")
    click.echo(
        "checked: no sentence lost or new; findings and their negation, numbers, sides, lobes, segments, severity and "
        "counts are those of the cited sentences, as far as rules can read them. Not checked: all other words, whether "
        "a category is right, whether the report is"
    )
    spent = document["spent"]
    if spent["requests"]:
        tokens = f"{spent['prompt_tokens']:,} + {spent['completion_tokens']:,} tokens"
        click.echo(f"asked {counted(spent['requests'], 'time')}: {tokens}, {spent['cost']:.4f} US dollars")
    click.echo(
        f"{counted(document['reports'], 'report')}, {document['sentences']:,} sentences, "
        f"{document['phrases']:,} phrases, "
        f"{document['abnormal']:,} abnormal; {counted(document['scans'], 'scan')} with "
        f"{document['findings']:,} findings "
        f"in {out} ({sum(summary.seconds.values()):.1f} s, {summary.rate:.1f} reports/s)"
    )
