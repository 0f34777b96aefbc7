"""The loop of a container: what it writes, in which order, and what happens when the adapter fails."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = pytest.mark.costly


def _adapter(predict: str, more: str = "pass") -> str:
    return "\n".join(
        [
            "import numpy as np",
            "from groundbench_sdk import Adapter",
            "class Mine(Adapter):",
            textwrap.indent(more, " " * 4),
            "    def predict(self, case):",
            textwrap.indent(predict, " " * 8),
        ]
    )


GOOD = _adapter(
    """
for finding in case.findings:
    mask = np.zeros(case.shape, bool)
    mask[1, 2, 3] = True
    yield finding.id, mask
"""
)


def test_a_forgotten_yield_is_named(bench: Bench) -> None:
    """Nothing was returned: the reason says what a prediction is."""
    bench.ask({"a": ["0"]})
    bench.run_adapter(_adapter("case.volume()"))
    assert "`yield finding.id, mask`" in (bench.out / "events.jsonl").read_text(encoding="utf-8")


def test_good_adapter_delivers_masks_on_the_grid_of_the_ct(bench: Bench) -> None:
    """Every finding gets one uint8 mask with the CT's shape and affine, and nothing else is left behind."""
    bench.ask({"a": ["0", "1"], "b": ["0"]})
    done = bench.run_adapter(GOOD)
    assert done.returncode == 0, done.stderr
    written = sorted(str(p.relative_to(bench.out)) for p in bench.out.rglob("*") if p.is_file())
    assert written == ["a/0.nii.gz", "a/1.nii.gz", "b/0.nii.gz", "events.jsonl"]
    image = bench.mask("a", "1")
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(image.affine, bench.affine)
    expected = np.zeros(bench.shape, np.uint8)
    expected[1, 2, 3] = 1
    np.testing.assert_array_equal(image.dataobj, expected)


def test_events_tell_the_story_in_order(bench: Bench) -> None:
    """Started, loaded, then each case begun and done with its figures, then finished."""
    bench.ask({"a": ["0"], "b": ["0"]})
    bench.run_adapter(GOOD)
    events = bench.events()
    assert [(e["event"], e.get("stage"), e.get("case")) for e in events] == [
        ("started", None, None),
        ("progress", "loaded", None),
        ("progress", "case", "a"),
        ("case_done", None, "a"),
        ("progress", "case", "b"),
        ("case_done", None, "b"),
        ("finished", None, None),
    ]
    assert 0 <= events[3]["seconds"] < 30
    assert 2**20 < events[3]["host_bytes"] < 2**34


def test_same_job_gives_the_same_bytes(bench: Bench) -> None:
    """Masks are written without a time stamp, so that a hash of the file is a hash of the answer."""
    bench.ask({"a": ["0"]})
    bench.run_adapter(GOOD)
    first = (bench.out / "a" / "0.nii.gz").read_bytes()
    time.sleep(1.1)
    bench.run_adapter(GOOD)
    assert (bench.out / "a" / "0.nii.gz").read_bytes() == first


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('no lungs found')", "RuntimeError: no lungs found"),
        ("yield '0', np.zeros((5, 7, 6))", "finding 0: the mask's shape is (5, 7, 6), the CT's is (5, 6, 7)"),
        ("yield '0', np.zeros((1, 5, 6, 7))", "finding 0: the mask's shape is (1, 5, 6, 7), the CT's is (5, 6, 7)"),
        ("yield '0', np.full(case.shape, 0.5)", "finding 0: the mask has values other than 0 and 1"),
        ("yield '0', np.full(case.shape, np.nan)", "finding 0: the mask has values other than 0 and 1"),
        ("yield '0', np.full(case.shape, 2, np.uint8)", "finding 0: the mask has values other than 0 and 1"),
        ("yield '0', np.full(case.shape, -1, np.int8)", "finding 0: the mask has values other than 0 and 1"),
        ("yield '0', np.full(case.shape, 255, np.int32)", "finding 0: the mask has values other than 0 and 1"),
        ("yield '9', np.zeros(case.shape)", "the adapter yielded '9', which is not a finding of case bad"),
        ("yield '../../b', np.zeros(case.shape)", "the adapter yielded '../../b', which is not a finding of case bad"),
        ("raise ValueError('\\udcff' + 'x' * 10000)", "ValueError: ?xxx"),
        ("np.zeros(2**48)", "MemoryError: "),
        ("pass", "predict(case) returned nothing: `yield finding.id, mask` for each finding"),
    ],
)
def test_failing_case_is_reported_and_the_next_goes_on(bench: Bench, body: str, reason: str) -> None:
    """Whatever the adapter raises, or yields against the contract, costs this case only."""
    bench.ask({"bad": ["0"], "good": ["0"]})
    done = bench.run_adapter(_adapter(f"def bad():\n    {body}\n\nreturn bad() if case.id == 'bad' else ()"))
    assert done.returncode == 0, done.stderr
    assert list(bench.failures()) == ["bad"]
    assert reason in bench.failures()["bad"]
    assert "Traceback" in done.stderr
    assert [e["event"] for e in bench.events()][-2:] == ["case_done", "finished"]
    assert not (bench.out / "b").exists()


