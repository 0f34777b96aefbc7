"""The budget of tokens holds."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from curation.llm.budget import Budget, BudgetReachedError
from curation.pipeline import MEMORY
from curation.work import Work
from harness.errors import PrerequisiteError
from tests.curation.llm.conftest import ASKED, document


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


def test_a_full_reservation_waits_for_the_others() -> None:
    """A request waits while those under way may yet cost less than reserved, and goes out when they have."""
    budget = Budget((0.0, 1.0), limit=2e-6 * 100)
    first = budget.reserve(0, 150)
    waiting = threading.Thread(target=budget.reserve, args=(0, 100))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    budget.correct(first, 1e-6 * 10)
    waiting.join(5)
    assert not waiting.is_alive()
    with pytest.raises(BudgetReachedError, match="reached"):
        Budget((0.0, 1.0), limit=1e-6).reserve(0, 100)


def test_the_estimate() -> None:
    """Equal texts are asked about once a step; prompts count with every request."""
    requests, cost = Budget((4.0, 8.0)).estimate(["p" * 400, "q" * 400], ["a" * 400, "a" * 400, "b" * 400])
    assert requests == 4
    assert cost == pytest.approx((4.0 * (800 * 2 + 800 * 2) / 4 + 8.0 * 800 * 2 * 1.5 / 4) / 1e6)


def test_the_estimate_is_said_before_the_first_request(run: Any) -> None:
    """A person reads what a run may cost before it costs anything."""
    result = run("--price", "1,2")
    assert "US dollars" in result.stderr.splitlines()[0]
