"""Attacks on the machine and on the clock, one container each: bounded, in the right status, harmless to others."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.engines.disk_rate import WRITE_BYTES_S, disk_of
from tests.conftest import processes

pytestmark = pytest.mark.docker

Record = Callable[[str, object], None]

#: Attack -> status of the case that attacks, words of the reason, and seconds within which the run must be over (a
#: quiet machine needs a third).
ATTACKS = {
    "fork-bomb": ("plugin_error", "exit code 1", 120),
    "memory-bomb": ("oom", "memory_gb = 0.25", 120),
    "memory-bomb-without-a-name": ("oom", "memory_gb = 0.25", 120),
    "fill-out": ("plugin_error", "more than out_gb = 0.0625", 120),
    "fill-out-deep": ("plugin_error", "cannot be read", 120),
    "flood-stdout": ("timeout", "within 5 s", 180),
    "hang-in-case": ("timeout", "within 5 s", 120),
    "stop-itself": ("timeout", "within 5 s", 120),
    "spam-progress": ("timeout", "within 5 s", 120),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_ends_in_its_status(name: str, attack: Callable[..., Any], record_property: Record) -> None:
    """The case that attacks fails with its reason in bounded time; the first and the third keep their scores."""
    record_property("attack", name)
    status, words, limit = ATTACKS[name]
    outcome = attack(name)
    row = outcome.cases["toy_2_a_1"]
    record_property("outcome", f"{row['status']} in {outcome.seconds:.0f} s: {row['reason'][:80]}")
    assert row["status"] == status, row["reason"]
    assert words in row["reason"]
    assert outcome.cases["toy_1_a_1"]["status"] == outcome.cases["toy_3_a_1"]["status"] == "ok"
    assert outcome.seconds < limit
    assert not any("BREACH" in line for line in outcome.lines)
    assert row["attempts"] == 2


def test_inodes_without_number(attack: Callable[..., Any], record_property: Record) -> None:
    """Empty files in temporary folders are bounded by their number, by memory or by the clock."""
    record_property("attack", "fill-inodes")
    outcome = attack("fill-inodes")
    row = outcome.cases["toy_2_a_1"]
    record_property("outcome", f"{row['status']} in {outcome.seconds:.0f} s: {row['reason'][:80]}")
    assert row["status"] in ("plugin_error", "oom", "timeout")
    assert outcome.cases["toy_1_a_1"]["status"] == outcome.cases["toy_3_a_1"]["status"] == "ok"
    assert not any("BREACH" in line for line in outcome.lines)


def test_a_disk_written_over_and_over(attack: Callable[..., Any], record_property: Record, tmp_path: Path) -> None:
    """The same bytes again are no more bytes to weigh, but come to the disk at a bounded rate; nobody loses a case."""
    if disk_of(tmp_path) is None:
        pytest.skip("the folders of this test lie on no disk that is known here")
    record_property("attack", "rewrite-disk")
    outcome = attack("rewrite-disk")
    (rate,) = (float(line.split()[-1]) for line in outcome.said("RATE"))
    record_property("outcome", f"{rate / 1e6:.0f} MB a second, of {WRITE_BYTES_S / 1e6:.0f} that it may write")
    assert {row["status"] for row in outcome.cases.values()} == {"ok"}
    assert rate < 1.25 * WRITE_BYTES_S


@pytest.mark.parametrize("name", ["many-files", pytest.param("million-files", marks=pytest.mark.slow)])
def test_files_without_number(name: str, attack: Callable[..., Any], record_property: Record) -> None:
    """Hundreds of thousands of files end a container by their number or by its time, and are removed."""
    record_property("attack", name)
    outcome = attack(name)
    row = outcome.cases["toy_2_a_1"]
    record_property("outcome", f"{row['status']} in {outcome.seconds:.0f} s: {row['reason'][:80]}")
    assert row["status"] in ("plugin_error", "timeout")
    assert "100,000 files" in row["reason"] or "within 5 s" in row["reason"]
    assert outcome.cases["toy_1_a_1"]["status"] == outcome.cases["toy_3_a_1"]["status"] == "ok"
    assert outcome.seconds < 180


def test_hang_at_import(attack: Callable[..., Any], record_property: Record) -> None:
    """An image that never loads, and does not want to end, fails every case after two containers."""
    record_property("attack", "hang-at-import")
    outcome = attack("hang-at-import")
    reasons = {row["reason"] for row in outcome.cases.values()}
    record_property("outcome", f"timeout in {outcome.seconds:.0f} s: {reasons}"[:100])
    assert {row["status"] for row in outcome.cases.values()} == {"timeout"}
    assert all("loading did not end within 6 s" in reason for reason in reasons)
    assert outcome.seconds < 120


def test_hang_at_exit(attack: Callable[..., Any], record_property: Record) -> None:
    """A container that does not end after its last case is ended; its cases count."""
    record_property("attack", "hang-at-exit")
    outcome = attack("hang-at-exit")
    record_property("outcome", f"ok in {outcome.seconds:.0f} s")
    assert {row["status"] for row in outcome.cases.values()} == {"ok"}
    assert outcome.seconds < 120


def test_daemon(attack: Callable[..., Any], record_property: Record) -> None:
    """A process that has left its parents and ignores SIGTERM is gone with the container."""
    record_property("attack", "daemonise")
    outcome = attack("daemonise")
    assert {row["status"] for row in outcome.cases.values()} == {"ok"}
    assert not [each for each in processes() if "adapter:Hostile" in each.command]
    record_property("outcome", f"ok in {outcome.seconds:.0f} s: no process is left")


def test_shut_output_folder(attack: Callable[..., Any], record_property: Record) -> None:
    """Folders without permissions are measured and removed all the same."""
    record_property("attack", "close-out")
    outcome = attack("close-out")
    record_property("outcome", f"{outcome.cases['toy_2_a_1']['status']} in {outcome.seconds:.0f} s: nothing is left")
    assert outcome.cases["toy_1_a_1"]["status"] == "ok"


def test_events_behind_a_pipe(attack: Callable[..., Any], record_property: Record) -> None:
    """A pipe in the place of the events delays nothing: what was read before counts, the masks do the rest."""
    record_property("attack", "hide-events")
    outcome = attack("hide-events")
    record_property("outcome", f"ok in {outcome.seconds:.0f} s")
    assert {row["status"] for row in outcome.cases.values()} == {"ok"}
    assert outcome.seconds < 120


def test_files_without_names(attack: Callable[..., Any], small_disk: Path, record_property: Record) -> None:
    """Files that are unlinked but held open are in no folder; they count all the same, and the filler is named."""
    record_property("attack", "fill-unlinked")
    outcome = attack("fill-unlinked", home=small_disk / "home")
    row = outcome.cases["toy_2_a_1"]
    record_property("outcome", f"{row['status']} in {outcome.seconds:.0f} s: {row['reason'][:80]}")
    assert row["status"] == "plugin_error"
    assert "holds more than out_gb = 0.0625" in row["reason"]
    assert outcome.cases["toy_1_a_1"]["status"] == outcome.cases["toy_3_a_1"]["status"] == "ok"
    found = os.statvfs(small_disk)
    assert found.f_bavail * found.f_frsize > 200 * 2**20


def test_home_is_shut_for_others(attack: Callable[..., Any], record_property: Record, tmp_path: Path) -> None:
    """While a container runs, no other user of the host reaches its folder, where set-uid programs may lie."""
    record_property("attack", "set-uid-program-for-others")
    home = tmp_path / "home"
    modes = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            modes.update(oct(folder.stat().st_mode & 0o777) for folder in home.glob("runs/*/shards/*"))
            time.sleep(0.02)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        attack("daemonise", home=home)
    finally:
        over.set()
        watcher.join()
    record_property("outcome", f"the container's folder has mode {modes}")
    assert modes == {"0o700"}
