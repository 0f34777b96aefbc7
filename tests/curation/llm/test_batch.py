"""Requests handed in as one batch, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation.llm import batch
from curation.pipeline import MEMORY
from curation.work import Work
from harness.errors import PrerequisiteError
from tests.curation.llm.conftest import ASKED, document


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
            work._do(f"DELETE FROM {table}")  # noqa: S608 - our own names
    document(run("--batch", "--poll", 0.02))
    assert len(server.batches) == handed_in


def test_batches_are_split_by_the_limits_of_the_other_side(
    run: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No batch has more requests or bytes than are allowed; the results are the same."""
    monkeypatch.setattr(batch, "MOST_REQUESTS", 2)
    assert document(run("--batch", "--poll", 0.02))["set_aside"] == 0
    assert max(len(server.files[made["input_file_id"]].splitlines()) for made in server.batches.values()) == 2
    monkeypatch.setattr(batch, "MOST_BYTES", 1)
    assert document(run("--batch", "--poll", 0.02, "--max-tokens", 4000))["set_aside"] == 0
    sizes = [len(server.files[made["input_file_id"]].splitlines()) for made in server.batches.values()]
    assert sizes.count(1) >= ASKED
