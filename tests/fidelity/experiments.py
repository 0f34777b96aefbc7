"""Runs inside an image: the same numbers through functions of a model's authors and through the plugin's.

Each experiment is a function of this module that returns one number, the largest difference or how much differs. The
authors' functions are taken from the image, or from their files below ``/upstream``, of which single functions are run
so that a script's command line and its other imports are not. Prints one JSON object: name -> number.
"""

from __future__ import annotations

import ast
import itertools
import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

UPSTREAM, PLUGINS = Path("/upstream"), Path("/plugins")


def _from(repository: str, path: str, *names: str, **known: Any) -> SimpleNamespace:
    """Return functions and classes of a file of upstream's, executed without the rest of it."""
    tree = ast.parse((UPSTREAM / repository / path).read_text(encoding="utf-8"))
    wanted = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign) and _named(node, names)
    ]
    exec(compile(ast.Module(wanted, []), path, "exec"), known)  # noqa: S102 - the pinned file of upstream's
    return SimpleNamespace(**{name: known[name] for name in names})


def _named(node: Any, names: tuple[str, ...]) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node]
    return any(getattr(target, "id", getattr(target, "name", None)) in names for target in targets)


def _plugin(name: str) -> None:
    """Put the modules of a plugin first on the path, in the place of those of the image."""
    sys.path.insert(0, str(PLUGINS / name))