@pytest.mark.parametrize(
    ("verb", "said"), [("predict", "predict(case)"), ("finetune", "finetune(train, val, training)")]
)
def test_method_that_was_forgotten_is_named(bench: Bench, verb: str, said: str) -> None:
    """An adapter without the method that a job needs says which, by the name of its class."""
    bench.ask({"a": ["0"]})
    job = bench.root / "job.json"
    job.write_text(job.read_text(encoding="utf-8").replace('"verb":"predict"', f'"verb":"{verb}"'), encoding="utf-8")
    cases = bench.root / "cases.jsonl"
    case = json.loads(cases.read_text(encoding="utf-8")) | {"split": "train", "seg": "seg/a.nii.gz"}
    cases.write_text(json.dumps(case) + "\n", encoding="utf-8")
    done = bench.run_adapter("from groundbench_sdk import Adapter\n\nclass Mine(Adapter):\n    pass\n")
    assert f"Mine has no method {said}" in done.stderr
    assert any(f"Mine has no method {said}" in str(event.get("reason")) for event in bench.events())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nothing_of_the_kind", "ModuleNotFoundError"),
        ("Other = None", "AttributeError"),
        (_adapter("pass", "def load(self, job): 1 / 0"), "ZeroDivisionError"),
        (_adapter("pass", "def __init__(self): 1 / 0"), "ZeroDivisionError"),
    ],
)
def test_adapter_that_cannot_load_ends_the_container(bench: Bench, source: str, said: str) -> None:
    """A failed import or load is exit code 1 with the traceback on stderr; no case is begun."""
    bench.ask({"a": ["0"]})
    done = bench.run_adapter(source)
    assert done.returncode == 1
    assert said in done.stderr
    assert [e["event"] for e in bench.events()] == ["started"]


@pytest.mark.parametrize("arguments", [[], ["adapter"], ["adapter:Mine", "more"]])
def test_wrong_command_line_is_a_usage_error(bench: Bench, arguments: list[str]) -> None:
    """The entry point takes exactly ``module:AdapterClass``."""
    done = bench.run([sys.executable, "-m", "groundbench_sdk", *arguments])
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ('"contract":1', '"contract":2', "version 1, the job is version 2: rebuild the image"),
        ('"verb":"predict"', '"verb":"ponder"', "'predict' and 'finetune', not 'ponder'"),
    ],
)
def test_job_that_it_cannot_do_is_refused(bench: Bench, field: str, value: str, said: str) -> None:
    """An image does not guess at a later version, nor at a verb that it lacks."""
    bench.ask({"a": ["0"]})
    job = bench.root / "job.json"
    job.write_text(job.read_text(encoding="utf-8").replace(field, value), encoding="utf-8")
    done = bench.run_adapter(GOOD)
    assert done.returncode == 1
    assert said in done.stderr


def test_unknown_fields_are_ignored(bench: Bench) -> None:
    """A later harness may add fields within version 1."""
    bench.ask({"a": ["0"]})
    for name in ("job.json", "cases.jsonl"):
        text = (bench.root / name).read_text(encoding="utf-8")
        (bench.root / name).write_text(text.replace("{", '{"later": [1], ', 1), encoding="utf-8")
    assert bench.run_adapter(GOOD).returncode == 0


def test_adapter_draws_the_same_numbers_for_the_same_seed(bench: Bench) -> None:
    """The state that models draw from is seeded after their module is imported and before they are made."""
    bench.ask({"a": ["0"]})
    source = _adapter("yield '0', self.drawn", "def __init__(self): self.drawn = np.random.rand(5, 6, 7) < 0.5")
    assert bench.run_adapter("import numpy; numpy.random.seed(1)\n" + source).returncode == 0
    expected = np.random.RandomState(7).rand(*bench.shape) < 0.5
    np.testing.assert_array_equal(bench.mask("a", "0").dataobj, expected)


