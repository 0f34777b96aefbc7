"""The language-model path against a real HTTP server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from curation.llm.endpoint import pause_of
from curation.pipeline import MEMORY, read_records
from curation.records import SelectedReport
from curation.work import Work
from harness.errors import PrerequisiteError, UsageError

ASKED = 8  # three reports, three steps, and one report without anything abnormal to categorise


@pytest.fixture
def run(server: Any, three_reports: Path, tmp_path: Path, bench: Any) -> Any:
    """Run the pipeline on three reports with the server's model."""

    def call(*options: object) -> Any:
        out = ("--out", tmp_path / "out", "--llm", "m", "--base-url", server.url)
        return bench("run", three_reports, *out, "--jobs", 1, *options, "--json")

    return call


def document(result: Any) -> dict[str, Any]:
    """Return the JSON of a run that ended well."""
    assert result.exit_code == 0, result.output + repr(result.exception)
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def test_success(run: Any, server: Any, three_reports: Path, tmp_path: Path, bench: Any) -> None:
    """The model's answers make the findings; every one is kept raw with its tokens and its cost."""
    made = document(run("--price", "1,2"))
    assert made["set_aside"] == 0
    assert len(server.requests) == ASKED
    assert made["spent"]["requests"] == ASKED
    assert made["spent"]["cost"] == pytest.approx(ASKED * (100 * 1 + 50 * 2) / 1e6)
    document(bench("run", three_reports, "--out", tmp_path / "rules", "--json"))
    assert (tmp_path / "out/select.jsonl").read_bytes() == (tmp_path / "rules/select.jsonl").read_bytes()
    first = server.requests[0]
    assert first["response_format"]["json_schema"]["strict"] is True
    assert first["temperature"] == 0.0
    assert first["model"] == "m"


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


def test_too_many_requests(run: Any, server: Any) -> None:
    """429 with retry-after: the pause is the one that the server asks for, and the answer comes."""
    server.fail(429, retry_after="0.4")
    assert document(run())["set_aside"] == 0
    assert server.times[1] - server.times[0] >= 0.4
    assert len(server.requests) == ASKED + 1


@pytest.mark.parametrize("status", [500, 503])
def test_server_errors_pass(run: Any, server: Any, status: int) -> None:
    """5xx is tried again, with a pause that doubles."""
    server.fail(status, times=2)
    assert document(run())["set_aside"] == 0
    assert server.times[2] - server.times[1] > server.times[1] - server.times[0]


def test_a_dead_endpoint_stops_the_run(run: Any, server: Any, tmp_path: Path) -> None:
    """After the last try the run stops with a cure, and what is finished is kept."""
    server.fail(500, times=2, retry_after="0")
    failed = run("--tries", 2)
    assert isinstance(failed.exception, PrerequisiteError)
    assert "kept" in failed.exception.fix
    document(run())


def test_time_out(run: Any, server: Any) -> None:
    """A server that does not answer in time is asked again."""
    server.say("late", delay=1.5)
    assert document(run("--timeout", 0.5))["set_aside"] == 0
    assert len(server.requests) == ASKED + 1


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        (lambda text: text[:40], "length", "cut off"),
        (lambda text: text[:-10], "stop", "not a JSON document"),
        (lambda _: '{"Findings": {}}', "stop", "is missing"),
        (lambda _: "[]", "stop", "not a JSON object"),
        (lambda text: text.replace("6.4", "4.6"), "stop", "the number 6.4 mm is lost"),
        (lambda text: text.replace("right lung", "left lung"), "stop", "'right' is lost"),
        (lambda text: text.replace('"F2"', '"F9"'), "stop", "comes from no sentence"),
        (lambda text: text.replace('"Bones"', '"Skeleton"'), "stop", "Bones"),
    ],
)
def test_a_wrong_answer_is_asked_again_with_the_violation_named(
    run: Any, server: Any, tmp_path: Path, change: Any, reason: str, named: str
) -> None:
    """Cut JSON, broken schema, changed number or side, invented source or region: named, asked again, both kept."""
    server.alter(change, reason=reason)
    assert document(run())["set_aside"] == 0
    again = server.requests[1]["messages"]
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert named in again[-1]["content"]
    with Work(tmp_path / "out" / MEMORY) as work:
        assert work.spent().requests == ASKED + 1


