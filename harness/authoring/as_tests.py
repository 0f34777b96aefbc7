"""``pytest --groundbench FOLDER``: the checks of a plugin as tests, beside its own; loaded where that is asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from harness.authoring.check import check_plugin
from harness.authoring.target import plugin_at
from harness.authoring.verdict import PluginCheck, Surroundings
from harness.errors import BenchError
from harness.registry.declaration import Variant
from harness.registry.discovery import Plugin
from harness.sandbox.stop import Stop


class CheckFailed(Exception):  # noqa: N818 - as pytest says it
    """A check that a plugin does not pass; the message has what was found and what to do."""


class CheckOfVariant(pytest.Item):
    """The checks of one variant: one test, whose failure lists them."""

    def __init__(self, *, plugin: Plugin, variant: Variant, **fields: object) -> None:
        super().__init__(**fields)  # type: ignore[arg-type]
        self._plugin, self._variant = plugin, variant

    def runtest(self) -> None:
        """Run them all."""
        engine = self.config.getoption("--groundbench-engine")
        with tempfile.TemporaryDirectory(prefix="groundbench-") as work:
            around = Surroundings(Path(work, "check"), Path(".bench").resolve(), engine, print, Stop())
            around.work.mkdir()
            checks = list(check_plugin(self._plugin, self._variant, around))
        self.add_report_section("call", "groundbench", "\n".join(map(_line, checks)))
        failed = [check for check in checks if check.outcome == "FAIL"]
        if failed:
            raise CheckFailed("\n".join(map(_line, failed)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:  # type: ignore[override]
        """Show what was found, without a traceback of ours."""
        error = excinfo.value
        if isinstance(error, BenchError):
            return f"{error.message}\nfix: {error.fix}"
        return str(error) if isinstance(error, CheckFailed) else str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return its place, for the lines of pytest."""
        return self.path, None, self.name


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add one test for each variant of the plugins that are named."""
    for folder in config.getoption("--groundbench"):
        try:
            plugin = plugin_at(str(folder), (), Path(folder), prompt="text")
        except BenchError as error:
            raise pytest.UsageError(f"--groundbench {folder}: {error.message}; fix: {error.fix}") from error
        items += [
            CheckOfVariant.from_parent(
                session, name=f"check of {plugin.name}, {variant.name}", plugin=plugin, variant=variant
            )
            for variant in plugin.model.variants
        ]


def _line(check: PluginCheck) -> str:
    return f"{check.outcome:<4}  {check.name}: {check.found}" + (f"\n      fix: {check.fix}" if check.fix else "")
