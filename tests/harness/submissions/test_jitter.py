"""A jittered data set has other names, another order, other voxels, and the same findings at the same place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from harness.dataset import open_dataset
from harness.submissions.jitter import write_jittered


@pytest.mark.parametrize("flip", [(), (0,)])
def test_nothing_is_known_by_heart_and_nothing_is_lost(
    flip: tuple[int, ...], make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """Voxels of the truth stay, at the same place in the body; CTs differ by less than half a HU and some slices."""
    folder = make_dataset(4, shape=(32, 28, 26))
    if flip:
        (folder / "groundbench.json").write_text('{"mask_flip": [0]}')
    data = open_dataset(folder / "dataset.json", cache=None)
    (tmp_path / "new").mkdir()
    names = write_jittered(data, "test", tmp_path / "new", 5, keep=False)
    again = open_dataset(tmp_path / "new" / "dataset.json", cache=None)
    assert again.mask_flip == flip
    cases = {case.id: case for case in again.split("test")}
    assert set(names.values()) == set(cases)
    assert not set(names) & set(cases)
    assert [names[case.id] for case in data.split("test")] != [case.id for case in again.split("test")]
    cut = 0
    for case in data.split("test"):
        other = cases[names[case.id]]
        assert [(f.text, f.category) for f in case.findings] == [(f.text, f.category) for f in other.findings]
        cut += sum(case.shape) - sum(other.shape)
        before, after = (_world(one, flip) for one in (case, other))
        assert before == after
        _close(case, other)
    assert cut > 0


def _world(case: Any, flip: tuple[int, ...]) -> set[tuple[int, tuple[float, ...]]]:
    """Return (finding, place in mm) of every voxel of the truth."""
    truth = np.asanyarray(nib.load(case.truth).dataobj)
    truth = np.flip(truth, [axis + 1 for axis in flip])
    found = np.argwhere(truth > 0)
    places = nib.affines.apply_affine(case.affine, found[:, 1:])
    return {(int(f), tuple(np.round(p, 3))) for f, p in zip(found[:, 0], places, strict=True)}


def _close(case: Any, other: Any) -> None:
    ct, new = (np.asarray(nib.load(one.ct).dataobj, np.float32) for one in (case, other))
    begin = np.round(np.linalg.inv(np.array(case.affine)) @ np.array(other.affine)[:, 3])[:3].astype(int)
    part = ct[tuple(slice(b, b + n) for b, n in zip(begin, new.shape, strict=True))]
    assert 0 < np.abs(part - new).max() <= 0.5
