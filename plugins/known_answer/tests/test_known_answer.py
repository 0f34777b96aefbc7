"""The six known answers, from a job folder to masks, through the SDK's own loop."""

from __future__ import annotations

import importlib.util
import json
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from plugins import known_answer

ROOT = Path(known_answer.__file__).parent
SHAPE = (12, 10, 21)


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the adapter as the container does: the SDK and the plugin's folder on the path."""
    monkeypatch.syspath_prepend(str(ROOT.parents[1] / "containers" / "sdk"))
    spec = importlib.util.spec_from_file_location("known_answer_adapter", ROOT / "adapter.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _labels() -> np.ndarray:
    labels = np.zeros((3, *SHAPE), np.uint8)
    labels[0, 2:5, 3:6, 4:9] = 1
    labels[0, 7:9, 3:6, 4:9] = 2
    labels[1, 1:3, 1:3, :] = 1
    labels[2, 5:12, 5:9, 15:21] = 3
    return labels


def _save(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(array, affine), path)  # type: ignore[no-untyped-call]


def _load(path: Path) -> np.ndarray:
    image: Any = nib.load(path)
    return np.asanyarray(image.dataobj)


def _job(
    root: Path, answer: str, params: dict[str, int], *, affine: np.ndarray, labels: np.ndarray, flip: tuple[int, ...]
) -> None:
    for folder in ("ct", "truth", "out"):
        (root / folder).mkdir(parents=True)
    _save(root / "ct" / "a.nii.gz", np.zeros(labels.shape[1:], np.int16), affine)
    _save(root / "truth" / "a.nii.gz", labels, np.eye(4))
    job = {"contract": 1, "verb": "predict", "model": answer, "variant": "default", "seed": 0, "devices": ["cpu"]}
    (root / "job.json").write_text(json.dumps({**job, "threads": 1, "params": {"answer": answer, **params}}))
    case = {"id": "a", "ct": "ct/a.nii.gz", "shape": labels.shape[1:], "spacing": [1, 1, 1], "truth": "truth/a.nii.gz"}
    if flip:
        case["truth_flip"] = list(flip)
    # ids in no particular order: the channel is the finding's place in the list, whatever its name
    case["findings"] = [{"id": name, "text": "x"} for name in ("7", "0", "3", "1", "2")[: len(labels)]]
    (root / "cases.jsonl").write_text(json.dumps(case) + "\n")


def _answer(
    adapter: ModuleType,
    root: Path,
    answer: str,
    *,
    affine: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    flip: tuple[int, ...] = (),
    **params: int,
) -> dict[str, np.ndarray]:
    """Run one answer and return the masks by finding id."""
    from groundbench_sdk import main

    labels = _labels() if labels is None else labels
    _job(root, answer, params, affine=np.eye(4) if affine is None else affine, labels=labels, flip=flip)
    assert main(adapter.KnownAnswer, root) == 0
    return {p.name[:-7]: _load(p) for p in (root / "out" / "a").iterdir()}


def test_declares_six_models_that_read_truth() -> None:
    """Every known answer asks for the truth, so that the harness ranks none of them."""
    models = known_answer.bench_models()
    assert [m.name for m in models] == ["oracle", "empty", "full", "shifted", "flipped", "dropped"]
    assert all(m.reads_truth for m in models)


def test_every_declared_answer_is_implemented(adapter: ModuleType) -> None:
    """Declaration and adapter name the same answers."""
    assert [m.variants[0].params["answer"] for m in known_answer.bench_models()] == list(adapter.ANSWERS)


def test_oracle_is_the_union_of_entities_by_channel(adapter: ModuleType, tmp_path: Path) -> None:
    """The n-th finding of the case is the n-th channel of the truth, entities merged."""
    masks = _answer(adapter, tmp_path / "job", "oracle")
    labels = _labels()
    assert sorted(masks) == ["0", "3", "7"]
    for channel, finding in enumerate(("7", "0", "3")):
        np.testing.assert_array_equal(masks[finding], labels[channel] > 0)


def test_oracle_lies_on_the_ct_where_the_labels_do_not(adapter: ModuleType, tmp_path: Path) -> None:
    """Labels stored 180 degrees apart from the CT in plane are turned before they are answered."""
    masks = _answer(adapter, tmp_path / "job", "oracle", flip=(0, 1))
    np.testing.assert_array_equal(masks["3"], _labels()[2, ::-1, ::-1] > 0)


@pytest.mark.parametrize(("answer", "value"), [("empty", 0), ("full", 1)])
def test_empty_and_full_are_constant(adapter: ModuleType, tmp_path: Path, answer: str, value: int) -> None:
    """`empty` has no voxel and `full` has all, for every finding."""
    masks = _answer(adapter, tmp_path / "job", answer)
    assert len(masks) == 3
    assert all(mask.shape == SHAPE and (mask == value).all() for mask in masks.values())


@pytest.mark.parametrize(("axis", "voxels"), [(0, 3), (1, 1), (2, 20), (2, 21), (2, 400)])
def test_shifted_moves_up_and_fills_with_zero(adapter: ModuleType, tmp_path: Path, axis: int, voxels: int) -> None:
    """A voxel of the truth reappears `voxels` further along `axis`, or leaves the volume."""
    masks = _answer(adapter, tmp_path / "job", "shifted", axis=axis, voxels=voxels)
    expected = np.zeros(SHAPE, bool)
    for index in np.argwhere(_labels()[0]):
        index[axis] += voxels
        if index[axis] < SHAPE[axis]:
            expected[tuple(index)] = True
    np.testing.assert_array_equal(masks["7"], expected)


@pytest.mark.parametrize(
    ("columns", "axis"),
    [
        ([[-1, 0, 0], [0, -1, 0], [0, 0, 2]], 0),
        ([[0, 0, 3], [1, 0, 0], [0, 1, 0]], 2),
        ([[0, 1, 0], [1, 0, 0], [0, 0, 1]], 1),
    ],
)
def test_flipped_mirrors_the_left_right_axis(
    adapter: ModuleType, tmp_path: Path, columns: list[list[int]], axis: int
) -> None:
    """The mirrored array axis is the one that the CT's affine lays along the patient's left and right."""
    affine = np.eye(4)
    affine[:3, :3] = columns
    masks = _answer(adapter, tmp_path / "job", "flipped", affine=affine)
    np.testing.assert_array_equal(masks["3"], np.flip(_labels()[2] > 0, axis))


def test_dropped_leaves_the_last_finding_out(adapter: ModuleType, tmp_path: Path) -> None:
    """`dropped` is the oracle on every finding but the case's last."""
    masks = _answer(adapter, tmp_path / "job", "dropped")
    assert sorted(masks) == ["0", "7"]
    np.testing.assert_array_equal(masks["0"], _labels()[1] > 0)


@pytest.mark.parametrize("depth", [1, 7, 8, 16, 17, 33])
def test_every_depth_survives_packing(adapter: ModuleType, tmp_path: Path, depth: int) -> None:
    """Slabs and bits that do not fill up at the end lose nothing."""
    labels = np.random.default_rng(depth).integers(0, 3, (2, 3, 4, depth)).astype(np.uint8)
    masks = _answer(adapter, tmp_path / "job", "oracle", labels=labels)
    np.testing.assert_array_equal(masks["7"], labels[0] > 0)
    np.testing.assert_array_equal(masks["0"], labels[1] > 0)


def test_truth_of_another_shape_fails_the_case(adapter: ModuleType, tmp_path: Path) -> None:
    """A truth that does not fit the case is an error that names both shapes, not a wrong mask."""
    path = tmp_path / "truth.nii.gz"
    _save(path, _labels(), np.eye(4))
    with pytest.raises(ValueError, match=r"\(3, 12, 10, 21\).*\(12, 10, 20\)"):
        adapter.read_unions(path, (12, 10, 20))


def test_truth_is_never_held_unpacked(adapter: ModuleType, tmp_path: Path) -> None:
    """Reading needs about an eighth of the labels' bytes plus one slab."""
    labels = np.zeros((6, 64, 64, 256), np.uint8)
    labels[:, 10:20, 10:20, ::3] = 1
    path = tmp_path / "truth.nii.gz"
    _save(path, labels, np.eye(4))
    tracemalloc.start()
    try:
        packed = adapter.read_unions(path, labels.shape[1:])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(np.unpackbits(packed[5], axis=-1, count=256), labels[5])
    assert peak < labels.nbytes / 2
