"""Run an adapter on a small CT, through the files of the contract, without a container: for a plugin's own tests.

::

    from adapter import MyModel
    from groundbench_sdk.testing import predict, thorax

    def test_it_finds_the_nodule():
        ct = thorax()
        (mask,) = predict(MyModel, ct.volume, ["A nodule in the right lung"], spacing=ct.spacing)
        assert (mask & ct.nodule).any()
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

import nibabel as nib
import numpy as np

from groundbench_sdk.adapter import Adapter
from groundbench_sdk.records import CONTRACT_VERSION
from groundbench_sdk.runtime import main


class Thorax(NamedTuple):
    """A drawn CT: a body with two lungs, and a nodule in the right one."""

    volume: np.ndarray  #: (H, W, D), int16, Hounsfield units; first axis to the left, second to the back, third up
    nodule: np.ndarray  #: (H, W, D), boolean
    spacing: tuple[float, float, float]  #: millimetres

    @property
    def box(self) -> list[int]:
        """The tight box of the nodule, ``[x0, y0, z0, x1, y1, z1]``, ends excluded."""
        where = np.argwhere(self.nodule)
        return [*map(int, where.min(axis=0)), *map(int, where.max(axis=0) + 1)]


def thorax(shape: tuple[int, int, int] = (64, 48, 32), spacing: tuple[float, float, float] = (5.0, 5.0, 8.0)) -> Thorax:
    """Draw a CT; the same arguments give the same voxels.

    Parameters
    ----------
    shape
        Voxels along the three axes.
    spacing
        Millimetres along them.
    """
    x, y, z = (
        (np.arange(n) - (n - 1) / 2).reshape(tuple(n if axis == own else 1 for axis in range(3))) / (n / 2)
        for own, n in enumerate(shape)
    )
    volume = np.full(shape, -1000, dtype=np.int16)
    volume[np.broadcast_to((x / 0.9) ** 2 + (y / 0.8) ** 2 < 1, shape)] = 40
    for side in (-0.42, 0.42):
        volume[((x - side) / 0.3) ** 2 + (y / 0.55) ** 2 + (z / 0.85) ** 2 < 1] = -850
    # Patients' right is where the first axis begins, as in a CT with the usual affine.
    nodule = ((x + 0.42) / 0.12) ** 2 + (y / 0.15) ** 2 + (z / 0.25) ** 2 < 1
    volume[nodule] = 30
    volume += np.random.default_rng(0).integers(-10, 11, shape, dtype=np.int16)
    return Thorax(volume, nodule, spacing)


def predict(
    adapter: type[Adapter],
    volume: np.ndarray,
    texts: Sequence[str],
    *,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    affine: np.ndarray | None = None,
    boxes: Sequence[Sequence[Sequence[int]]] | None = None,
    params: Mapping[str, Any] | None = None,
    variant: str = "zero-shot",
) -> list[np.ndarray]:
    """Return the mask that an adapter delivers for each text, in order.

    Parameters
    ----------
    adapter
        Its class.
    volume
        (H, W, D), Hounsfield units.
    texts
        The findings.
    spacing
        Millimetres along the axes; of the affine that is written where none is given.
    affine
        Voxel-to-world matrix, (4, 4).
    boxes
        For each finding a list of boxes ``[x0, y0, z0, x1, y1, z1]``; None for a variant that is prompted with text.
    params
        The variant's parameters.
    variant
        Its name.

    Raises
    ------
    AssertionError
        When the case fails or a mask is lacking, with the reason.
    """
    if affine is None:
        affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "ct").mkdir()
        (root / "out").mkdir()
        image = nib.Nifti1Image(np.asarray(volume), affine)  # type: ignore[no-untyped-call]
        nib.save(image, str(root / "ct" / "case.nii.gz"))
        findings: list[dict[str, Any]] = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
        for finding, its in zip(findings, boxes or ()):
            finding["boxes"] = [list(map(int, box)) for box in its]
        sizes = [float(size) for size in np.sqrt((affine[:3, :3] ** 2).sum(axis=0))]
        case = {"id": "case", "ct": "ct/case.nii.gz", "shape": list(volume.shape), "spacing": sizes}
        job = {
            "contract": CONTRACT_VERSION,
            "verb": "predict",
            "model": "under-test",
            "variant": variant,
            "seed": 0,
            "devices": ["cpu"],
            "threads": 1,
            "params": dict(params or {}),
            "weights": "none",
            "checkpoint": False,
        }
        (root / "job.json").write_text(json.dumps(job), encoding="utf-8")
        (root / "cases.jsonl").write_text(json.dumps({**case, "findings": findings}) + "\n", encoding="utf-8")
        main(adapter, root)
        events = [json.loads(line) for line in (root / "out" / "events.jsonl").read_text(encoding="utf-8").splitlines()]
        failed = [event["reason"] for event in events if event["event"] == "case_failed"]
        if failed:
            raise AssertionError(failed[0])
        return [_mask(root / "out" / "case" / (finding["id"] + ".nii.gz")) for finding in findings]


def _mask(path: Path) -> np.ndarray:
    if not path.exists():
        raise AssertionError("the adapter yielded no mask for finding " + path.name[: -len(".nii.gz")])
    image: Any = nib.load(str(path))
    return np.asarray(image.dataobj) > 0
