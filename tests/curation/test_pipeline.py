"""The offline pipeline: all real reports, the same bytes every time, resumed after a kill, step by step as at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from curation.offline import Rules, rules_version
from curation.pipeline import MEMORY, STEPS, read_records, run_all, run_step
from curation.records import Report, SelectedReport
from curation.reports import read_reports
from curation.work import Outcome, Work, key_of
from harness.errors import DataError, UsageError


def run(reports: list[Report], out: Path) -> Any:
    """Run all steps offline."""
    with Work(out / MEMORY) as work:
        return run_all(reports, out, method_of=lambda _: Rules(), work=work)


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of a run, without its memory."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(MEMORY)}


def test_three_reports(three_reports: Path, tmp_path: Path, bench: Any) -> None:
    """From CSV to selected findings: one nodule, one effusion, rounded; the normal scan is left out."""
    result = bench("run", three_reports, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["reports"], document["scans"], document["findings"], document["set_aside"]) == (3, 2, 2, 0)
    selected = read_records(tmp_path / "out/select.jsonl", SelectedReport)
    assert [(record.id, record.findings[0].category) for record in selected] == [
        ("demo_2_a_1", "2d"),
        ("demo_10_a_1", "2e"),
    ]
    assert selected[0].findings[0].text == "6 mm nodule in the upper lobe of the right lung"
    assert selected[0].findings[0].codes == ("L1", "I0")
    assert selected[1].excluded[0].category == "3d"
    others = read_records(tmp_path / "out/not_selected.jsonl", SelectedReport)
    assert len(others) + len(selected) == 3
    assert not any(record.findings for record in others)


def test_the_table_is_shown(three_reports: Path, tmp_path: Path, bench: Any) -> None:
    """A person gets the paper's Table 3 of what was made, and hears that the checks passed."""
    result = bench("run", three_reports, "--out", tmp_path / "out")
    assert "2d Pulmonary nodules and masses" in result.stdout
    assert "nothing set aside" in result.stdout
    assert "no sentence lost or new" in result.stdout
    assert "Not checked" in result.stdout


def test_steps_one_by_one_give_the_same(three_reports: Path, tmp_path: Path, bench: Any) -> None:
    """Each step as its own command writes the same bytes as all at once."""
    bench("run", three_reports, "--out", tmp_path / "all")
    source = three_reports
    for name in STEPS:
        target = tmp_path / f"{name}.jsonl"
        result = bench(
            name, "--in", source, "--out", target, *([] if name in {"split", "select"} else ["--llm", "none"])
        )
        assert result.exit_code == 0, result.output
        assert target.read_bytes() == (tmp_path / "all" / target.name).read_bytes()
        source = target


def test_line_separators_inside_a_report_end_no_record(tmp_path: Path, bench: Any) -> None:
    """U+2028 and U+0085, which JSON allows in a text, do not end lines in the files between the steps."""
    source = tmp_path / "reports.csv"
    source.write_text(
        'VolumeName,Findings_EN,Impressions_EN\nx_1_a,"Nodule\u2028in the lung.\u0085Emphysema.",\n', encoding="utf-8"
    )
    assert bench("run", source, "--out", tmp_path / "all").exit_code == 0
    result = bench("split", "--in", tmp_path / "all/reports.jsonl", "--out", tmp_path / "split.jsonl")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "split.jsonl").read_bytes() == (tmp_path / "all/split.jsonl").read_bytes()


def test_categorize_in_the_papers_form(examples: dict[str, Any], tmp_path: Path, bench: Any) -> None:
    """`{"P1": text}` becomes `{"P1": code}`; at least 26 of the paper's 28 are right."""
    right = 0
    for number, example in enumerate(examples["categorize_S7_S8"]):
        source, target = tmp_path / f"in{number}.json", tmp_path / f"out{number}.json"
        source.write_text(json.dumps(example["input"]))
        result = bench("categorize", "--llm", "none", "--in", source, "--out", target)
        assert result.exit_code == 0, result.output
        answer = json.loads(target.read_text())
        assert list(answer) == list(example["input"])
        right += sum(answer[key] == code for key, code in example["output"].items())
    assert right >= 26