def test_what_stays_wrong_is_set_aside_with_its_reason(run: Any, server: Any, tmp_path: Path) -> None:
    """After the last answer the report is set aside: told, kept, and the others go on; --again tries it once more."""
    server.say("{}", times=3)
    made = document(run())
    assert (made["set_aside"], made["scans"]) == (1, 1)
    row = json.loads((tmp_path / "out/set_aside.jsonl").read_text())
    assert row["step"] == "rewrite"
    assert "after 3 answers" in row["reason"]
    before = len(server.requests)
    assert document(run())["set_aside"] == 1
    assert len(server.requests) == before
    assert document(run("--again"))["set_aside"] == 0
    with Work(tmp_path / "out" / MEMORY) as work:
        assert work.spent().requests == ASKED + 3


def test_a_refusal_sets_one_item_aside(run: Any, server: Any) -> None:
    """A content filter, or a model that declines, costs one report and not the run."""
    server.fail(400, code="content_filter")
    server.say("", refusal="I cannot help")
    assert document(run())["set_aside"] == 2


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "invalid_api_key", "key"),
        (404, "model_not_found", "no model"),
        (429, "insufficient_quota", "quota"),
        (400, "x", "refuses"),
    ],
)
def test_what_no_retry_cures(run: Any, server: Any, status: int, code: str, said: str) -> None:
    """A wrong key, a wrong model, an empty account and a wrong request end the run at once, with a cure."""
    server.fail(status, code=code, times=5)
    failed = run()
    assert isinstance(failed.exception, PrerequisiteError)
    assert said in failed.exception.message
    assert len(server.requests) == 1


