"""``bench curate split | rewrite | extract | categorize | select``: one step from a file to a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curation.commands.options import Progress, llm_options, say_where
from harness.cli.settings import Settings, json_option, pass_settings
from harness.cli.tables import printable
from harness.errors import DataError, UsageError
from harness.foreign import read_json_file

if TYPE_CHECKING:
    from curation.records import Phrase

_IN = click.option("--in", "source", required=True, type=click.Path(path_type=Path), help="Output of the step before.")
_OUT = click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
_MEMORY = click.option(
    "--memory",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of earlier outcomes [default: HOME/curation/work.db].",
)


def _command(name: str, what: str, *, asks: bool) -> click.Command:
    """Make the command of one step."""

    def body(
        settings: Settings,
        *,
        source: Path,
        out: Path,
        memory: Path | None,
        as_json: bool,
        method_of: Callable[[Any, str], Any] | None = None,
    ) -> None:
        if name == "categorize" and source.suffix.lower() == ".json":
            _categorize_json(settings, source, out, memory, method_of)
        else:
            _run(settings, name, (source, out), memory, method_of, as_json=as_json)

    body.__doc__ = what
    command: Any = pass_settings(body)
    if asks:
        command = llm_options(command)
    for option in (json_option, _MEMORY, _OUT, _IN):
        command = option(command)
    made: click.Command = click.command(name)(command)
    return made


def _open_work(settings: Settings, memory: Path | None) -> Any:
    from curation.work import Work

    return Work(memory or settings.home / "curation" / "work.db")


def _run(
    settings: Settings,
    name: str,
    files: tuple[Path, Path],
    memory: Path | None,
    method_of: Callable[[Any, str], Any] | None,
    *,
    as_json: bool,
) -> None:
    from curation.offline import Rules
    from curation.pipeline import STEPS, read_records, run_step, write_records
    from curation.records import SelectedReport
    from curation.reports import describe_problems, read_reports
    from curation.steps.select import choose_scans

    step, (source, out) = STEPS[name], files
    if name == "split" and source.suffix != ".jsonl":
        read = read_reports(source)
        for line in describe_problems(read.problems):
            click.echo(printable(line), err=True)
        records: list[Any] = list(read.reports)
    else:
        records = read_records(source, step.source)
    shown = Progress()
    count = 0

    def tick(n: int) -> None:
        nonlocal count
        count += n
        shown(name, count, len(records))

    with _open_work(settings, memory) as work:
        method = method_of(work, name) if method_of else Rules()
        say_where([method], len(records))
        done, aside = run_step(step, records, method, work, tick)
    if name == "select":
        chosen: list[Any] = choose_scans([record for record in done if isinstance(record, SelectedReport)])
        click.echo(f"{len(done) - len(chosen)} of {len(done)} scans have no finding to annotate", err=True)
        done = chosen
    write_records(out, done)
    for item in aside:
        click.echo(printable(f"{item.id}: set aside: {item.reason}"), err=True)
    if as_json:
        rows = [{"id": item.id, "reason": item.reason} for item in aside]
        click.echo(json.dumps({"schema": 1, "step": name, "done": len(done), "set_aside": rows}, ensure_ascii=False))
    else:
        click.echo(f"{name}: {len(done)} done, {len(aside)} set aside; {out}")


def _categorize_json(
    settings: Settings, source: Path, out: Path, memory: Path | None, method_of: Callable[[Any, str], Any] | None
) -> None:
    """Categorise ``{"P1": text, …}`` into ``{"P1": code, …}``, the form of the paper's Figures S7 and S8.

    A text that cannot be a finding is reported with its reason and gets ``null``; the others go on.
    """
    from curation.pipeline import STEPS, run_step, write_text
    from curation.records import ExtractedReport

    phrases: dict[str, Phrase] = {}
    texts = _read_findings(source)
    for key, text in texts.items():
        phrase = _phrase(text)
        if isinstance(phrase, str):
            click.echo(printable(f"{key}: no category: {phrase}"), err=True)
        else:
            phrases[key] = phrase
    codes: dict[str, str] = {}
    if phrases:
        with _open_work(settings, memory) as work:
            assert method_of is not None  # noqa: S101 - categorize has the options of the model
            report = ExtractedReport(id=source.stem or "findings", phrases=tuple(phrases.values()))
            method = method_of(work, "categorize")
            say_where([method], 1)
            done, aside = run_step(STEPS["categorize"], [report], method, work)
        if aside:
            raise DataError(
                f"the categories could not be found: {aside[0].reason}", fix="run it again, or use --llm none"
            )
        found = [finding.category for finding in done[0].findings]  # type: ignore[attr-defined]
        codes = dict(zip(phrases, found, strict=True))
    result = {key: codes.get(key) for key in texts}
    write_text(out, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    click.echo(f"categorize: {len(codes)} of {len(result)} findings; {out}", err=True)


def _phrase(text: str) -> Phrase | str:
    """Return `text` as an abnormal phrase, or the reason why it cannot be one."""
    from pydantic import ValidationError

    from curation.records import Phrase

    if not text.strip():
        return "the text is blank"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "the text holds half a character; write it in UTF-8"
    try:
        return Phrase(text=text, codes=(), abnormal=True, prior=False)
    except ValidationError as error:
        return str(error.errors(include_url=False, include_input=False)[0]["msg"])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError(f"{len(pairs) - len(result)} of its keys stand there twice")
    return result


def _read_findings(source: Path) -> dict[str, str]:
    try:
        document = read_json_file(source, pairs=_once)
    except FileNotFoundError as error:
        raise UsageError(f"{source} does not exist", fix='give {"P1": "text", …} as JSON') from error
    except (OSError, ValueError) as error:
        raise DataError(f"{source} is not a JSON file: {error}", fix='give {"P1": "text", …} as JSON') from error
    if not isinstance(document, dict) or not all(isinstance(text, str) for text in document.values()):
        raise DataError(f"{source} is not a JSON object of texts", fix='give {"P1": "text", …} as JSON')
    for key in document:
        if any("\ud800" <= character <= "\udfff" for character in key):
            raise DataError(f"{source}: the key {key!a} holds half a character", fix="write it in UTF-8")
    return document


split = _command(
    "split", "Cut reports (CSV, or reports.jsonl) into sentences with the codes F0, F1, … and I0, I1, …", asks=False
)
rewrite = _command("rewrite", "Rewrite sentences in US radiology English and sort them into 7 regions.", asks=True)
extract = _command(
    "extract", "Extract distinct phrases: sentence codes, abnormal or not, earlier examination or not.", asks=True
)
categorize = _command(
    "categorize",
    """Give every abnormal phrase one of the schema's 62 codes.

    With a .json file {"P1": "text", …} the output is {"P1": "2d", …}, as in the paper's Figures S7 and S8.

    Example: bench curate categorize --llm none --in findings.json --out categories.json
    """,
    asks=True,
)
select = _command(
    "select", "Keep the findings of lung and pleura that can be drawn; give a reason for all others.", asks=False
)