_OTHERS = ["[]", "{", '{"P1": 1}', '{"P1": "a", "P1": "b"}', '{"P\\ud800": "a"}']


@pytest.mark.parametrize("text", _OTHERS, ids=range(len(_OTHERS)))
def test_categorize_refuses_other_files(text: str, tmp_path: Path, bench: Any) -> None:
    """What is not a JSON object of texts is refused."""
    source = tmp_path / "in.json"
    source.write_text(text)
    result = bench("categorize", "--in", source, "--out", tmp_path / "out.json")
    assert isinstance(result.exception, DataError)


def test_categorize_goes_on_past_texts_that_are_none(tmp_path: Path, bench: Any) -> None:
    """A blank, endless or broken text is reported by its key and gets null; the others get their codes."""
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    texts = {"P1": "6 mm nodule", "P2": " ", "P3": "a" * 30_000, "P4": "a \ud800", "P5": "Pleural effusion"}
    source.write_text(json.dumps(texts))
    result = bench("categorize", "--llm", "none", "--in", source, "--out", target)
    assert result.exit_code == 0, result.output
    answer = json.loads(target.read_text())
    assert list(answer) == list(texts)
    assert [key for key, code in answer.items() if code is None] == ["P2", "P3", "P4"]
    assert all(f"{key}: no category" in result.output for key in ("P2", "P3", "P4"))


def test_every_real_report_goes_through(real_reports: list[dict[str, str]], tmp_path: Path) -> None:
    """Of every twelfth real report nothing is set aside: no crash, no lost sentence, no changed number."""
    rows = real_reports[::12]
    reports = [
        Report(id=row["VolumeName"], findings=row["Findings_EN"], impressions=row["Impressions_EN"]) for row in rows
    ]
    summary = run(reports, tmp_path)
    assert summary.set_aside == []
    assert summary.reports == len(rows)
    assert len(summary.counts) >= 12
    assert summary.counts["2d"] == max(summary.counts.values())


def test_no_digit_changes_in_any_real_report(real_reports: list[dict[str, str]], tmp_path: Path) -> None:
    """By the simplest of means, apart from the tool's own checks: rewriting keeps every run of digits, in order."""
    for row in real_reports[5::12]:
        report = Report(id=row["VolumeName"], findings=row["Findings_EN"], impressions=row["Impressions_EN"])
        sentences = STEPS["split"].offline(report)
        rewritten = STEPS["rewrite"].offline(sentences)
        after = {line.sources[0]: line.text for lines in rewritten.regions.values() for line in lines}
        after |= {line.sources[0]: line.text for line in rewritten.impressions}
        dropped = {item.source for item in rewritten.dropped}
        for code, text in sentences.coded().items():
            if code not in dropped:
                assert re.findall(r"\d+", after[code]) == re.findall(r"\d+", text)


@pytest.mark.slow
def test_all_real_reports_go_through(real_data: Path, tmp_path: Path) -> None:
    """Of all 1,564 at most one in a hundred is set aside, by a check that names what would be lost or invented."""
    read = read_reports(real_data / "text/ct_rate_validation_reports.csv.gz")
    summary = run(read.reports, tmp_path)
    assert len(read.reports) == 1564
    assert len(summary.set_aside) <= 15
    assert all(item.step == "extract" and item.reason for item in summary.set_aside)


def test_the_same_bytes_again(three_reports: Path, tmp_path: Path) -> None:
    """Two runs write the same files, and the second computes nothing."""
    reports = read_reports(three_reports).reports
    run(reports, tmp_path / "a")
    run(reports, tmp_path / "b")
    before = files(tmp_path / "a")
    assert before == files(tmp_path / "b")
    run(reports, tmp_path / "a")
    assert files(tmp_path / "a") == before


def test_the_order_of_reports_changes_no_result(three_reports: Path, tmp_path: Path) -> None:
    """Every report is done by itself."""
    reports = read_reports(three_reports).reports
    run(reports, tmp_path / "a")
    run(reports[::-1], tmp_path / "b")
    selected = [read_records(tmp_path / name / "select.jsonl", SelectedReport) for name in "ab"]
    assert selected[0] == selected[1]


