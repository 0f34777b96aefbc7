"""Damaged files of every kind: never a crash, a hang or more memory than is needed; always a verdict."""

from __future__ import annotations

import gzip
import json
import struct
import time
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harness.dataset import Finding
from harness.scoring.case import CaseTask, score_case
from harness.status import Status

pytestmark = pytest.mark.costly

SHAPE = (20, 9, 7)

#: Bytes: the largest header that is read, one block, its copies and the sparse grid.
MEMORY_BOUND = 24 * 1024 * 1024

#: Seconds for one tiny file on a busy machine.
TIME_BOUND = 5.0

HEADER_FIELDS = {
    "size": (0, "i"),
    "axes": (40, "h"),
    "extent": (42, "h"),
    "extent2": (48, "h"),
    "type": (70, "h"),
    "bits": (72, "h"),
    "qfac": (76, "f"),
    "spacing": (80, "f"),
    "offset": (108, "f"),
    "slope": (112, "f"),
    "intercept": (116, "f"),
    "qform": (252, "h"),
    "sform": (254, "h"),
    "quaternion": (256, "f"),
    "row": (280, "f"),
    "magic": (344, "i"),
}


def originals() -> list[bytes]:
    """Return valid masks, uncompressed, of several types and versions."""
    rng = np.random.default_rng(0)
    array = (rng.random(SHAPE) < 0.2).astype(np.uint8)
    files = []
    for dtype in ("u1", "<i2", ">f4", "<f8"):
        header = nib.Nifti1Header(endianness=dtype[0] if dtype[0] in "<>" else "<")
        image = nib.Nifti1Image(array.astype(dtype), np.eye(4), header)
        image.set_data_dtype(np.dtype(dtype))
        files.append(image.to_bytes())
    files.append(nib.Nifti2Image(array, np.eye(4)).to_bytes())
    return files


def damage_header(rng: np.random.Generator, raw: bytearray) -> None:
    """Put any value, or a telling one, into a field."""
    at, form = list(HEADER_FIELDS.values())[rng.integers(0, len(HEADER_FIELDS))]
    if rng.random() < 0.5:
        raw[at : at + struct.calcsize(form)] = rng.bytes(struct.calcsize(form))
        return
    choices = [0.0, -1.0, np.nan, np.inf, 1e30, 352.0] if form == "f" else [0, 1, -1, 7, 8, 32767, -32768, 1024]
    struct.pack_into(f"<{form}", raw, at, choices[rng.integers(0, len(choices))])


def damage_bytes(rng: np.random.Generator, raw: bytearray) -> None:
    """Cut, lengthen, replace or overwrite."""
    at = int(rng.integers(0, len(raw)))
    kind = rng.integers(0, 4)
    if kind == 0:
        del raw[at:]
    elif kind == 1:
        raw += rng.bytes(int(rng.integers(1, 5000)))
    elif kind == 2:
        raw[at : at + int(rng.integers(0, 50))] = rng.bytes(int(rng.integers(0, 50)))
    else:
        for _ in range(rng.integers(1, 20)):
            raw[rng.integers(0, len(raw))] = rng.integers(0, 256)


def mutate(rng: np.random.Generator, plain: bytes) -> bytes:
    """Damage a file in one of the ways that files are damaged, or forged."""
    raw = bytearray(plain)
    kind = rng.integers(0, 4)
    if kind == 0:
        damage_header(rng, raw)
    elif kind == 1:
        damage_bytes(rng, raw)
    packed = bytearray(gzip.compress(bytes(raw), 1, mtime=0) if kind > 1 or rng.random() < 0.7 else raw)
    if kind > 1:
        damage_bytes(rng, packed)
    return bytes(packed)


def attack(tmp_path: Path, mutations: int, seed: int) -> dict[str, int]:
    """Score damaged files and check each answer; returns how often each problem was named."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((1, *SHAPE), np.uint8)
    truth[0, 2:9, 2:6, 1:4] = 1
    nib.save(nib.Nifti1Image(truth, np.eye(4)), tmp_path / "truth.nii.gz")
    path = tmp_path / "prediction"
    task = CaseTask(
        case="case",
        truth=tmp_path / "truth.nii.gz",
        shape=SHAPE,
        spacing=(1.0, 1.0, 1.0),
        affine=tuple(map(tuple, np.diag([-0.7, -0.7, 1.5, 1.0]).tolist())),
        findings=(Finding(0, "0", "", "1c"),),
        masks={"0": path},
    )
    files = originals()
    seen: dict[str, int] = {}
    tracemalloc.start()
    try:
        for number in range(mutations):
            path.write_bytes(mutate(rng, files[number % len(files)]))
            tracemalloc.reset_peak()
            begin = time.monotonic()
            (score,) = score_case(task).findings
            assert time.monotonic() - begin < TIME_BOUND
            assert tracemalloc.get_traced_memory()[1] < MEMORY_BOUND
            assert score.status in (Status.OK, Status.INVALID_OUTPUT)
            assert (score.status is Status.OK) == (score.verdict.level != "refused")
            assert bool(score.reason) == (score.status is not Status.OK)
            assert 0 <= score.dice <= 1
            json.dumps(score.verdict.to_json())
            for problem in score.verdict.problems:
                seen[problem.code] = seen.get(problem.code, 0) + 1
    finally:
        tracemalloc.stop()
    return seen


def test_some_damaged_files(tmp_path: Path) -> None:
    """A few hundred damaged files, always: a verdict for each."""
    seen = attack(tmp_path, 400, seed=1)
    assert {"shape", "truncated", "corrupt"} <= seen.keys()


@pytest.mark.slow
def test_many_damaged_files(tmp_path: Path) -> None:
    """Six thousand damaged files: a verdict for each, and every kind of refusal is met."""
    seen = attack(tmp_path, 6000, seed=2)
    assert {
        *("shape", "affine", "truncated", "corrupt", "longer_than_declared", "not_nifti", "header"),
        *("dtype", "not_finite", "not_binary", "negative", "labels"),
    } <= seen.keys()
