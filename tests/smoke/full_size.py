"""Runs inside an image: a model at the size it is declared with, on a GPU, with random weights and one CT of full size.

What the reduced configurations leave open: whether the adapter runs on CUDA in the declared precision, and what GPU
memory and time predicting and training take. Every slice of the given CT is repeated, so that a scan of thick slices
has as many voxels as one of thin ones. Three cases: the first pays for what a process does once, the second is the
figure, and the third has many boxes or texts. Prints one JSON object; with ``--stages`` only predicts, and prints one
a case, with what each stage took (``stages.py``).
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
#: Boxes of the case that has many.
MANY = 12


def _write(asked: dict) -> None:
    """Write the cases: of the first two each has three findings, the given mask and two shifted ones."""
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
    case = {"ct": "ct/a.nii.gz", "seg": "seg/a.nii.gz", "split": "train", "shape": hu.shape, "spacing": spacing}
    cases = {"a": findings, "b": findings, "c": _many(findings, hu.shape)}
    lines = [json.dumps({**case, "id": name, "findings": found}) + "\n" for name, found in cases.items()]
    for number, name in ((len(lines), "cases.jsonl"), (1, "one.jsonl")):
        (ROOT / name).write_text("".join(lines[:number]))


def _many(findings: list[dict], shape: tuple[int, ...]) -> list[dict]:
    """Return one finding with many boxes, anywhere, or as many findings with a text of their own."""
    if "boxes" not in findings[0]:
        return [{"id": str(number), "text": f"{TEXTS[number % 3]}, {number} mm"} for number in range(MANY)]
    random = np.random.default_rng(0)
    sizes = np.minimum(random.integers(2, 40, (MANY, 3)), shape)
    low = random.integers(0, np.array(shape) - sizes + 1)
    return [{**findings[0], "boxes": np.concatenate([low, low + sizes], axis=1).tolist()}]


def _job(asked: dict, verb: str, **params: int) -> None:
    job = {"contract": 1, "verb": verb, "model": "m", "variant": asked["variant"], "seed": 0, "weights": "random"}
    job.update(devices=asked["devices"], threads=4, params={**asked["params"], **params})
    job["memory_mb"] = asked.get("memory_mb")
    (ROOT / "job.json").write_text(json.dumps(job))


def _ask(asked: dict, verb: str, **params: int) -> list[dict]:
    """Give the adapter a job on those cases; return its events."""
    _job(asked, verb, **params)
    _fresh()
    main(asked["adapter"], ROOT)
    return [json.loads(line) for line in (ROOT / "out" / "events.jsonl").read_text().splitlines()]


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
    for event in events:
        if event["event"] == "case_failed":
            return {"failed": event["reason"]}
    masks = [np.asarray(nib.load(path).dataobj) > 0 for path in sorted((ROOT / "out" / "a").glob("*.nii.gz"))]
    done = {event["case"]: event for event in events if event["event"] == "case_done"}
    return {
        "load_s": next(event["seconds"] for event in events if event.get("stage") == "loaded"),
        "first_s": done["a"]["seconds"],
        "case_s": done["b"]["seconds"],
        "many_s": done["c"]["seconds"],
        "gpu_bytes": torch.cuda.max_memory_reserved(),
        "host_bytes": done["c"]["host_bytes"],
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

    (ROOT / "one.jsonl").replace(ROOT / "cases.jsonl")
    hook = register_optimizer_step_post_hook(note)
    try:
        events = _ask(asked, "finetune", steps=asked["steps"], validations=1)
    finally:
        hook.remove()
    return {
        "step_s": statistics.median(np.diff(ends)),
        "gpu_bytes": torch.cuda.max_memory_reserved(),
        "losses": [event["losses"] for event in events if event["event"] == "train"][-1],
        "checkpoint_bytes": sum(path.stat().st_size for path in (ROOT / "out" / "checkpoint").iterdir()),
    }


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    _write(told)
    if "--stages" in sys.argv:
        from stages import measure

        _job(told, "predict")
        measure(told["adapter"], ROOT)
        sys.exit(0)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    found = {"gpu": gpu, "torch": torch.__version__, "predict": predict(told)}
    if told["steps"] and "failed" not in found["predict"]:
        found["train"] = train(told)
    sys.stdout.write(json.dumps(found) + "\n")