def test_a_known_result_is_not_computed_again(three_reports: Path, tmp_path: Path) -> None:
    """What the memory holds is taken, whatever the rules would say."""
    report = read_reports(three_reports).reports[0]
    key = key_of(step="split", record=report.model_dump(mode="json"), rules=rules_version())
    with Work(tmp_path / MEMORY) as work:
        work.keep(key, "split", report.id, Outcome(None, "known"))
        done, aside = run_step(STEPS["split"], [report], Rules(), work)
    assert done == []
    assert aside[0].reason == "known"


def test_a_killed_run_goes_on(real_data: Path, tmp_path: Path) -> None:
    """After kill -9 in the middle the same command finishes, and equals a run that was never killed."""
    code = (
        "import sys, pathlib\n"
        "from curation.offline import Rules\n"
        "from curation.pipeline import run_all\n"
        "from curation.reports import read_reports\n"
        "from curation.work import Work\n"
        "out = pathlib.Path(sys.argv[2])\n"
        "with Work(out / 'work.db') as work:\n"
        "    reports = read_reports(pathlib.Path(sys.argv[1])).reports[:60]\n"
        "    run_all(reports, out, method_of=lambda _: Rules(), work=work)\n"
    )
    source = real_data / "text/ct_rate_validation_reports.csv.gz"
    command = [sys.executable, "-c", code, str(source), str(tmp_path / "a")]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while not (tmp_path / "a/split.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a/select.jsonl").exists()
    reports = read_reports(source).reports[:60]
    run(reports, tmp_path / "a")
    run(reports, tmp_path / "b")
    left = {name: text for name, text in files(tmp_path / "a").items() if not name.endswith(".partial")}
    assert left == files(tmp_path / "b")


def test_foreign_files_are_refused(tmp_path: Path, bench: Any) -> None:
    """A file of another step, a missing file and an invalid memory are reported with a fix."""
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "a"}\n')
    with pytest.raises(DataError, match="line 1"):
        read_records(path, SelectedReport)
    with pytest.raises(UsageError):
        read_records(tmp_path / "none.jsonl", SelectedReport)
    with pytest.raises(DataError, match="work file"):
        Work(path)
    result = bench("run", tmp_path / "none.csv", "--out", tmp_path / "out")
    assert isinstance(result.exception, UsageError)


@pytest.mark.parametrize(
    "options",
    [
        ["--column", "x=y"],
        ["--temperature", "hot"],
        ["--price", "1"],
        ["--llm", "m", "--max-cost", "1"],
        ["--llm", "m", "--price", "rewrite=1,1", "--max-cost", "1"],
        ["--llm", "m", "--price", "1,1", "--max-cost", "nan"],
        ["--llm", "m", "--price", "nan,1", "--max-cost", "1"],
        ["--llm", "m", "--temperature", "nan"],
        ["--llm", "select=m"],
        ["--llm", "rewrite="],
    ],
)
def test_wrong_options(options: list[str], three_reports: Path, tmp_path: Path, bench: Any) -> None:
    """Options that make no sense are refused before anything is read or asked."""
    result = bench("run", three_reports, "--out", tmp_path / "out", *options)
    assert isinstance(result.exception, UsageError)
    assert result.exception.fix


def test_uncertain_findings_go_to_review(tmp_path: Path, bench: Any) -> None:
    """A finding that the report leaves open is selected, flagged, and listed for review with the reason."""
    source = tmp_path / "reports.csv"
    source.write_text(
        "VolumeName,Findings_EN,Impressions_EN\n"
        "x_1_a,A mass cannot be excluded in the right lung. Pleural effusion on the left.,\n"
    )
    assert bench("run", source, "--out", tmp_path / "out").exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "out/to_review.jsonl").read_text().splitlines()]
    assert [(row["id"], row["text"][:4]) for row in rows] == [("x_1_a", "Mass")]
    assert "leaves open" in rows[0]["reasons"][-1]
