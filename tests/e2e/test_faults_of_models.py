"""Whatever a model does on one case ends in that case's status, and the other cases are unharmed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.runs.attempts import MAX_WARNINGS

if TYPE_CHECKING:
    from conftest import Bench

PLUGINS = Path(__file__).parent / "plugins"

#: fault -> (status of the second case, words that its reason must hold)
FAULTS = {
    "exit-1": ("plugin_error", ["exit code 1"]),
    "segfault": ("plugin_error", ["SIGSEGV"]),
    "raises": ("plugin_error", ["RuntimeError", "device-side assert"]),
    "hangs": ("timeout", ["2 s"]),
    "ignores-sigterm": ("timeout", ["2 s"]),
    "writes-nothing": ("missing_output", ["not delivered"]),
    "writes-4d-stack": ("invalid_output", ["(2, 24, 20, 16)"]),
    "other-grid": ("invalid_output", ["(27, 23, 19)"]),
    "float-nan": ("invalid_output", ["contains NaN values"]),
    "wrong-affine": ("invalid_output", ["flip", "affine"]),
    "bomb": ("invalid_output", ["goes on after"]),
    "symlink": ("invalid_output", ["symbolic link"]),
    "hard-link": ("invalid_output", ["another name"]),
    "fifo": ("invalid_output", ["regular file"]),
    "truncated": ("invalid_output", ["end"]),
    "not-nifti": ("invalid_output", ["not a NIfTI volume"]),
    "fills-out": ("plugin_error", ["out/"]),
}

#: Faults that cost nothing: what the model did is noise, and its masks count.
HARMLESS = ("none", "floods-log", "forges-events", "no-events")


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_ends_in_its_status(fault: str, engine: str, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """The second case gets its status and a reason; the first and the third are ok with their exact scores."""
    status, words = FAULTS[fault]
    run = bench.json(
        "run", "--plugin", "misbehaving", "--variant", fault, "--plugin-dir", PLUGINS / "misbehaving",
        "--dataset", make_dataset(3), "--engine", engine,
    )  # fmt: skip
    shown = bench.json("results", "show", run["run"])
    states = {case["case_id"]: case for case in shown["cases"]}
    assert states["toy_2_a_1"]["status"] == status
    for word in words:
        assert word in states["toy_2_a_1"]["reason"]
    assert states["toy_1_a_1"]["status"] == states["toy_3_a_1"]["status"] == "ok"
    # A bad file is one finding's fault; a death takes both findings of its case.
    assert run["coverage"]["ok"] == (5 if status == "invalid_output" else 4)
    dice = {(f["case_id"], f["finding"]): f["dice"] for f in shown["findings"]}
    assert len(dice) == 6
    assert all(value == 0.0 for value in dice.values())
    assert (bench.home / "runs" / run["run"] / states["toy_2_a_1"]["log"]).is_file()


@pytest.mark.parametrize("fault", HARMLESS)
def test_noise_changes_nothing(fault: str, engine: str, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A flooded log, forged events or no events at all leave every case ok."""
    run = bench.json(
        "run", "--plugin", "misbehaving", "--variant", fault, "--plugin-dir", PLUGINS / "misbehaving",
        "--dataset", make_dataset(3), "--engine", engine,
    )  # fmt: skip
    assert run["coverage"] == {"ok": 6}
    log = next((bench.home / "runs" / run["run"] / "logs").iterdir())
    assert log.stat().st_size < 10 * 2**20


