"""Ranking is judged by what is declared today; a failure by the limits that decided it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.pinned import Weights
from harness.rows import CaseRow, RunRow
from harness.runs.standing import judge, redone, untrusted
from harness.upstream.weights import PUBLIC_HUB

DIGEST = "a" * 64


def _plugin(sha256: str = DIGEST, version: str = "1", **params: object) -> Plugin:
    weights = Weights("w.pt", "owner/name", "w.pt", "", sha256, 0, "MIT")
    variant = Variant("v", params=params)
    return Plugin(Model("m", "M", "A model.", version, Path("/"), variants=(variant,), weights=(weights,)), "here")


def _row(*unrankable: str, mode: str = "pinned", **params: object) -> RunRow:
    plan = {"plugin_version": "1", "params": params, "weights": {"mode": mode, "files": {"w.pt": DIGEST}}}
    return RunRow(
        "m-v-1", "1", 1, "measured", "m", "M", "1", "v", "text", False, "mlhc2025", "d", "f", "test", "docker",
        "i", not unrankable, list(unrankable), "done", "2026", plan=plan,
    )  # fmt: skip


OPEN = "weights not pinned by the plugin: w.pt"


@pytest.mark.parametrize(
    ("row", "plugin", "reasons"),
    [
        (_row(t=1), _plugin(t=1), []),
        (_row(OPEN, t=1), _plugin(t=1), []),  # pinned after the run
        (_row(t=1), _plugin("", t=1), [OPEN]),
        (_row(t=1), _plugin("b" * 64, t=1), ["weights pinned otherwise by the plugin: w.pt"]),
        (_row(t=1), _plugin(t=2), ["changed parameters: t=1"]),
        (_row("changed parameters: t=3", t=3), _plugin(t=3), []),
        (_row(t=1), _plugin(t=1, u=2), ["changed parameters: no u"]),
        (_row(t=1, u=2), _plugin(t=1), ["changed parameters: u=2"]),
        (
            _row("partial: x", "not isolated: y", t=1),
            _plugin(t=2),
            ["partial: x", "changed parameters: t=1", "not isolated: y"],
        ),
        (_row("random weights: x", mode="random", t=1), _plugin(t=1), ["random weights: x"]),
        (_row(t=1), _plugin(version="2", t=2), []),  # of version 1 nothing is declared any more
        (_row(t=1), None, []),
        (replace(_row(t=1), kind="submitted"), _plugin(t=2), []),
        (replace(_row(t=1), variant="gone"), _plugin(t=2), []),
    ],
)
def test_a_row_stands_as_it_is_declared_today(row: RunRow, plugin: Plugin | None, reasons: list[str]) -> None:
    """Facts stay; parameters and pins are judged again, where the same version of the plugin is installed."""
    now = judge(row, plugin)
    assert now.unrankable == reasons
    assert now.rankable == (not reasons)


STATED = {
    "name": "w.pt",
    "sha256": DIGEST,
    "repo": "owner/name",
    "file": "w.pt",
    "revision": "c" * 40,
    "hub": PUBLIC_HUB,
}


@pytest.mark.parametrize(
    ("recorded", "declared", "reasons"),
    [
        (STATED, {}, []),
        ({**STATED, "sha256": "b" * 64}, {}, [OPEN]),  # of another content
        ({**STATED, "repo": "owner/other"}, {}, [OPEN]),  # declared elsewhere since then
        ({**STATED, "file": "v2/w.pt"}, {}, [OPEN]),
        (STATED, {"revision": "d" * 40}, [OPEN]),
        (STATED, {"revision": "c" * 40}, []),
        ({**STATED, "revision": ""}, {}, [OPEN]),
        (
            {**STATED, "hub": "https://mirror.example.org"},
            {},
            ["weights not pinned by the plugin, only by the hub at https://mirror.example.org: w.pt"],
        ),
        ({"name": "w.pt", "sha256": DIGEST}, {}, [OPEN]),
        (STATED, {"sha256": "b" * 64}, ["weights pinned otherwise by the plugin: w.pt"]),
    ],
)
def test_what_the_hub_stated_counts_for_that_file(
    recorded: dict[str, str], declared: dict[str, str], reasons: list[str]
) -> None:
    """For the same content, of the place that is declared, as the public hub stated it at a revision."""
    plugin = _plugin("", t=1)
    (weights,) = plugin.model.weights
    plugin = replace(plugin, model=replace(plugin.model, weights=(replace(weights, **declared),)))
    row = replace(_row(OPEN, t=1), record={"weights": [recorded]})
    assert judge(row, plugin).unrankable == reasons


@pytest.mark.parametrize(
    ("status", "limit", "again"),
    [
        ("timeout", "case_timeout_s", True),
        ("timeout", "start_timeout_s", True),
        ("timeout", "memory_mb", False),
        ("oom", "memory_mb", True),
        ("oom", "case_timeout_s", False),
        ("plugin_error", "out_mb", True),
        ("plugin_error", "shm_mb", True),
        ("plugin_error", "case_timeout_s", False),
        ("ok", "memory_mb", False),
        ("invalid_output", "memory_mb", False),
    ],
)
def test_a_failure_under_a_smaller_limit_is_done_again(status: str, limit: str, *, again: bool) -> None:
    """Only where that limit may have decided it, only where it is larger today, and only where it was recorded."""
    case = CaseRow("c", 0, status)
    assert redone(case, {limit: 1.0}, {limit: 2.0}) is again
    assert not redone(case, {limit: 2.0}, {limit: 2.0})
    assert not redone(case, {limit: 3.0}, {limit: 2.0})
    assert not redone(case, {}, {limit: 2.0})


@pytest.mark.parametrize(("status", "again"), [("plugin_error", True), ("missing_output", True), ("ok", False)])
def test_a_failure_on_a_machine_that_nobody_tried_out_is_done_again(status: str, *, again: bool) -> None:
    """A failure from before machines were tried out may be the machine's; one from since then is the model's."""
    assert untrusted(CaseRow("c", 0, status), {}) is again
    assert not untrusted(CaseRow("c", 0, status), {"tried_out": True})
