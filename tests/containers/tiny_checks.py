"""Checks of ``tiny`` where torch is: inside its image. Each ``check_…`` fails by an exception."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import adapter
import nibabel as nib
import numpy as np
import torch
from groundbench_sdk import Case, Job, TrainingCase
from nibabel import orientations
from samples import Samples

PARAMS: dict[str, Any] = {
    "width": 8, "words": 8, "dropout": 0.0, "grid_mm": 3.5, "margin_mm": 12.0, "threshold": 0.5, "crop": 32,
    "centred": 0.7, "cross_entropy": 0.2, "place": 0.3, "place_jitter": 0.04, "cache_mb": 64,
}  # fmt: skip

GRIDS = (
    ((24, 20, 18), (3.5, 3.5, 4.5)),
    ((41, 37, 29), (1.7, 1.7, 2.4)),
    ((31, 30, 1), (3.0, 3.0, 5.0)),
    ((9, 8, 1000), (3.5, 3.5, 1.0)),
    ((3, 2, 2), (3.5, 3.5, 3.5)),
)


def _affine(codes: str, spacing: tuple[float, ...], tilt: float) -> np.ndarray:
    turned = orientations.inv_ornt_aff(orientations.axcodes2ornt(codes), (1, 1, 1))[:3, :3]
    rotation = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.linalg.inv(turned) @ np.diag(spacing)
    return affine


def _tiny() -> adapter.Tiny:
    tiny = adapter.Tiny()
    tiny.load(Job("predict", "tiny", "v", 0, ["cpu"], 1, PARAMS, Path("none")))
    return tiny


def _case(folder: Path, volume: np.ndarray, affine: np.ndarray, texts: list[str], labels: np.ndarray | None) -> Any:
    nib.save(nib.Nifti1Image(volume, affine), folder / "ct.nii.gz")
    raw = {
        "id": "a",
        "ct": "ct.nii.gz",
        "shape": list(volume.shape),
        "spacing": np.sqrt((affine[:3, :3] ** 2).sum(0)).tolist(),
        "findings": [{"id": str(n), "text": text} for n, text in enumerate(texts)],
    }
    if labels is None:
        return Case(folder, raw)
    nib.save(nib.Nifti1Image(labels, np.eye(4)), folder / "seg.nii.gz")
    return TrainingCase(folder, {**raw, "split": "train", "seg": "seg.nii.gz"})


def check_mask_lies_on_the_ct(folder: Path) -> None:
    """With a net that says "bone", an asymmetric blob comes back where it is, whatever the grid and its axes."""
    tiny = _tiny()
    adapter.probability = lambda _net, ct, _coordinates, _asked: (ct > 200).float()[None]
    for shape, spacing in GRIDS:
        for codes, tilt in (("RAS", 0.0), ("LPS", 0.0), ("PIR", 0.0), ("LPI", 0.3)):
            volume = np.full(shape, -800, np.int16)
            blob = tuple(slice(n // 8, max(n // 8 + 1, n // 2)) for n in shape)
            volume[blob] = 1500
            case = _case(folder, volume, _affine(codes, spacing, tilt), ["bone"], None)
            ((name, mask),) = tiny.predict(case)
            truth = volume > 0
            dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
            assert name == "0"
            assert mask.shape == shape
            assert dice > 0.75, (shape, codes, dice)
            if tuple(spacing[:2]) == (3.5, 3.5) and spacing[2] > 3:
                np.testing.assert_array_equal(mask, truth)


def check_untrained_finds_nothing(folder: Path) -> None:
    """Before any training every mask is empty: on small volumes, one slice, and with an empty or an endless text."""
    tiny = _tiny()
    for shape, spacing in GRIDS:
        volume = np.random.default_rng(0).normal(-700, 200, shape).astype(np.int16)
        long = " ".join(["nodule"] * 200)
        case = _case(folder, volume, np.diag([*spacing, 1.0]), ["", long], None)
        masks = dict(tiny.predict(case))
        assert list(masks) == ["0", "1"]
        assert not any(mask.any() for mask in masks.values())
        assert len(case.warnings) == 1, case.warnings
        assert "finding 1: the text is longer than the 64 tokens" in case.warnings[0]


def check_odd_cases_can_be_learnt_from(folder: Path) -> None:
    """A volume smaller than a crop, 300 entities, an empty mask, an empty text: each gives a finite loss."""
    shape = (20, 18, 16)
    labels = np.zeros((4, *shape), np.uint16)
    labels[0].flat[np.arange(0, 3000, 10)] = np.arange(1, 301)
    labels[1, 2:5, 2:5, 2:5] = 1
    labels[3, 0, 0, 0] = 1
    volume = np.random.default_rng(0).normal(-700, 200, shape).astype(np.int16)
    case = _case(folder, volume, np.diag([3.5, 3.5, 4.5, 1.0]), ["many nodules", "one", "none", ""], labels)
    assert case.labels().max() == 300
    training = Samples([case], PARAMS, folder / "cases", "cpu")
    assert training.arrays(case)["masks"].reshape(4, -1).sum(1).tolist() == [300, 27, 0, 1]
    net = _tiny().net.train()
    for index in range(4):
        samples = [training.sample(index, np.random.default_rng(seed)) for seed in range(3)]
        assert {sample["ct"].shape for sample in samples} == {(32, 32, 32)}
        parts = training.loss(net, samples)
        total = torch.stack(list(parts.values())).sum()
        total.backward()
        assert math.isfinite(float(total.detach())), json.dumps({k: float(v.detach()) for k, v in parts.items()})
    dices = training.dices(net.eval(), [0])
    assert dices == [0.0, 0.0, 1.0, 0.0]


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        globals()[sys.argv[1]](Path(temporary))
