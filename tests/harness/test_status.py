"""The words for how a case or a training ended are stored and published: they do not change."""

from __future__ import annotations

from harness.status import RowLevel, Status, TrainingState


def test_the_words_of_a_case_are_those_of_stored_results() -> None:
    """A word that changed would make the results of yesterday unreadable."""
    assert [*Status] == [
        "ok", "plugin_error", "timeout", "oom", "invalid_output", "missing_output", "infra_error",
    ]  # fmt: skip


def test_a_status_is_its_word() -> None:
    """A status is written into files and the database as it is, without a conversion."""
    assert f"{Status.MISSING_OUTPUT}" == "missing_output"
    assert f"{TrainingState.NAN_LOSS}" == "nan_loss"


def test_only_what_was_run_here_shares_the_headline_ranking() -> None:
    """A number that others reported, or masks that others made, never stand beside a row that was run."""
    assert [level for level in RowLevel if level.headline] == ["measured", "reproduced", "sealed"]
    assert [*RowLevel][:2] == ["reported", "rescored"]
