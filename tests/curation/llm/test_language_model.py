"""A run with a language model: nothing is asked twice, whatever happens in between."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curation.llm.budget import Budget
from curation.llm.endpoint import Settings
from curation.llm.language_model import LanguageModel
from curation.llm.prompts import load_prompts
from curation.pipeline import MEMORY, STEPS, read_records
from curation.records import Report, SelectedReport
from curation.work import Work
from harness.errors import PrerequisiteError, UsageError
from tests.curation.llm.conftest import ASKED, document


def test_success(run: Any, server: Any, three_reports: Path, tmp_path: Path, bench: Any) -> None:
    """The model's answers make the findings; every one is kept raw with its tokens and its cost."""
    made = document(run("--price", "1,2"))
    assert made["set_aside"] == 0
    assert len(server.requests) == ASKED
    assert made["spent"]["requests"] == ASKED
    assert made["spent"]["cost"] == pytest.approx(ASKED * (100 * 1 + 50 * 2) / 1e6)
    document(bench("run", three_reports, "--out", tmp_path / "rules", "--json"))
    texts = [re.sub(r'"score":[^,}]+', "", (tmp_path / f"{n}/select.jsonl").read_text()) for n in ("out", "rules")]
    assert texts[0] == texts[1]  # but for the scores of the rules' classifier
    first = server.requests[0]
    assert first["response_format"]["json_schema"]["strict"] is True
    assert first["temperature"] == 0.0
    assert first["model"] == "m"


def test_each_step_may_have_a_model_of_its_own(run: Any, server: Any, tmp_path: Path) -> None:
    """The record says who did which step, at its own price; the rules do a step that is given to nobody."""
    options = ("--llm", "categorize=small", "--llm", "extract=none")
    made = document(run(*options, "--price", "1,2", "--price", "categorize=0,1"))
    assert made["models"] == {"rewrite": "m", "extract": "none", "categorize": "small"}
    assert json.loads((tmp_path / "out/summary.json").read_text())["models"] == made["models"]
    asked = Counter(request["model"] for request in server.requests)
    assert asked == {"m": 3, "small": 2}
    assert made["spent"]["cost"] == pytest.approx((3 * (100 * 1 + 50 * 2) + 2 * 50 * 1) / 1e6)


def test_one_limit_holds_for_all_models(run: Any, server: Any) -> None:
    """What the steps before have spent counts against the next one's model, which would have had enough alone."""
    options = ("--llm", "categorize=small", "--price", "10,10", "--price", "categorize=15,15", "--max-tokens", 100)
    failed = run(*options, "--max-cost", 0.035)
    assert isinstance(failed.exception, PrerequisiteError)
    assert "0.0090 of 0.035 US dollars are spent" in failed.exception.message
    assert Counter(request["model"] for request in server.requests) == {"m": 6}


def test_nothing_is_asked_twice(run: Any, server: Any) -> None:
    """The same command again asks nothing, and needs neither server nor key."""
    document(run())
    os.environ.pop("OPENAI_API_KEY")
    document(run())
    assert len(server.requests) == ASKED


def test_another_prompt_or_model_asks_again(run: Any, server: Any) -> None:
    """What an answer depends on is part of its name."""
    document(run())
    document(run("--max-tokens", 4000))
    assert len(server.requests) == 2 * ASKED


def test_many_at_a_time(run: Any, server: Any) -> None:
    """With several requests at a time the results and their order are the same."""
    server.delay = 0.1
    assert document(run("--jobs", 4))["set_aside"] == 0
    assert Counter(json.dumps(body) for body in server.requests).most_common(1)[0][1] == 1


