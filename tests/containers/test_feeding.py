"""Reading ahead and writing behind: the same files and the same story, only sooner, within the declared memory."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from groundbench_sdk import Adapter, Case, feeding, main, runtime
from groundbench_sdk.feeding import Behind, Room

SHAPE = (24, 20, 12)
#: More than this process takes, whatever ran in it before.
ENOUGH = 2**20


class Slow(Adapter):
    """Uses one buffer for all masks, as a model may."""

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        ct, buffer = case.volume(), np.zeros(case.shape, bool)
        if case.id == "c3":
            raise ValueError("no lungs")
        for number, finding in enumerate(case.findings):
            buffer[:] = ct > 100 * number
            yield finding.id, buffer


def _ask(root: Path, *, memory_mb: int | None = ENOUGH, damaged: str = "", **params: Any) -> None:
    for folder in ("ct", "out"):
        (root / folder).mkdir(parents=True)
    lines = []
    for number in range(6):
        path, random = root / "ct" / f"c{number}.nii.gz", np.random.default_rng(number)
        nib.save(nib.Nifti1Image(random.integers(-1000, 400, SHAPE).astype(np.int16), np.eye(4)), path)
        if path.name.startswith(damaged + "."):
            path.write_bytes(path.read_bytes()[:3000])
        case = {"id": f"c{number}", "ct": f"ct/{path.name}", "shape": SHAPE, "spacing": [1, 1, 1]}
        lines.append(json.dumps(case | {"findings": [{"id": name, "text": "t"} for name in "01"]}) + "\n")
    job = {"contract": 1, "verb": "predict", "model": "m", "variant": "v", "seed": 5, "devices": ["cpu"], "threads": 1}
    (root / "job.json").write_text(json.dumps(job | {"params": params, "memory_mb": memory_mb}), encoding="utf-8")
    (root / "cases.jsonl").write_text("".join(lines), encoding="utf-8")


def _result(root: Path) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    files = {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.glob("out/*/*"))}
    events = (root / "out" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return files, [json.loads(line) for line in events]


def _story(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(event.get(name) for name in ("event", "stage", "case", "reason")) for event in events]


def test_the_same_bytes_and_the_same_story_with_it_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CT that cannot be read fails its own case, though it was read during another; so does a failing model."""
    readers: set[str] = set()
    now = feeding.read_ct

    def read_ct(case: Case, layout: Any) -> np.ndarray:
        readers.add(threading.current_thread().name)
        return now(case, layout)

    monkeypatch.setattr(feeding, "read_ct", read_ct)
    found = {}
    for name, asked in (("with", {}), ("without", {"ahead": False}), ("unknown", {"memory_mb": None})):
        readers.clear()
        _ask(tmp_path / name, damaged="c2", **asked)
        assert main(Slow, tmp_path / name) == 0
        found[name] = _result(tmp_path / name)
        assert (len(readers) > 1) == (name == "with"), "read in a thread only where that is allowed"
    (files, events), *others = found.values()
    assert sorted(files) == sorted(f"out/c{case}/{mask}.nii.gz" for case in (0, 1, 4, 5) for mask in (0, 1))
    for other in others:
        assert other[0] == files
        assert _story(other[1]) == _story(events)
    failed = {event["case"]: event["reason"] for event in events if event["event"] == "case_failed"}
    assert failed["c2"].startswith("Rejected: case c2: its CT cannot be read: ")
    assert failed["c3"] == "ValueError: no lungs"


def test_the_seconds_of_a_case_add_up(tmp_path: Path) -> None:
    """Computing and waiting are the case; without threads reading and writing lie in the waiting."""
    _ask(tmp_path, ahead=False)
    main(Slow, tmp_path)
    done = [event for event in _result(tmp_path)[1] if event["event"] == "case_done"]
    assert len(done) == 5
    for event in done:
        assert 0 < event["read_s"] <= event["wait_s"]
        assert event["write_s"] > 0
        assert event["compute_s"] + event["wait_s"] <= event["seconds"] + 0.05


def test_a_mask_that_cannot_be_written_fails_its_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the next case is computed already."""
    write = runtime._write

    def failing(path: Path, mask: np.ndarray, affine: np.ndarray) -> None:
        if path.parent.name == "c1":
            raise OSError(28, "no space left")
        write(path, mask, affine)

    monkeypatch.setattr(runtime, "_write", failing)
    _ask(tmp_path)
    main(Slow, tmp_path)
    files, events = _result(tmp_path)
    failed = {event["case"]: event["reason"] for event in events if event["event"] == "case_failed"}
    assert failed["c1"] == "OSError: [Errno 28] no space left"
    assert sorted(failed) == ["c1", "c3"]
    assert "out/c2/1.nii.gz" in files


def test_room_is_lent_within_what_is_declared() -> None:
    """Nothing is lent where nothing is declared, or where the process may need it; what was given back is."""
    assert not Room(None).take(0)
    assert not Room(1).take(0)
    room, half = Room(2**20), 2**39
    assert room.take(half)
    assert not room.take(half)
    room.give(half)
    assert room.take(half)


def test_what_is_behind_is_done_in_order_and_what_fails_is_raised() -> None:
    """The thread that computes learns of it when it next waits; with nothing before it, it is done at once."""
    behind, seen = Behind(Room(ENOUGH)), []
    for number in range(100):
        behind.do(lambda number=number: seen.append(number), size=number % 3)
    behind.settle()
    assert seen == list(range(100))
    behind.do(lambda: seen.append(100))
    assert seen[-1] == 100
    with pytest.raises(ZeroDivisionError):
        behind.do(lambda: seen.append(1 // 0))
    behind.close()
    behind = Behind(Room(ENOUGH))
    behind.do(lambda: seen.append(1 // 0), size=1)
    with pytest.raises(ZeroDivisionError):
        behind.settle()
    behind.close()


def test_all_cases_are_seen_before_the_first(tmp_path: Path) -> None:
    """The hook is part of loading."""
    seen: list[str] = []

    class Previewing(Slow):
        def preview(self, cases: Any) -> None:
            seen.extend(case.id for case in cases)

        def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
            assert len(seen) == 6
            return super().predict(case)

    _ask(tmp_path)
    main(Previewing, tmp_path)
    assert seen == [f"c{number}" for number in range(6)]


def test_the_peak_of_a_gpu_is_that_of_loading_and_of_each_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted anew after each: a small case behind a large one is not shown as large."""
    peaks = {"cuda:0": 5, "cuda:1": 3}

    class Cuda:
        is_initialized = staticmethod(lambda: True)
        max_memory_allocated = staticmethod(peaks.__getitem__)
        reset_peak_memory_stats = staticmethod(lambda name: peaks.__setitem__(name, 1))

    class Uses(Adapter):
        def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
            peaks["cuda:1"] = 9 if case.id == "c0" else 2
            yield from ((finding.id, np.zeros(case.shape, bool)) for finding in case.findings)

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=Cuda, manual_seed=lambda _: None))
    _ask(tmp_path)
    job = json.loads((tmp_path / "job.json").read_text(encoding="utf-8"))
    (tmp_path / "job.json").write_text(json.dumps(job | {"devices": [*peaks]}), encoding="utf-8")
    main(Uses, tmp_path)
    _, events = _result(tmp_path)
    told = [
        event["device_bytes"] for event in events if event.get("stage") == "loaded" or event["event"] == "case_done"
    ]
    assert told == [5, 9, 2, 2, 2, 2, 2]
