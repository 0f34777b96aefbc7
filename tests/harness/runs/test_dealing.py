"""The rows of a run do not depend on how its cases were dealt: number, size and order of shards, kills between them.

The containers here are played, each case by a part of its own; what a case does may depend on how many others its
container has handled before, as it does when memory, disk or patience run out.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engines.base import ContainerSpec, Engine, Exit
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs.attempts import run_cases
from harness.runs.outcome import CaseOutcome, ContainerFigures
from harness.runs.place import Place
from harness.runs.spec import ShardSpec
from harness.runs.tries import Mark
from harness.sandbox.contract import CasePrompt, FindingPrompt, Job
from harness.sandbox.job import JobCase
from harness.sandbox.masks import accept
from harness.sandbox.stop import Stop

ROOM = 2**20  # bytes: the smallest declared limit of out/
KILLED, OOM, CLEAN = Exit(137, state="exited"), Exit(137, oom=True, state="exited"), Exit(0, state="exited")

#: What a case does; those with a number do it only after as many others in their container.
PARTS = st.one_of(
    st.tuples(st.just("delivers"), st.sampled_from([10, ROOM // 3, ROOM // 2])),
    st.tuples(st.just("delivers too much"), st.just(ROOM + 1)),
    st.tuples(st.sampled_from(["fails", "kills", "runs out of memory", "is skipped"]), st.integers(0, 2)),
    st.tuples(st.just("floods"), st.integers(1, 30)),
)


@dataclass
class Played:
    """A container that plays the parts of its cases at its first tick; a mute one reports nothing."""

    spec: ContainerSpec
    parts: dict[str, tuple[str, int]]
    mute: bool
    end: Exit | None = None

    def wait(self, seconds: float) -> Exit | None:
        if self.end is None:
            lines = (self.spec.root / "cases.jsonl").read_text(encoding="utf-8").splitlines()
            self.end = self._play([json.loads(line)["id"] for line in lines])
        return self.end

    def held_bytes(self, device: int) -> int:
        return 0

    def ask(self) -> None:
        raise AssertionError("a container that predicts is not asked")

    def stop(self) -> Exit:
        return self.end or KILLED

    def remove(self) -> None:
        """Nothing is left of it."""

    def _says(self, **record: object) -> None:
        if not self.mute:
            with (self.spec.root / "out" / "events.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def _play(self, cases: Sequence[str]) -> Exit:
        self._says(event="started")
        self._says(event="progress", stage="loaded")
        for before, case in enumerate(cases):
            self._says(event="progress", stage="case", case=case)
            does, number = self.parts[case]
            if does == "floods":
                for line in range(number):
                    self._says(event="warning", case=case, text=f"{line} " + "x" * 1500)
            elif before >= number and does in ("kills", "runs out of memory"):
                return KILLED if does == "kills" else OOM
            elif before >= number and does == "is skipped":
                continue
            elif before >= number and does == "fails":
                if not self.mute:  # a program that reports nothing cannot report this
                    self._says(event="case_failed", case=case, reason="no space left on device")
                continue
            folder = self.spec.root / "out" / case
            folder.mkdir()
            size = number if does.startswith("delivers") else 10
            (folder / "0.nii.gz").write_bytes(case.encode() + bytes(size - len(case)))
            self._says(event="case_done", case=case)
        self._says(event="finished")
        return CLEAN


@dataclass
class Stage:
    """An engine that plays; it isolates nothing."""

    parts: dict[str, tuple[str, int]]
    mute: bool = False
    isolates: bool = False
    started: list[str] = field(default_factory=list)

    def start(self, spec: ContainerSpec) -> Played:
        self.started.append(spec.name)
        spec.log.touch()
        return Played(spec, self.parts, self.mute)


@dataclass
class Dealing:
    """Shards of cases, in order; after how many outcomes the harness is killed, and the rest dealt again as here."""

    shards: list[list[str]]
    killed_after: int


def _rows(parts: dict[str, tuple[str, int]], dealings: Sequence[Dealing], *, mute: bool) -> dict[str, Any]:
    """Return status, reason, warnings and masks of every case, done by one dealing after another."""
    outcomes: dict[str, CaseOutcome] = {}
    with tempfile.TemporaryDirectory() as folder:
        for attempt, dealing in enumerate(dealings):
            stop = Stop()
            left = len(outcomes) + dealing.killed_after if attempt < len(dealings) - 1 else len(parts) + 1

            def keep(report: CaseOutcome | ContainerFigures, stop: Stop = stop, left: int = left) -> None:
                if isinstance(report, CaseOutcome) and len(outcomes) < left:
                    assert report.case not in outcomes
                    outcomes[report.case] = report
                    assert not report.collected or accept(Path(folder) / "masks", report.case, report.collected)
                    if len(outcomes) >= left:
                        stop.soon.set()

            for number, names in enumerate(dealing.shards):
                todo = [name for name in names if name not in outcomes]
                if todo and not stop.soon.is_set():
                    spec = _spec(Path(folder), number, todo)
                    place = Place(cast("Engine", Stage(parts, mute)), Path(folder))
                    root = Path(folder) / "shards"
                    root.mkdir(exist_ok=True)
                    run_cases(spec, place, "0", root=root, emit=keep, mark=Mark(Path(folder), "0"), stop=stop)
        masks = Path(folder) / "masks"
        assert outcomes.keys() == parts.keys()
        return {
            name: (
                outcome.status,
                outcome.reason,
                outcome.warnings,
                _files(masks / name) if outcome.status == "ok" else {},
            )
            for name, outcome in sorted(outcomes.items())
        }


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _spec(folder: Path, number: int, names: Sequence[str]) -> ShardSpec:
    resources = Resources(out_gb=1 / 1024)
    plugin = Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(Variant("v"),), resources=resources), "here")
    finding = FindingPrompt(id="0", text="A nodule.")
    cases = tuple(
        JobCase(CasePrompt(id=name, ct="ct", shape=(1, 1, 1), spacing=(1, 1, 1), findings=[finding]), ())
        for name in names
    )
    job = Job(model="m", variant="v", seed=0, devices=["cpu"], threads=1)
    return ShardSpec("run", number, "plan", folder, plugin, Image("i"), job, "stage", 0, cases)


@st.composite
def _dealing(draw: st.DrawFn, names: Sequence[str]) -> Dealing:
    order = draw(st.permutations(names))
    cuts = sorted(draw(st.sets(st.integers(1, len(names)), max_size=3)) | {0, len(names)})
    return Dealing([list(order[a:b]) for a, b in pairwise(cuts)], draw(st.integers(1, len(names))))


@given(st.data())
@settings(max_examples=60)
def test_rows_do_not_depend_on_the_dealing(data: st.DataObject) -> None:
    """One shard in order, and any shards in any order with any kills between them, come to the same rows."""
    parts = {f"c{n}": part for n, part in enumerate(data.draw(st.lists(PARTS, min_size=2, max_size=7)))}
    mute = data.draw(st.booleans())
    names = list(parts)
    dealings = data.draw(st.lists(_dealing(names), min_size=1, max_size=3))
    expected = _rows(parts, [Dealing([names], len(names))], mute=mute)
    assert _rows(parts, dealings, mute=mute) == expected
    assert _rows(parts, [Dealing([[name] for name in names], len(names))], mute=mute) == expected


def test_the_bound_of_masks_belongs_to_a_case() -> None:
    """Masks that fit one by one fit together, on one shard as on four; what does not fit alone is refused anywhere."""
    parts = {**{f"c{n}": ("delivers", ROOM // 2) for n in range(6)}, "large": ("delivers too much", ROOM + 1)}
    rows = _rows(parts, [Dealing([list(parts)], 7)], mute=False)
    assert [sorted(files) for _, _, _, files in rows.values()] == [["0.nii.gz"]] * 6 + [["refused.json"]]


def test_what_fails_after_a_case_that_was_left_out_is_tried_alone() -> None:
    """A case that began and was never ended may have left something behind, as one that ended may."""
    parts = {"left": ("is skipped", 0), "after": ("fails", 1)}
    rows = [_rows(parts, [Dealing(shards, 2)], mute=False) for shards in ([list(parts)], [["left"], ["after"]])]
    assert rows[0] == rows[1]
    assert rows[0]["after"][0] == "ok"


def test_six_that_kill_in_a_row_do_not_fail_the_seventh() -> None:
    """Nor do those of another shard."""
    parts = {**{f"c{n}": ("kills", 0) for n in range(6)}, "good": ("delivers", 10)}
    assert _rows(parts, [Dealing([list(parts)], 7)], mute=False)["good"][0] == "ok"
