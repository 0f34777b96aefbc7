"""The written specification says what the code does: schemas, examples, bounds, and a program made from it alone."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from harness.masks import Expected, judge, open_volume, read_bits
from harness.registry.resources import Resources
from harness.runs import attempts, case_clock, checkpoint
from harness.runs.training import attempt as training
from harness.sandbox import CONTRACT_VERSION, contract, masks, safe_copy
from harness.status import Status, TrainingState

if TYPE_CHECKING:
    from conftest import Bench

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "contract.md").read_text(encoding="utf-8")
#: What is written by people, without the generated schemas.
PROSE = TEXT[: TEXT.index("## Schemas")]


def _block(kind: str) -> str:
    """Return the one code block of this kind."""
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", PROSE, flags=re.DOTALL | re.MULTILINE)
    return str(found)


def test_examples_are_records() -> None:
    """Every example is read by the harness's own models, with no field that they do not know."""
    job = json.loads(_block("json job"))
    assert contract.Job.model_validate(job, strict=True).model_dump() == job
    case = json.loads(_block("json case"))
    assert json.loads(contract.to_json_line(contract.CasePrompt.model_validate(case))) == case
    events = [contract.parse_event(line.encode()) for line in _block("jsonl events").splitlines()]
    assert [event.model_dump(exclude_none=True) if event else None for event in events] == [
        json.loads(line) for line in _block("jsonl events").splitlines()
    ]
    assert {event.event for event in events if event} == set(contract.schemas()) - {"job", "case"}


@pytest.mark.parametrize("record", [contract.Job, contract.CasePrompt, contract.FindingPrompt])
def test_every_field_of_a_question_has_its_row(record: type[contract.BaseModel]) -> None:
    """Every field that crosses the wall inwards is documented."""
    rows = re.findall(r"^\| `(\w+)` ", PROSE, flags=re.MULTILINE)
    assert [name for name in record.model_fields if name not in rows] == []


@pytest.mark.parametrize(
    "record",
    [
        contract.Started,
        contract.Progress,
        contract.CaseDone,
        contract.CaseFailed,
        contract.Train,
        contract.TrainFailed,
        contract.Finished,
    ],
)
def test_every_field_of_an_event_stands_in_its_row(record: type[contract.BaseModel]) -> None:
    """Every field that crosses the wall outwards is documented."""
    (name,) = record.model_fields["event"].annotation.__args__
    row = re.search(rf"^\| `{name}` .*$", PROSE, flags=re.MULTILINE)
    assert row is not None
    assert [name for name in record.model_fields if name != "event" and f"`{name}`" not in row[0]] == []


def test_every_status_is_described() -> None:
    """The table of statuses is the enumeration, in its order."""
    table = PROSE[PROSE.index("| Status ") :]
    assert re.findall(r"^\| `(\w+)`", table, flags=re.MULTILINE)[: len(Status)] == list(Status)


def test_every_state_of_a_training_is_described() -> None:
    """The table of training states names each of them."""
    table = PROSE[PROSE.index("| State ") :]
    rows = "".join(re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)[: len(TrainingState)])
    assert [state for state in TrainingState if f"`{state}`" not in rows] == []


def test_numbers_are_those_of_the_code() -> None:
    """Bounds that the text names are the bounds that hold."""
    assert CONTRACT_VERSION == 1
    for bound in (
        f"{contract.MAX_EVENT_BYTES:,} bytes",
        f"After {contract.MAX_EVENTS_BYTES:,} bytes",
        f"no larger than {masks.MAX_MASK_BYTES:,} bytes",
        f"has {case_clock.END_TIMEOUT_S:.0f} s to exit",
        f"exit within {training.SAVE_S:.0f} s",
        f"up to {checkpoint.MAX_FILES:,} regular files",
        f"folders up to {safe_copy.MAX_DEPTH} deep",
    ):
        assert bound in PROSE, bound
    assert (attempts.MAX_FRUITLESS, attempts.MAX_UNREACHED) == (5, 2)
    assert "five containers in a row that finished none, or two that reached none" in PROSE


def test_every_limit_is_one_that_a_plugin_declares() -> None:
    """The names in the table of limits are fields of Resources, and all of them are there."""
    declared = set(Resources.__dataclass_fields__) - {"gpus"}
    assert {name for name in declared if f"`{name}`" not in PROSE} == set()


def test_program_without_the_sdk_delivers_masks(bench: Bench) -> None:
    """A program written from the specification alone gives masks that the harness and nibabel read."""
    perl = shutil.which("perl")
    if perl is None:
        pytest.skip("perl is not installed")
    bench.ask({"a": ["0", "1"], "b": ["0"]})
    program = bench.plugin / "program.pl"
    program.write_text(_block("perl"), encoding="utf-8")
    done = bench.run([perl, str(program)])
    assert done.returncode == 0, done.stderr
    assert [e["event"] for e in bench.events()] == [
        *("started", "progress", "progress", "case_done", "progress", "case_done", "finished")
    ]
    assert sorted(p.name for p in (bench.out / "a").iterdir()) == ["0.nii.gz", "1.nii.gz"]
    volume = np.asanyarray(nib.load(bench.root / "ct" / "a.nii.gz").dataobj)
    image = bench.mask("a", "1")
    np.testing.assert_array_equal(image.dataobj, volume < -950)
    np.testing.assert_array_equal(image.affine, bench.affine)
    expected = Expected(bench.shape, tuple(tuple(row) for row in bench.affine.tolist()))
    with open_volume(bench.out / "a" / "1.nii.gz", limit=10**6, root=bench.out) as opened:
        assert judge(opened.header, expected) == []
        (bits,), problems = read_bits(opened, bench.shape, 1, [0], labelled=False)
    assert problems == []
    assert bits.count == np.count_nonzero(volume < -950)


def test_program_without_the_sdk_goes_on_after_a_bad_case(bench: Bench) -> None:
    """It reports what it cannot read as a failed case and does the next."""
    perl = shutil.which("perl")
    if perl is None:
        pytest.skip("perl is not installed")
    bench.ask({"a": ["0"], "b": ["0"]})
    nib.save(nib.Nifti1Image(np.zeros(bench.shape, np.float32), bench.affine), bench.root / "ct" / "a.nii.gz")
    (bench.plugin / "program.pl").write_text(_block("perl"), encoding="utf-8")
    assert bench.run([perl, str(bench.plugin / "program.pl")]).returncode == 0
    assert bench.failures() == {"a": "only 16-bit little-endian NIfTI-1 is read here"}
    assert bench.mask("b", "0").shape == bench.shape