@pytest.mark.docker
def test_memory_bomb_is_named(base_image: str, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A container over its memory limit is an oom with the limit in the reason; its neighbours are ok."""
    run = bench.json(
        "run", "--plugin", "misbehaving", "--variant", "memory", "--plugin-dir", PLUGINS / "misbehaving",
        "--dataset", make_dataset(3), "--engine", "docker",
    )  # fmt: skip
    states = {case["case_id"]: case for case in bench.json("results", "show", run["run"])["cases"]}
    assert states["toy_2_a_1"]["status"] == "oom"
    assert "memory_gb = 0.25" in states["toy_2_a_1"]["reason"]
    assert states["toy_1_a_1"]["status"] == states["toy_3_a_1"]["status"] == "ok"


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("exit-1-at-import", "plugin_error", "the weights could not be read"),
        ("hangs-at-import", "timeout", "loading did not end within 5 s"),
    ],
)
def test_death_before_any_case(
    fault: str, status: str, words: str, engine: str, bench: Bench, make_dataset: Callable[..., Path]
) -> None:
    """A model that never gets to a case fails all of them, after two containers, and the command exits with 1."""
    result = bench(
        "run", "--plugin", "misbehaving", "--variant", fault, "--plugin-dir", PLUGINS / "misbehaving",
        "--dataset", make_dataset(2), "--engine", engine, code=1,
    )  # fmt: skip
    assert "bench results show" in result.stderr
    run = bench.json("results", "list")["runs"][0]
    cases = bench.json("results", "show", run["id"])["cases"]
    assert [case["status"] for case in cases] == [status, status]
    assert words in cases[0]["reason"]


def test_broken_plugins_are_rows(bench: Bench) -> None:
    """A plugin that cannot be imported or declares nonsense is a row with its reason; the others are listed."""
    listed = bench.json("list", "--plugin-dir", PLUGINS)
    reasons = {broken["name"]: broken["reason"] for broken in listed["broken"]}
    assert "a_module_that_is_not_installed" in reasons["missing-module"]
    assert "lower-case" in reasons["wrong-declaration"]
    assert "misbehaving" in {plugin["name"] for plugin in listed["plugins"]}
    refused = bench("run", "--plugin", "missing-module", "--plugin-dir", PLUGINS, code=3)
    assert "a_module_that_is_not_installed" in refused.stderr


def test_failure_is_explained_in_three_lines(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """`results show --case` says what happened, what was seen at the moment of death, and where the log is."""
    run = bench.json(
        "run", "--plugin", "misbehaving", "--variant", "exit-1", "--plugin-dir", PLUGINS / "misbehaving",
        "--dataset", make_dataset(2), "--engine", "local",
    )  # fmt: skip
    shown = bench("results", "show", run["run"], "--case", "toy_2_a_1").stdout.splitlines()[-3:]
    assert shown[0].startswith("toy_2_a_1: plugin_error, 2 tries: the container ended with exit code 1")
    assert "exited with code 1, memory" in shown[1]
    assert "last event: progress case toy_2_a_1" in shown[1]
    assert Path(shown[2].removeprefix("  log:").strip()).is_file()
    (case,) = bench.json("results", "show", run["run"], "--case", "toy_2_a_1")["cases"]
    seen = case["evidence"]
    assert (seen["state"], seen["ended_by_us"], seen["exit_code"], seen["oom"]) == ("exited", False, 1, False)
    assert 0 < seen["peak_bytes"] < seen["memory_limit_bytes"]
    assert seen["last_event"] == {"event": "progress", "stage": "case", "case": "toy_2_a_1"}
    assert seen["last_lines"] == []  # it said nothing


def test_a_warning_is_kept_with_its_case_and_shown(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A case that is ok may say something: one safe line each, a bounded number, and no other case says it."""
    run = bench.json(
        "run", "--plugin", "misbehaving", "--variant", "warns", "--plugin-dir", PLUGINS / "misbehaving",
        "--dataset", make_dataset(2), "--engine", "local",
    )  # fmt: skip
    cases = {case["case_id"]: case for case in bench.json("results", "show", run["run"])["cases"]}
    assert {case["status"] for case in cases.values()} == {"ok"}
    assert cases["toy_1_a_1"]["evidence"].keys() == {"phases"}
    warnings = cases["toy_2_a_1"]["evidence"]["warnings"]
    assert len(warnings) == MAX_WARNINGS
    assert warnings[0] == "finding 0: \N{REPLACEMENT CHARACTER}[2Jthe text was cut at word 0"
    shown = bench("results", "show", run["run"], "--case", "toy_2_a_1").stdout.splitlines()[-3 - MAX_WARNINGS :]
    assert shown[0].startswith("  seen: done in")
    assert shown[1].startswith("  told: compute ")
    assert shown[2] == f"  said: {warnings[0]}"


@pytest.mark.docker
def test_memory_and_clock_are_told_apart(base_image: str, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """Both end with 137; what is stored says which it was: the kernel's flag, or that the harness ended it."""
    data = make_dataset(2)
    for variant, by_us, oom, words in (
        ("memory-bomb", False, True, "(ended by the kernel)"),
        ("hangs", True, False, "(ended by the harness)"),
    ):
        plugin = PLUGINS.parents[1] / "hostile" / "plugins" / "hostile" if variant == "memory-bomb" else None
        run = bench.json(
            "run", "--plugin", "hostile" if plugin else "misbehaving", "--variant", variant,
            "--plugin-dir", plugin or PLUGINS / "misbehaving", "--dataset", data, "--engine", "docker",
        )  # fmt: skip
        (case,) = bench.json("results", "show", run["run"], "--case", "toy_2_a_1")["cases"]
        seen = case["evidence"]
        assert (seen["state"], seen["ended_by_us"], seen["oom"]) == ("exited", by_us, oom), seen
        assert seen["peak_bytes"] is None or 0 < seen["peak_bytes"] <= seen["memory_limit_bytes"]
        shown = bench("results", "show", run["run"], "--case", "toy_2_a_1").stdout.splitlines()[-3:]
        assert words in shown[1]


#: Gives the scorer of one case what it cannot work with.
_BROKEN_SCORER = """
from dataclasses import replace
import harness.runs.work as work
real = work.case_task
def broken(case, *arguments, delivered):
    task = real(case, *arguments, delivered=delivered)
    return replace(task, shape=None) if delivered and case.id == "toy_2_a_1" else task
work.case_task = broken
from harness.cli import main
if __name__ == "__main__":
    main()
"""


def test_masks_that_break_the_scorer_harm_nobody(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """The case counts as not delivered, with the reason; the others have their scores, and it is tried again."""
    command = ("run", "--plugin", "misbehaving", "--variant", "none", "--plugin-dir", PLUGINS / "misbehaving",
               "--dataset", make_dataset(3), "--engine", "local")  # fmt: skip
    bench.program = ("-c", _BROKEN_SCORER)
    run = bench.json(*command)
    assert run["coverage"] == {"ok": 4, "infra_error": 2}
    (case,) = bench.json("results", "show", run["run"], "--case", "toy_2_a_1")["cases"]
    assert case["reason"].startswith("the scorer failed on its masks (TypeError")
    bench.program = ("-m", "harness")
    assert bench.json(*command)["coverage"] == {"ok": 6}
