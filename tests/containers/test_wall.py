"""Both sides of the wall read what the other writes: harness records in the SDK, SDK events in the harness."""

from __future__ import annotations

import ast
import json
import string
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.sandbox import CONTRACT_VERSION
from harness.sandbox.contract import CasePrompt, FindingPrompt, Job, parse_event, to_json_line

if TYPE_CHECKING:
    from conftest import Bench

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
NAME = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20)
ID = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
VALUE = st.none() | st.booleans() | st.integers() | NUMBER | TEXT
BOX = st.lists(st.integers(0, 600), min_size=6, max_size=6)

JOBS = st.builds(
    Job,
    verb=st.sampled_from(["predict", "finetune"]),
    model=NAME,
    variant=NAME,
    seed=st.integers(0, 2**63),
    devices=st.lists(NAME, max_size=3),
    threads=st.integers(1, 64),
    params=st.dictionaries(TEXT, VALUE, max_size=4),
    weights=st.sampled_from(["none", "pinned", "random", "given"]),
)
FINDINGS = st.builds(
    FindingPrompt, id=ID, text=TEXT, category=st.none() | NAME, boxes=st.none() | st.lists(BOX, max_size=3)
)
CASES = st.builds(
    CasePrompt,
    id=ID,
    ct=NAME,
    shape=st.tuples(*[st.integers(1, 2000)] * 3),
    spacing=st.tuples(*[st.floats(0.01, 20)] * 3),
    findings=st.lists(FINDINGS, max_size=4),
    truth=st.none() | NAME,
    truth_flip=st.none() | st.lists(st.integers(0, 2), max_size=2),
)


@given(job=JOBS)
def test_sdk_reads_every_job_the_harness_writes(job: Job) -> None:
    """No field is lost or changed on the way in."""
    from groundbench_sdk import Job as Read

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "job.json").write_text(json.dumps(job.model_dump(), ensure_ascii=False), encoding="utf-8")
        read = Read.read(root)
    assert read.weights == root / "weights"
    assert read.weights_mode == job.weights
    for name in ("verb", "model", "variant", "seed", "devices", "threads", "params"):
        assert getattr(read, name) == getattr(job, name)


@given(cases=st.lists(CASES, max_size=4))
def test_sdk_reads_every_case_the_harness_writes(cases: list[CasePrompt]) -> None:
    """One case a line, whatever a text holds: line separators, quotes, any script."""
    from groundbench_sdk.records import read_cases

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "cases.jsonl").write_text("".join(map(to_json_line, cases)), encoding="utf-8")
        read = list(read_cases(root))
    assert len(read) == len(cases)
    for got, sent in zip(read, cases, strict=True):
        assert (got.id, got.path, got.shape) == (sent.id, root / sent.ct, sent.shape)
        assert got.spacing == sent.spacing
        assert [f._asdict() for f in got.findings] == [f.model_dump() for f in sent.findings]
        assert got.truth == (None if sent.truth is None else root / sent.truth)
        assert got.truth_flip == tuple(sent.truth_flip or ())


@settings(max_examples=50)
@given(
    case=NAME,
    reason=TEXT,
    seconds=st.none() | st.floats(0, 1e9),
    memory=st.none() | st.integers(0, 2**63 - 1),
)
def test_harness_reads_every_event_the_sdk_writes(
    case: str, reason: str, seconds: float | None, memory: int | None
) -> None:
    """No event is lost and no figure changed on the way out."""
    from groundbench_sdk.events import Events

    with tempfile.TemporaryDirectory() as folder:
        events = Events(Path(folder))
        events.emit("started", sdk="x")
        events.emit("progress", stage="loaded", seconds=seconds)
        events.emit("progress", stage="case", case=case)
        phases = dict.fromkeys(("read_s", "compute_s", "write_s", "wait_s"), seconds)
        events.emit("case_done", case=case, seconds=seconds, host_bytes=memory, device_bytes=memory, **phases)
        events.emit("case_failed", case=case, reason=reason)
        events.emit("finished")
        events.close()
        lines = (Path(folder) / "events.jsonl").read_bytes().splitlines()
    read = [parse_event(line) for line in lines]
    assert [event.event for event in read if event] == [
        *("started", "progress", "progress", "case_done", "case_failed", "finished")
    ]
    assert read[3] is not None
    assert read[3].model_dump() == {
        "event": "case_done",
        "case": case,
        "seconds": seconds,
        "host_bytes": memory,
        "device_bytes": memory,
        **phases,
    }


def test_both_sides_name_the_same_version() -> None:
    """The SDK refuses jobs of another version, so the two numbers move together."""
    from groundbench_sdk.records import CONTRACT_VERSION as INSIDE

    assert INSIDE == CONTRACT_VERSION


def test_sdk_is_python_3_8_without_other_packages(bench: Bench) -> None:
    """Old images can carry it: the syntax of 3.8, and imports of the standard library, numpy and nibabel only.

    Code for torch models imports torch, pillow and the SDK's torch modules where they are used, or is in one of those
    modules itself.
    """
    allowed = {*sys.stdlib_module_names, "numpy", "nibabel", "groundbench_sdk"}
    for path in sorted((bench.sdk / "groundbench_sdk").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
        for_torch = path.name.startswith("torch_")
        at_once = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            more = {"torch", "PIL"} if for_torch or id(node) not in at_once else set()
            assert {name.partition(".")[0] for name in names} <= allowed | more, path
            assert for_torch or id(node) not in at_once or not [name for name in names if ".torch_" in name], path
