"""Tiny data sets in the ReXGroundingCT layout, written by the tests themselves."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

SHAPE = (16, 14, 10)
LPS = np.diag([-0.7, -0.7, 1.25, 1.0])


@dataclass
class Maker:
    """Collects cases and writes them; tests change `entries` before, or files after."""

    root: Path
    document: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def save(path: Path, array: npt.NDArray[Any], affine: npt.NDArray[Any] = LPS) -> None:
        """Write a volume, the folder included."""
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, affine), path)

    def case(
        self,
        split: str,
        name: str,
        labels: list[npt.NDArray[np.uint8]] | None = None,
        *,
        ct: npt.NDArray[np.int16] | None = None,
        category: str = "2d",
        folders: tuple[str, str] = ("ct", "seg"),
    ) -> dict[str, Any]:
        """Add a case, its CT and its mask; by default one finding of two entities in a 16x14x10 scan."""
        volume = ct if ct is not None else self.scan()
        masks = labels if labels is not None else [self.boxes(volume.shape)]
        self.save(self.root / folders[0] / f"{name}.nii.gz", volume)
        self.save(self.root / folders[1] / f"{name}.nii.gz", np.stack(masks), np.eye(4))
        keys = [str(i) for i in range(len(masks))]
        entry = {
            "name": f"{name}.nii.gz",
            "findings": {key: f"Nodule number {key} in the left lung" for key in keys},
            "entity_counts": {key: len(np.unique(mask)) - 1 for key, mask in zip(keys, masks, strict=True)},
            "shape": list(volume.shape),
            "pixels": {key: int((mask > 0).sum()) for key, mask in zip(keys, masks, strict=True)},
            "categories": dict.fromkeys(keys, category),
            "protocol": "protocol1",
        }
        self.document.setdefault(split, []).append(entry)
        return entry

    @staticmethod
    def scan(shape: tuple[int, ...] = SHAPE) -> npt.NDArray[np.int16]:
        """Return soft tissue with a pocket of air."""
        volume = np.zeros(shape, np.int16)
        volume[2:-2, 2:-2, :] = -850
        return volume

    @staticmethod
    def boxes(shape: tuple[int, ...] = SHAPE) -> npt.NDArray[np.uint8]:
        """Return two entities: one of 8 voxels, one of 1."""
        labels = np.zeros(shape, np.uint8)
        labels[3:5, 3:5, 3:5] = 1
        labels[8, 8, 8] = 2
        return labels

    @staticmethod
    def thorax(shape: tuple[int, int, int] = (64, 56, 24)) -> npt.NDArray[np.int16]:
        """Return a crude chest, front at low second index: a body, and two lungs nearer its back than its front."""
        x, y, _ = np.indices(shape)
        volume = np.full(shape, -1000, np.int16)
        volume[((x - 32) / 29) ** 2 + ((y - 28) / 24) ** 2 < 1] = 40
        for centre in (20, 45):
            volume[((x - centre) / 8) ** 2 + ((y - 34) / 12) ** 2 < 1] = -850
        return volume

    @staticmethod
    def deep_nodules(shape: tuple[int, int, int] = (64, 56, 24)) -> list[npt.NDArray[np.uint8]]:
        """Return six findings at the back of the lungs of :func:`thorax`, where no front-back flip finds lung."""
        findings = []
        for i in range(6):
            labels = np.zeros(shape, np.uint8)
            centre = 20 if i % 2 else 45
            labels[centre - 2 : centre + 2, 41:44, 3 * i + 2 : 3 * i + 5] = 1
            findings.append(labels)
        return findings

    def write(self, name: str = "dataset.json") -> Path:
        """Write the index and return the folder."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(json.dumps(self.document))
        return self.root


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "set")


@pytest.fixture
def sound(maker: Maker) -> Maker:
    """Three splits without a fault."""
    maker.case("train", "train_1_a_1")
    maker.case("val", "train_2_a_1", [Maker.boxes(), Maker.boxes()])
    maker.case("test", "train_3_b_2")
    maker.write()
    return maker


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Find the optional real data: ``GROUNDBENCH_REAL_DATA``, or the folder beside the checkout."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("GROUNDBENCH_REAL_DATA", beside))
    if not (folder / "realct" / "dataset.json").is_file():
        pytest.skip(f"no real data at {folder}; set GROUNDBENCH_REAL_DATA")
    return folder