def test_no_key(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the message names the variable."""
    monkeypatch.delenv("OPENAI_API_KEY")
    failed = run()
    assert isinstance(failed.exception, PrerequisiteError)
    assert "OPENAI_API_KEY" in failed.exception.message


def test_the_budget_holds(run: Any, server: Any, tmp_path: Path) -> None:
    """No request goes out that could cost more than is left; a higher limit goes on without asking twice."""
    options = ("--price", "10,10", "--max-tokens", 100)
    failed = run(*options, "--max-cost", 0.03)
    assert isinstance(failed.exception, PrerequisiteError)
    assert "budget" in failed.exception.message
    asked = len(server.requests)
    assert 0 < asked < ASKED
    with Work(tmp_path / "out" / MEMORY) as work:
        assert work.spent().cost <= 0.03
    made = document(run(*options, "--max-cost", 10))
    assert len(server.requests) == ASKED
    assert made["spent"]["cost"] == pytest.approx(ASKED * 150 * 10 / 1e6)


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


def test_batches(run: Any, server: Any) -> None:
    """The Batch API: one batch a step, half the price, the wrong answer in a second batch."""
    server.say("{}")
    made = document(run("--batch", "--poll", 0.02, "--price", "1,2"))
    assert made["set_aside"] == 0
    assert len(server.batches) == 4
    assert made["spent"]["cost"] == pytest.approx((ASKED + 1) * 200 / 1e6 / 2)
    document(run("--batch", "--poll", 0.02))
    assert len(server.batches) == 4


def test_a_batch_that_leaves_an_item_out(run: Any, server: Any) -> None:
    """An item without an answer goes into the next batch; one that never gets one ends the run with a message."""
    server.leave_out()
    assert document(run("--batch", "--poll", 0.02))["set_aside"] == 0
    server.leave_out(times=50)
    failed = run("--batch", "--poll", 0.02, "--temperature", 0.5)
    assert isinstance(failed.exception, PrerequisiteError)
    assert "without an answer" in failed.exception.message


def test_a_line_separator_in_a_batch_ends_no_line(run: Any, server: Any, tmp_path: Path) -> None:
    """An endpoint may send U+2028 as it is, inside an answer, which is kept as it came."""
    server.say("\u2028{}")
    assert document(run("--batch", "--poll", 0.02))["set_aside"] == 0
    with Work(tmp_path / "out" / MEMORY) as work:
        assert ("\u2028{}",) in work._do("SELECT raw FROM answers")


def test_batches_of_azure(
    server: Any, three_reports: Path, tmp_path: Path, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Azure's batches name its own path, and wait until it has looked through their file."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "test")
    options = ("--llm", "deployed", "--base-url", server.url.removesuffix("/v1"), "--azure-version", "2024-10-21")
    made = bench("run", three_reports, "--out", tmp_path / "out", *options, "--batch", "--poll", 0.02, "--json")
    assert document(made)["set_aside"] == 0
    assert {batch["endpoint"] for batch in server.batches.values()} == {"/chat/completions"}
    assert {path.partition("?")[0].rpartition("/")[0] for path in server.paths} == {"/openai/files"}


def test_a_batch_that_was_handed_in_is_found_again(run: Any, server: Any, tmp_path: Path) -> None:
    """A run killed right after handing in a batch does not hand it in twice."""
    document(run("--batch", "--poll", 0.02))
    handed_in = len(server.batches)
    with Work(tmp_path / "out" / MEMORY) as work:
        for table in ("results", "answers", "batches"):
            work._do(f"DELETE FROM {table}")  # noqa: S608 - names of our own
    document(run("--batch", "--poll", 0.02))
    assert len(server.batches) == handed_in


def test_prompts_of_ones_own(run: Any, server: Any, tmp_path: Path, examples: dict[str, Any]) -> None:
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
    made = run("--prompts", folder)
    assert made.exit_code == 0
    assert server.requests[0]["messages"][0]["content"] == "my own rewrite"
    assert set(server.requests[0]["response_format"]["json_schema"]["schema"]["properties"]) == {
        "Findings",
        "Impressions",
    }


def test_azure(server: Any, three_reports: Path, tmp_path: Path, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Azure resource is asked by deployment and API version, with its own key."""
    monkeypatch.delenv("OPENAI_API_KEY")
    options = ("--llm", "deployed", "--base-url", server.url.removesuffix("/v1"), "--azure-version", "2024-10-21")
    command = ("run", three_reports, "--out", tmp_path / "out", *options, "--json")
    assert "AZURE_OPENAI_API_KEY" in bench(*command).exception.message
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "test")
    assert document(bench(*command))["set_aside"] == 0
    assert {path.partition("?")[0] for path in server.paths} == {"/openai/deployments/deployed/chat/completions"}
    assert all("api-version=2024-10-21" in path for path in server.paths)


def test_missing_prompts_are_told(run: Any, tmp_path: Path) -> None:
    """A folder that is not there is refused before anything is asked."""
    assert isinstance(run("--prompts", tmp_path / "none").exception, UsageError)


def test_a_pause_until_a_date() -> None:
    """The header's other form, a date, is obeyed as well."""
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert 25 < pause_of({"retry-after": format_datetime(soon, usegmt=True)}, 0) <= 30


@pytest.mark.parametrize(
    ("headers", "attempt", "seconds"),
    [
        ({"retry-after-ms": "250"}, 0, 0.25),
        ({"retry-after": "3"}, 5, 3.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m2s"}, 0, 62.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, 0, 0.02),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 2, 2.0),
        ({}, 3, 4.0),
    ],
)
def test_pauses(headers: dict[str, str], attempt: int, seconds: float) -> None:
    """What the headers ask for counts; else the pause doubles with every failure."""
    assert pause_of(headers, attempt) == pytest.approx(seconds)
