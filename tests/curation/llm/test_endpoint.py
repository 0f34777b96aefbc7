"""What an endpoint may do to a request: pauses, errors, time-outs, keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from curation.llm.endpoint import pause_of
from harness.errors import PrerequisiteError, UsageError
from tests.curation.llm.conftest import ASKED, Reply, document


def test_too_many_requests(run: Any, server: Any) -> None:
    """429 with retry-after: the pause is the one that the server asks for, and the answer comes."""
    server.fail(429, retry_after="0.4")
    assert document(run())["set_aside"] == 0
    assert server.times[1] - server.times[0] >= 0.4
    assert len(server.requests) == ASKED + 1


@pytest.mark.costly
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


@pytest.mark.costly
def test_time_out(run: Any, server: Any) -> None:
    """A server that does not answer in time is asked again."""
    server.say("late", delay=1.5)
    assert document(run("--timeout", 0.5))["set_aside"] == 0
    assert len(server.requests) == ASKED + 1


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "invalid_api_key", "key"),
        (404, "model_not_found", "no model"),
        (429, "insufficient_quota", "quota"),
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


def test_one_refused_report_is_set_aside(run: Any, server: Any, tmp_path: Path) -> None:
    """A 400 that is about one item's content sets that item aside with its id, and the others go on."""
    server.fail(400, code="invalid_prompt")
    made = document(run())
    assert made["set_aside"] == 1
    row = json.loads((tmp_path / "out/set_aside.jsonl").read_text())
    assert row["id"] == "demo_2_a_1"
    assert "400" in row["reason"]


def test_the_first_equal_failures_stop_the_run(run: Any, server: Any) -> None:
    """Where the first items all fail alike, the run stops, and they are tried again when the cause is gone."""
    server.fail(400, code="x", times=3)
    failed = run()
    assert isinstance(failed.exception, PrerequisiteError)
    assert "same reason" in failed.exception.message
    assert len(server.requests) == 3
    assert document(run())["set_aside"] == 0


def test_a_parameter_that_is_refused_stops_at_once(run: Any, server: Any) -> None:
    """What every request has alike is not tried again with the next item."""
    error = {"message": "response_format.type must be text", "param": "response_format", "code": "invalid_value"}
    server.faults += [Reply({"error": error}, 400)]
    failed = run()
    assert isinstance(failed.exception, PrerequisiteError)
    assert "--answers" in failed.exception.fix
    assert len(server.requests) == 1


@pytest.mark.parametrize("frame", ["```json\n{}\n```", "Sure! Here is the JSON you asked for: {}"])
def test_fences_and_greetings_are_no_content(run: Any, server: Any, frame: str) -> None:
    """An answer inside a fence or a sentence is read, and asked for once."""
    for _ in range(ASKED):
        server.alter(lambda text: frame.replace("{}", text))
    assert document(run())["set_aside"] == 0
    assert len(server.requests) == ASKED


@pytest.mark.parametrize(("mode", "form"), [("json_object", {"type": "json_object"}), ("plain", None)])
def test_servers_without_structured_outputs(run: Any, server: Any, mode: str, form: dict[str, str] | None) -> None:
    """The form of answers can be asked for in weaker ways."""
    assert document(run("--answers", mode))["set_aside"] == 0
    assert server.requests[0].get("response_format") == form


def test_reports_leave_the_machine_only_with_consent(three_reports: Path, tmp_path: Path, bench: Any) -> None:
    """Another host must be named; the message says which."""
    command = (
        "run",
        three_reports,
        "--out",
        tmp_path / "out",
        "--llm",
        "m",
        "--base-url",
        "https://llm.example.org/v1",
    )
    failed = bench(*command)
    assert isinstance(failed.exception, UsageError)
    assert "llm.example.org" in failed.exception.message
    assert isinstance(bench(*command, "--send-to", "other.example.org").exception, UsageError)


def test_what_leaves_the_machine_is_told_first(three_reports: Path, tmp_path: Path, bench: Any) -> None:
    """Before the first request: how many reports, to which host, and that a batch is kept there; locally nothing."""
    told = "3 reports goes to llm.example.org, less what is known already"
    out = ("--out", tmp_path / "out", "--llm", "m")
    host = ("--base-url", "https://llm.example.org/v1", "--send-to", "llm.example.org")
    failed = bench("run", three_reports, *out, *host)  # without a key: the line came before
    assert isinstance(failed.exception, PrerequisiteError)
    assert f"the text of {told}\n" in failed.output
    assert f"{told}; a batch stays there until" in bench("run", three_reports, *out, *host, "--batch").output
    assert "goes to" not in bench("run", three_reports, *out, "--base-url", "http://127.0.0.1:9/v1").output
    split = tmp_path / "split.jsonl"
    assert bench("split", "--in", three_reports, "--out", split).exception is None
    step = bench("rewrite", "--in", split, "--out", tmp_path / "rewritten.jsonl", "--llm", "m", *host)
    assert f"the text of {told}\n" in step.output