@pytest.mark.costly
def test_kill_and_resume(server: Any, three_reports: Path, tmp_path: Path) -> None:
    """After kill -9 in the middle, no request that was answered is ever made again."""
    server.delay = 0.15
    main = "import harness.cli as c; c.cli.lazy['curate'] = ('curation.cli:curate', ''); c.main()"
    command = [sys.executable, "-c", main, "--home", str(tmp_path / "home"), "curate", "run", str(three_reports)]
    command += ["--out", str(tmp_path / "out"), "--llm", "m", "--base-url", server.url, "--jobs", "2", "--json"]
    environment = os.environ | {"OPENAI_API_KEY": "test"}
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(server.requests) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.3)
    with Work(tmp_path / "out" / MEMORY) as work:
        kept = work.spent().requests
    assert 0 < kept < ASKED
    before = len(server.requests)
    subprocess.run(command, cwd=Path(__file__).parents[3], env=environment, stdout=subprocess.DEVNULL, check=True)
    assert len(server.requests) - before == ASKED - kept
    assert len(read_records(tmp_path / "out/select.jsonl", SelectedReport)) == 2


def test_an_answer_that_was_kept_but_not_yet_judged(run: Any, server: Any, tmp_path: Path) -> None:
    """A run killed between keeping an answer and using it goes on from the answer."""
    document(run())
    with Work(tmp_path / "out" / MEMORY) as work:
        work._do("DELETE FROM results")
    document(run())
    assert len(server.requests) == ASKED


def test_prompts_of_ones_own(bench: Any, server: Any, tmp_path: Path, examples: dict[str, Any]) -> None:
    """A folder of prompts is used verbatim; without a manifest the answers have the form of the paper's figures."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    for name in ("rewrite", "extract", "categorize"):
        (folder / f"{name}.md").write_text(f"my own {name}\n")
    report = tmp_path / "s3.csv"
    sections = examples["rewrite_S3"]["input"]
    texts = {letter: " ".join(text for code, text in sections.items() if code[0] == letter) for letter in "FI"}
    report.write_text(f'VolumeName,Findings_EN,Impressions_EN\ns3_1_a,"{texts["F"]}","{texts["I"]}"\n')
    server.say(json.dumps(examples["rewrite_S3"]["output"]))
    server.say("{}", times=3)
    asked = ("--llm", "m", "--base-url", server.url, "--jobs", 1, "--prompts", folder)
    made = document(bench("run", report, "--out", tmp_path / "out", *asked, "--json"))
    assert made["set_aside"] == 1
    assert server.requests[0]["messages"][0]["content"] == "my own rewrite"
    assert set(server.requests[0]["response_format"]["json_schema"]["schema"]["properties"]) == {
        "Findings",
        "Impressions",
    }


def test_missing_prompts_are_told(run: Any, tmp_path: Path) -> None:
    """A folder that is not there is refused before anything is asked."""
    assert isinstance(run("--prompts", tmp_path / "none").exception, UsageError)


def test_a_text_that_may_name_a_person_is_not_sent() -> None:
    """Another machine gets no such text; a server on this one may."""
    report = Report(id="x", findings="Patient name: Jane Roe. A nodule is seen.", impressions="")
    record = STEPS["split"].offline(report)
    for url, held in (("https://llm.example.org/v1", True), ("http://127.0.0.1:1/v1", False)):
        model = LanguageModel(Settings("m", base_url=url), load_prompts(), Budget())
        assert bool(model.held_back(model.begin(STEPS["rewrite"], record))) is held


def test_reconstructions_share_their_report(server: Any, tmp_path: Path, bench: Any) -> None:
    """A text is asked about once, whatever the number of scans that it belongs to; --limit bounds the requests."""
    source = tmp_path / "reports.csv"
    rows = [f"s_{n}_a_{r},A {n} mm nodule is seen in the right lung.," for n in (1, 2, 3) for r in (1, 2)]
    source.write_text("VolumeName,Findings_EN,Impressions_EN\n" + "\n".join(rows) + "\n")
    command = ("run", source, "--llm", "m", "--base-url", server.url, "--json")
    made = document(bench(*command, "--out", tmp_path / "out", "--jobs", 4))
    assert made["scans"] == 6
    assert len(server.requests) == 9
    selected = read_records(tmp_path / "out/select.jsonl", SelectedReport)
    assert [record.id for record in selected] == [f"s_{n}_a_{r}" for n in (1, 2, 3) for r in (1, 2)]
    assert document(bench(*command, "--out", tmp_path / "trial", "--limit", 2))["reports"] == 2
    assert len(server.requests) == 12
