"""A plugin's checks as tests of its author's own test run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.authoring import as_tests
from harness.authoring.new import NewPlugin, write_plugin
from harness.authoring.verdict import PluginCheck


class Asked:
    """What ``pytest --groundbench FOLDER`` hands over."""

    def __init__(self, folder: Path) -> None:
        self.options = {"--groundbench": [str(folder)], "--groundbench-engine": "local"}

    def getoption(self, name: str) -> Any:
        return self.options[name]


def test_each_variant_is_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """It fails with what was found and what to do, and passes where nothing is wrong."""
    folder = write_plugin(NewPlugin("my-text", trainable=True), tmp_path / "plugin")
    items: list[Any] = []
    as_tests.pytest_collection_modifyitems(request.session, Asked(folder), items)  # type: ignore[arg-type]
    assert [item.name for item in items] == ["check of my-text, zero-shot", "check of my-text, fine-tuned"]
    said = [PluginCheck("declares", "pass", "fine"), PluginCheck("reads", "FAIL", "misread", "use a library")]
    monkeypatch.setattr(as_tests, "check_plugin", lambda *_: said)
    monkeypatch.setattr(items[0], "config", Asked(folder))
    with pytest.raises(as_tests.CheckFailed) as failed:
        items[0].runtest()
    assert items[0].repr_failure(failed) == "FAIL  reads: misread\n      fix: use a library"
    said.pop()
    items[0].runtest()


def test_a_folder_without_a_plugin_ends_the_test_run(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As a wrong option does."""
    with pytest.raises(pytest.UsageError, match="does not contain a plugin"):
        as_tests.pytest_collection_modifyitems(request.session, Asked(tmp_path), [])  # type: ignore[arg-type]
