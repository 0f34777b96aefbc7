"""Runs inside an image: a model at the size it is declared with, on a GPU, with random weights and one CT of full size.

What the reduced configurations leave open: whether the adapter runs on CUDA in the declared precision, and what GPU
memory and time predicting and training take. Every slice of the given CT is repeated, so that a scan of thick slices
has as many voxels as one of thin ones. Prints one JSON object.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from groundbench_sdk import main
from torch.optim.optimizer import register_optimizer_step_post_hook

ROOT = Path("/tmp/full")  # noqa: S108 - a container's own
TEXTS = (
    "nodule in the right upper lobe",
    "moderate pleural effusion on the left side",
    "ground-glass opacity in both lower lobes",
)


def _write(asked: dict) -> None:
    """Write one case: three findings, the given mask and two shifted ones."""
    for folder in ("ct", "seg", "out"):
        (ROOT / folder).mkdir(parents=True)
    given, repeat = nib.load(asked["ct"]), asked["repeat"]
    hu, affine = np.repeat(np.asarray(given.dataobj).astype(np.int16), repeat, axis=2), given.affine.copy()
    affine[:, 2] /= repeat
    mask = np.repeat(np.asarray(nib.load(asked["seg"]).dataobj)[0] > 0, repeat, axis=2)
    labels = np.stack([np.roll(mask, (0, shift), (0, 1)) for shift in (0, 9, 23)]).astype(np.uint8)
    nib.save(nib.Nifti1Image(hu, affine), ROOT / "ct" / "a.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), ROOT / "seg" / "a.nii.gz")
    findings: list[dict] = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS)]
    if asked["prompt"] == "box":
        for finding, where in zip(findings, map(np.argwhere, labels), strict=True):
            finding["boxes"] = [[*where.min(axis=0).tolist(), *(where.max(axis=0) + 1).tolist()]]
    spacing = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    case = {"id": "a", "ct": "ct/a.nii.gz", "seg": "seg/a.nii.gz", "split": "train", "shape": hu.shape}
    (ROOT / "cases.jsonl").write_text(json.dumps({**case, "spacing": spacing, "findings": findings}) + "\n")


def _ask(asked: dict, verb: str, **params: int) -> dict[str, dict]:
    """Give the adapter a job on that case; return the last event of each name."""
    job = {"contract": 1, "verb": verb, "model": "m", "variant": asked["variant"], "seed": 0, "weights": "random"}
    job.update(devices=asked["devices"], threads=4, params={**asked["params"], **params})
    (ROOT / "job.json").write_text(json.dumps(job))
    _fresh()
    main(asked["adapter"], ROOT)
    lines = (ROOT / "out" / "events.jsonl").read_text().splitlines()
    return {event.get("stage", event["event"]): event for event in map(json.loads, lines)}


def _fresh() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def predict(asked: dict) -> dict:
    """Predict; return seconds and the peaks of memory, in bytes, or why it failed.

    ``gpu_bytes`` is what torch's allocator took of the GPU; the driver's own half a gigabyte comes on top.
    """
    events = _ask(asked, "predict")
    if "case_failed" in events:
        return {"failed": events["case_failed"]["reason"]}
    masks = [np.asarray(nib.load(path).dataobj) > 0 for path in sorted((ROOT / "out" / "a").glob("*.nii.gz"))]
    return {
        "load_s": events["loaded"]["seconds"],
        "case_s": events["case_done"]["seconds"],
        "gpu_bytes": torch.cuda.max_memory_reserved(),
        "host_bytes": events["case_done"]["host_bytes"],
        "shape": list(masks[0].shape),
        "voxels": [int(mask.sum()) for mask in masks],
    }


def train(asked: dict) -> dict:
    """Train for some steps of the declared recipe; return seconds a step, losses and the peak of the GPU's memory."""
    ends: list[float] = []

    def note(*_: object) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        ends.append(time.monotonic())

    hook = register_optimizer_step_post_hook(note)
    try:
        events = _ask(asked, "finetune", steps=asked["steps"], validations=1)
    finally:
        hook.remove()
    return {
        "step_s": statistics.median(np.diff(ends)),
        "gpu_bytes": torch.cuda.max_memory_reserved(),
        "losses": events["train"]["losses"],
        "checkpoint_bytes": sum(path.stat().st_size for path in (ROOT / "out" / "checkpoint").iterdir()),
    }


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    _write(told)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    found = {"gpu": gpu, "torch": torch.__version__, "predict": predict(told)}
    if told["steps"] and "failed" not in found["predict"]:
        found["train"] = train(told)
    sys.stdout.write(json.dumps(found) + "\n")