def test_kill_while_masks_are_written_leaves_whole_masks_only(bench: Bench) -> None:
    """At whatever moment the process dies, a file under a mask's name is a complete mask."""
    bench.ask({"a": ["0", "1", "2"]})
    forever = """
rng = np.random.default_rng(0)
while True:
    for finding in case.findings:
        yield finding.id, rng.random(case.shape) < 0.5
"""
    (bench.plugin / "adapter.py").write_text(_adapter(forever), encoding="utf-8")
    last = bench.out / "a" / "2.nii.gz"
    for pause in (0.0, 0.003, 0.011, 0.02):
        process = subprocess.Popen([sys.executable, "-m", "groundbench_sdk", "adapter:Mine"], env=bench.environment)
        deadline = time.monotonic() + 30
        while not last.exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        delivered = [p for p in (bench.out / "a").iterdir() if not p.name.startswith(".partial-")]
        assert len(delivered) == 3
        for path in delivered:
            assert nib.load(path).get_fdata().shape == bench.shape
            path.unlink()


def test_mask_replaces_a_read_only_one(bench: Bench) -> None:
    """A mask is renamed into place: what an earlier attempt left there is neither opened nor mixed in."""
    bench.ask({"a": ["0"]})
    (bench.out / "a").mkdir()
    left = bench.out / "a" / "0.nii.gz"
    left.write_bytes(b"left from an earlier attempt")
    left.chmod(0o444)
    bench.run_adapter(GOOD)
    assert bench.mask("a", "0").shape == bench.shape


def test_output_that_cannot_be_written_ends_the_container(bench: Bench) -> None:
    """Without a place for events there is nothing to say: exit code 1 and a plain reason on stderr."""
    bench.ask({"a": ["0"]})
    bench.out.rmdir()
    done = bench.run_adapter(GOOD)
    assert done.returncode == 1
    assert "events.jsonl" in done.stderr


def _case(folder: Path, image: nib.Nifti1Image) -> Any:
    from groundbench_sdk import Case

    nib.save(image, folder / "ct.nii.gz")
    return Case(folder, {"id": "a", "ct": "ct.nii.gz", "shape": image.shape, "spacing": [1, 1, 1], "findings": []})


def test_volume_of_floats_is_rounded_and_clipped(tmp_path: Path) -> None:
    """Hounsfield units come as 16-bit integers: nearest value, never wrapped around."""
    values = np.array([-1024.0, -0.4, 0.6, 3071.0, 70000.0], np.float32).reshape(5, 1, 1)
    case = _case(tmp_path, nib.Nifti1Image(values, np.eye(4)))
    volume = case.volume()
    assert volume.dtype == np.int16
    assert volume.ravel().tolist() == [-1024, 0, 1, 3071, 32767]
    np.testing.assert_array_equal(case.volume(np.float32), values)


def test_volume_applies_the_scaling_of_the_file(tmp_path: Path) -> None:
    """Stored numbers are not Hounsfield units where the header holds a slope and an intercept."""
    image = nib.Nifti1Image(np.array([0, 1024, 4095], np.int16).reshape(3, 1, 1), np.eye(4))
    image.header.set_slope_inter(1, -1024)
    image.header["scl_slope"], image.header["scl_inter"] = 1, -1024
    path = tmp_path / "raw.nii"
    header = image.header.copy()
    with path.open("wb") as file:  # nibabel.save would fold the scaling into the numbers
        header["vox_offset"], header["magic"] = 352, b"n+1"
        file.write(header.binaryblock + b"\0" * 4 + np.asarray(image.dataobj).tobytes("F"))
    from groundbench_sdk import Case

    case = Case(tmp_path, {"id": "a", "ct": "raw.nii", "shape": [3, 1, 1], "spacing": [1, 1, 1], "findings": []})
    assert case.volume().ravel().tolist() == [-1024, 0, 3071]


def test_volume_keeps_axes_and_is_contiguous(tmp_path: Path) -> None:
    """Index (i, j, k) of the array is voxel (i, j, k) of the file."""
    values = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    volume = _case(tmp_path, nib.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0]))).volume()
    np.testing.assert_array_equal(volume, values)
    assert volume.flags.c_contiguous
