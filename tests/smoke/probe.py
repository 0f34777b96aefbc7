"""Runs inside an image: asks a model's adapter what needs no truth to be judged, with random weights.

One small chest-like volume (odd sizes, anisotropic) goes through the SDK's own loop: as it is; with its axes permuted
and reversed under a tilted affine; one slice of it alone; and, for models that are asked by text, with another text and
with one that is longer than any encoder. Whatever the answer is, it has to lie on the same voxels of the body however
the CT is stored, to be another one for another text, and to say what of a text was not read. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from groundbench_sdk import main

ROOT = Path("/tmp/probe")  # noqa: S108 - a container's own
CODES = "PIL"  # every axis another one, and reversed
BOX = [12, 9, 2, 27, 23, 5]
TEXT, OTHER = "nodule in the right upper lobe", "moderate pleural effusion on the left side"
LONG = TEXT + " finding" * 9000  # beyond the 8,192 tokens of the longest encoder


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
    """Write the job: one finding a case."""
    (ROOT / "ct").mkdir(parents=True)
    (ROOT / "out").mkdir()
    hu, affine = _volume(), np.diag([1.1, 0.9, 4.0, 1.0])
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    turned = tilt @ affine @ nib.orientations.inv_ornt_aff(_change(), hu.shape)
    flat = [*BOX[:2], 0, *BOX[3:5], 1]
    stored = {
        "straight": (hu, affine, BOX, TEXT),
        "turned": (_turn(hu), turned, _turned_box(hu.shape), TEXT),
        "slice": (hu[:, :, 3:4], affine, flat, TEXT),
    }
    if asked["prompt"] != "box":
        stored.update(other=(hu, affine, BOX, OTHER), long=(hu, affine, BOX, LONG))
    lines = []
    for name, (volume, matrix, box, text) in stored.items():
        nib.save(nib.Nifti1Image(volume, matrix), ROOT / "ct" / f"{name}.nii.gz")
        finding = {"id": "0", "text": text}
        finding.update({"boxes": [box]} if asked["prompt"] == "box" else {})
        spacing = np.linalg.norm(matrix[:3, :3], axis=0).tolist()
        case = {"id": name, "ct": f"ct/{name}.nii.gz", "shape": volume.shape, "spacing": spacing}
        lines.append(json.dumps({**case, "findings": [finding]}) + "\n")
    (ROOT / "cases.jsonl").write_text("".join(lines))
    job = {"contract": 1, "verb": "predict", "model": "m", "variant": asked["variant"], "seed": 0}
    job.update(devices=asked["devices"], threads=1, params=asked["params"], weights="random")
    (ROOT / "job.json").write_text(json.dumps(job))


def _mask(name: str) -> np.ndarray:
    return np.asarray(nib.load(ROOT / "out" / name / "0.nii.gz").dataobj) > 0


def check(asked: dict) -> dict:
    """Run the cases; return what failed, or the Dice of the two stored ways, their voxels, and what became of texts."""
    _write(asked)
    main(asked["adapter"], ROOT)
    events = [json.loads(line) for line in (ROOT / "out" / "events.jsonl").read_text().splitlines()]
    failed = [event["case"] + ": " + event["reason"] for event in events if event["event"] == "case_failed"]
    if failed:
        return {"failed": failed}
    straight, turned, single = _turn(_mask("straight")), _mask("turned"), _mask("slice")
    both, total = int((straight & turned).sum()), int(straight.sum() + turned.sum())
    found = {"dice": 2 * both / total if total else 1.0, "voxels": int(straight.sum()), "slice": list(single.shape)}
    if asked["prompt"] != "box":
        found["differ"] = int((_mask("straight") != _mask("other")).sum())
        found["cut"] = [event["text"] for event in events if event["event"] == "warning" and event["case"] == "long"]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(check(json.loads(sys.argv[1]))) + "\n")