def _ct(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return a chest-like volume, int16: air around a body with a dense lesion, and noise."""
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij"))
    hu = np.where((places**2).sum(0) < 0.8, -820.0, -1000.0)
    hu[((places - 0.2) ** 2).sum(0) < 0.05] = 60
    hu[np.abs(places[1]) > 0.75] = 40
    return np.rint(hu + np.random.default_rng(seed).normal(0, 25, shape)).astype(np.int16)


# -- SAT --------------------------------------------------------------------------------------------------------------


def sat_windows(_: Path) -> float:
    """Windows that differ from those of upstream's loader, over volumes smaller and larger than a window."""
    import math

    upstream = _from("SAT", "data/inference_dataset.py", "split_3d", math=math)
    _plugin("sat")
    from volume import windows

    differ = 0
    for shape in ((300, 290, 97), (100, 500, 40), (288, 288, 96), (431, 144, 200)):
        _, theirs = upstream.split_3d(torch.zeros(1, *shape), crop_size=[288, 288, 96])
        size = (288, 288, 96)
        ours = [[end for one in window for end in (one.start, one.stop)] for window in windows(shape, size)]
        cut = [[min(end, shape[number // 2]) for number, end in enumerate(window)] for window in theirs]
        differ += sum(one != other for one, other in itertools.zip_longest(ours, cut))
    return differ


def sat_augmentation(_: Path) -> float:
    """MONAI's transforms that upstream's training calls, and ours, with the same numbers drawn."""
    from monai.transforms import AdjustContrast, GaussianSharpen, Zoom

    _plugin("sat")
    import crops

    rng = np.random.default_rng(0)
    image = rng.normal(size=(48, 44, 30)).astype(np.float32)
    mask = (rng.random(image.shape) > 0.7).astype(np.uint8)
    pairs: list[tuple[Any, Any]] = []
    for factor in (0.7, 0.83, 1.0, 1.17, 1.2345, 1.4):
        for volume, mode in ((image, "area"), (mask, "nearest")):
            shown = torch.from_numpy(volume.astype(np.float32))[None]
            theirs = Zoom(factor, mode=mode, padding_mode="edge", keep_size=True)(shown)[0]
            pairs.append((crops.zoom(volume, factor, nearest=mode == "nearest"), theirs))
    shown = torch.from_numpy(image)[None]
    for first, second, alpha in (((0.5, 0.7, 1.0), (0.5, 0.6, 0.9), 10.0), ((0.9, 0.8, 0.55), (0.6, 0.7, 0.51), 27.3)):
        pairs.append((crops.sharpen(image, first, second, alpha), GaussianSharpen(first, second, alpha)(shown)[0]))
    pairs += [(crops.contrast(image, gamma), AdjustContrast(gamma)(shown)[0]) for gamma in (0.7, 1.0, 1.5)]
    return max(float(np.abs(np.asarray(ours, np.float64) - np.asarray(theirs)).max()) for ours, theirs in pairs)


def sat_crops(_: Path) -> float:
    """Upstream's crop around a voxel and its choice of texts, and ours: crops and numbers of texts that differ."""
    import random

    upstream = _from(
        "SAT", "data/train_dataset.py", "Med_SAM_Dataset", Dataset=object, torch=torch, np=np, random=random
    )
    _plugin("sat")
    import crops

    dataset = upstream.Med_SAM_Dataset.__new__(upstream.Med_SAM_Dataset)
    dataset.crop_size, dataset.max_queries = [24, 24, 8], 32
    shape, rng, differ = (40, 36, 20), np.random.default_rng(0), 0
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    for _ in range(50):
        masks = np.zeros((6, *shape), np.uint8)
        places = [tuple(int(rng.integers(length)) for length in shape) for _ in masks]
        for mask, place in zip(masks, places, strict=True):
            mask[place] = 1
        crop, _, chosen = crops.draw(image, masks, dataset.crop_size, rng)
        boxes = [[*place, *(at + 1 for at in place)] for place in places]
        dataset._load_mask = lambda *_, held=masks: torch.from_numpy(held.any(0))[None]
        found = set()
        for voxel in places:  # of which upstream draws one
            dataset._load_mask = lambda *_, at=voxel: _one(shape, at)
            datum = {"label": ["a"], "renorm_y1x1z1_y2x2z2": [True]}
            theirs, bounds = dataset._roi_crop(torch.from_numpy(image)[None], datum, 1.0, 0.0)
            present = dataset._find_pos_labels_in_crop(bounds, boxes)
            texts, _ = dataset._select_pos_labels(list(range(6)), present, 0.5)
            held = frozenset(number for number in range(6) if present[number])
            found.add((theirs[0].numpy().tobytes(), held, len(texts)))
        ours = {(crop.tobytes(), held, len(chosen)) for _, held, number in found if number == len(chosen)}
        differ += not (ours & found) or not any(held <= set(chosen.tolist()) for _, held, _ in ours & found)
    return differ


def _one(shape: tuple[int, ...], voxel: tuple[int, ...]) -> torch.Tensor:
    mask = torch.zeros(1, *shape, dtype=torch.bool)
    mask[0][voxel] = True
    return mask


# -- SegVol -----------------------------------------------------------------------------------------------------------


def segvol_area(_: Path) -> float:
    """Torch's resizing by area, which upstream's training calls through MONAI's default, and ours."""
    _plugin("segvol")
    from volume import Grid

    worst = 0.0
    for shape, size in (((95, 300, 280), (32, 128, 128)), ((40, 50, 60), (8, 32, 32)), ((20, 30, 31), (32, 40, 26))):
        values = np.random.default_rng(0).random(shape).astype(np.float32)
        theirs = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], size=size, mode="area")
        ours = Grid(shape, (0, 0, 0), shape, size).average(values)
        worst = max(worst, float(np.abs(ours - theirs[0, 0].numpy()).max()))
    return worst


# -- MedSAM2 ----------------------------------------------------------------------------------------------------------


def _script() -> Any:
    from PIL import Image

    name = "medsam2_infer_3D_CT.py"
    return _from("MedSAM2", name, "resize_grayscale_to_rgb_and_resize", np=np, Image=Image)


def _their_frames(volume: np.ndarray, size: int, low: float, high: float) -> torch.Tensor:
    """Return the frames as upstream's script makes them of slices (rows, columns)."""
    clipped = np.clip(volume.transpose(2, 1, 0), low, high)
    grey = np.uint8((clipped - clipped.min()) / (clipped.max() - clipped.min()) * 255.0)
    frames = torch.from_numpy(_script().resize_grayscale_to_rgb_and_resize(grey, size) / 255.0)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((frames - mean[:, None, None]) / std[:, None, None]).float()


def medsam2_frames(_: Path) -> float:
    """Upstream's resized and normalised slices, and ours, where the CT reaches both ends of the window."""
    from groundbench_sdk.video import Frames

    volume = _ct((96, 80, 5)).astype(np.float32)
    volume[0, 0], volume[1, 0] = -2000, 2000
    ours, theirs = Frames(volume, 512, -1350, 150), _their_frames(volume, 512, -1350, 150)
    return max(float((ours[index] - theirs[index]).abs().max()) for index in range(5))


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = {}
    for experiment in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch, redirect_stdout(sys.stderr):
            results[experiment] = globals()[experiment](Path(scratch))
    sys.stdout.write(json.dumps(results) + "\n")
