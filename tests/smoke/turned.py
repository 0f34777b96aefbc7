"""Runs inside an image: looks whether a model's adapter gives the same answer however a CT is stored.

One small chest-like volume (odd sizes, anisotropic) is given three times to the adapter through the SDK's own loop,
with random weights: as it is; with its axes permuted and reversed under a tilted affine; and one slice of it alone.
Whatever the answer is, it has to lie on the same voxels of the body. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from groundbench_sdk import main

ROOT = Path("/tmp/turned")  # noqa: S108 - a container's own
CODES = "PIL"  # every axis another one, and reversed
BOX = [12, 9, 2, 27, 23, 5]


def _volume() -> np.ndarray:
    """Return Hounsfield units (45, 38, 7), axes towards right, front and head: a body with an off-centre lesion."""
    random = np.random.default_rng(0)
    hu = np.full((45, 38, 7), -850.0)
    x, y, z = np.indices(hu.shape)
    hu[((x - 22) / 21) ** 2 + ((y - 19) / 17) ** 2 > 1] = 40
    hu[((x - 19) / 7) ** 2 + ((y - 15) / 6) ** 2 + ((z - 3) / 1.5) ** 2 < 1] = 60
    return np.rint(hu + random.normal(0, 30, hu.shape)).astype(np.int16)


def _turn(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(nib.orientations.apply_orientation(array, _change()))


def _change() -> np.ndarray:
    wanted = nib.orientations.axcodes2ornt(tuple(CODES))
    return np.asarray(nib.orientations.ornt_transform(nib.orientations.io_orientation(np.eye(4)), wanted))


def _turned_box(shape: tuple[int, ...]) -> list[int]:
    inside = np.zeros(shape, bool)
    inside[BOX[0] : BOX[3], BOX[1] : BOX[4], BOX[2] : BOX[5]] = True
    where = np.argwhere(_turn(inside))
    return [*where.min(axis=0).tolist(), *(where.max(axis=0) + 1).tolist()]


def _write(asked: dict) -> None:
    """Write the job: three cases, one finding each."""
    (ROOT / "ct").mkdir(parents=True)
    (ROOT / "out").mkdir()
    hu, affine = _volume(), np.diag([1.1, 0.9, 4.0, 1.0])
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    turned = tilt @ affine @ nib.orientations.inv_ornt_aff(_change(), hu.shape)
    flat = [*BOX[:2], 0, *BOX[3:5], 1]
    stored = {
        "straight": (hu, affine, BOX),
        "turned": (_turn(hu), turned, _turned_box(hu.shape)),
        "slice": (hu[:, :, 3:4], affine, flat),
    }
    lines = []
    for name, (volume, matrix, box) in stored.items():
        nib.save(nib.Nifti1Image(volume, matrix), ROOT / "ct" / f"{name}.nii.gz")
        finding = {"id": "0", "text": "nodule in the right upper lobe"}
        finding.update({"boxes": [box]} if asked["prompt"] == "box" else {})
        spacing = np.linalg.norm(matrix[:3, :3], axis=0).tolist()
        case = {"id": name, "ct": f"ct/{name}.nii.gz", "shape": volume.shape, "spacing": spacing}
        lines.append(json.dumps({**case, "findings": [finding]}) + "\n")
    (ROOT / "cases.jsonl").write_text("".join(lines))
    job = {"contract": 1, "verb": "predict", "model": "m", "variant": asked["variant"], "seed": 0, "devices": ["cpu"]}
    job.update(threads=1, params=asked["params"], weights="random")
    (ROOT / "job.json").write_text(json.dumps(job))


def _mask(name: str) -> np.ndarray:
    return np.asarray(nib.load(ROOT / "out" / name / "0.nii.gz").dataobj) > 0


def check(asked: dict) -> dict:
    """Run the three cases; return the Dice of the first two answers, their voxels, and what failed."""
    _write(asked)
    main(asked["adapter"], ROOT)
    events = [json.loads(line) for line in (ROOT / "out" / "events.jsonl").read_text().splitlines()]
    failed = [event["case"] + ": " + event["reason"] for event in events if event["event"] == "case_failed"]
    if failed:
        return {"failed": failed}
    straight, turned, single = _turn(_mask("straight")), _mask("turned"), _mask("slice")
    both, total = int((straight & turned).sum()), int(straight.sum() + turned.sum())
    return {"dice": 2 * both / total if total else 1.0, "voxels": int(straight.sum()), "slice": list(single.shape)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(check(json.loads(sys.argv[1]))) + "\n")
