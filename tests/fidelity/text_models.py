"""Experiments with SAT, SegVol and BiomedParse; ``experiments.py`` runs them."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
import random
import sys
import tempfile
import time
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import torch
from theirs import GRIDS, UPSTREAM, ct, excerpt, plugin, stored

# -- SAT ---------------------------------------------------------------------------------------------------------------


def sat_input(folder: Path) -> float:
    """Upstream's chain of MONAI transforms and normalisation, and ours, on four stored orientations.

    Where the number of slices lies exactly between two, the last bit of MONAI's arithmetic decides; not here.
    """
    import monai
    from groundbench_sdk.grids import reorient_to

    upstream = excerpt(
        "SAT", "data/inference_dataset.py", "Normalization", "load_image", monai=monai, np=np, torch=torch
    )
    plugin("sat")
    from volume import prepare

    worst = 0.0
    for matrix in GRIDS.values():
        path, hu, affine = stored(folder, matrix, (60, 47, 33))
        theirs = upstream.load_image({"image": str(path), "modality": "CT", "label": [], "dataset": ""})[0][0].numpy()
        turned = reorient_to("RAS", affine)
        spacing = turned.values(np.linalg.norm(matrix, axis=0))
        ours, _ = prepare(turned.apply(hu.astype(np.float32)), spacing, 1.0, -500, 1000)
        if ours.shape != theirs.shape:
            return float("inf")
        worst = max(worst, float(np.abs(ours - theirs).max()))
    return worst


def sat_windows(_: Path) -> float:
    """Windows that differ from those of upstream's loader, over volumes smaller and larger than a window."""
    upstream = excerpt("SAT", "data/inference_dataset.py", "split_3d", math=math)
    plugin("sat")
    from volume import windows

    differ = 0
    for shape in ((300, 290, 97), (100, 500, 40), (288, 288, 96), (431, 144, 200)):
        _, theirs = upstream.split_3d(torch.zeros(1, *shape), crop_size=[288, 288, 96])
        size = (288, 288, 96)
        ours = [[end for one in window for end in (one.start, one.stop)] for window in windows(shape, size)]
        cut = [[min(end, shape[number // 2]) for number, end in enumerate(window)] for window in theirs]
        differ += sum(one != other for one, other in itertools.zip_longest(ours, cut))
    return differ


def sat_sliding(_: Path) -> float:
    """Upstream's inference and ours, on one random Nano network: probabilities of two texts over eight windows."""
    from scipy.ndimage import gaussian_filter

    plugin("sat")
    from network import Network

    torch.manual_seed(0)
    size, made = [64, 32, 32], []
    network = Network("UNET", None, UPSTREAM / "SAT").eval()
    image = np.random.default_rng(0).normal(size=(80, 44, 40)).astype(np.float32)
    texts = ["nodule in the left lung", "effusion"]
    network._set_window(size)
    with torch.inference_mode():
        queries = network._queries(texts)
    watched = SimpleNamespace(**vars(torch))  # of whose tensors the sums can be read afterwards
    watched.zeros = lambda shape: made.append(torch.zeros(shape)) or made[-1]
    upstream = excerpt(
        "SAT", "evaluate/inference_engine.py", "compute_gaussian", "inference", torch=watched, np=np, Path=Path,
        gaussian_filter=gaussian_filter, autocast=contextlib.nullcontext, tqdm=lambda batches, **_: batches, nib=nib,
        is_master=lambda: False, time=time,
    )  # fmt: skip
    weigh = upstream.compute_gaussian
    upstream.inference.__globals__["compute_gaussian"] = lambda _: weigh(size)
    loader = excerpt("SAT", "data/inference_dataset.py", "split_3d", math=math)
    pieces, bounds = loader.split_3d(torch.from_numpy(image)[None], crop_size=size)
    batch = {
        "dataset_name": "a", "sample_id": "b", "labels": texts, "modality": "ct", "chwd": [1, *image.shape],
        "batched_patches": [piece[None].repeat(1, 3, 1, 1, 1) for piece in pieces], "split_queries": [texts],
        "batched_y1y2_x1x2_z1z2": [[bound] for bound in bounds], "split_n1n2": [[0, 2]], "image": torch.zeros(1),
    }  # fmt: skip

    class Encoder:
        def eval(self) -> None: ...

        def __call__(self, *_: Any) -> torch.Tensor:
            return queries

    assert len(pieces) == 8
    with tempfile.TemporaryDirectory() as scratch:
        upstream.inference(network.vision, Encoder(), "cpu", None, [batch], scratch)
    total, weight = made
    theirs = (total / weight).numpy()
    assert theirs.std() > 0
    return float(np.abs(network.segment(image, texts, size) - theirs).max())


def sat_augmentation(_: Path) -> float:
    """MONAI's transforms that upstream's training calls, and ours, with the same numbers drawn."""
    from monai.transforms import AdjustContrast, GaussianSharpen, Zoom

    plugin("sat")
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
    upstream = excerpt(
        "SAT", "data/train_dataset.py", "Med_SAM_Dataset", Dataset=object, torch=torch, np=np, random=random
    )
    plugin("sat")
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


# -- SegVol ------------------------------------------------------------------------------------------------------------


def segvol_input(folder: Path) -> float:
    """Upstream's ``process_ct_gt`` and ours; a CT in RAS, because upstream loses the affine."""
    from monai import transforms

    old = SimpleNamespace(**vars(transforms))  # MONAI 0.9, for which it was written: pairs, and arrays
    old.LoadImage = lambda: lambda name: (nib.load(name).get_fdata(dtype=np.float32), None)
    old.Orientationd = lambda keys, **given: transforms.Compose(
        [transforms.Orientationd(keys=keys, **given), transforms.ToNumpyd(keys=keys)]
    )
    names = ("MinMaxNormalization", "DimTranspose", "ForegroundNormalization", "process_ct_gt")
    upstream = excerpt("SegVol", "data_process/demo_data_process.py", *names, np=np, transforms=old)
    plugin("segvol")
    from volume import lay_grid, normalise

    path, hu, affine = stored(folder, GRIDS["RAS"], (61, 52, 43))
    nib.save(nib.Nifti1Image((hu > 0).astype(np.int16), affine), folder / "seg.nii.gz")
    theirs = upstream.process_ct_gt(str(path), str(folder / "seg.nii.gz"), ["lesion"], (16, 32, 32))
    image = normalise(np.swapaxes(hu.astype(np.float32), 0, 2))
    ours = lay_grid(image, (16, 32, 32)).sample(image)
    return float(np.abs(ours - np.asarray(theirs["zoom_out_image"])[0]).max())


def segvol_area(_: Path) -> float:
    """Torch's resizing by area, which upstream's training calls through MONAI's default, and ours."""
    plugin("segvol")
    from volume import Grid

    worst = 0.0
    for shape, size in (((95, 300, 280), (32, 128, 128)), ((40, 50, 60), (8, 32, 32)), ((20, 30, 31), (32, 40, 26))):
        values = np.random.default_rng(0).random(shape).astype(np.float32)
        theirs = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], size=size, mode="area")
        ours = Grid(shape, (0, 0, 0), shape, size).average(values)
        worst = max(worst, float(np.abs(ours - theirs[0, 0].numpy()).max()))
    return worst


def segvol_text(_: Path) -> float:
    """Upstream's forward pass of a text, and ours in prediction and in training, through one random network."""
    plugin("segvol")
    from model import Network

    torch.manual_seed(0)
    torch.Tensor.cuda = lambda self: self  # upstream moves its tokens to the first GPU
    network = Network((8, 32, 32), UPSTREAM / "SegVol").eval()
    images = torch.rand(2, 1, 8, 32, 32)
    texts = ["nodule in the left lung", "pleural effusion on the right"]
    trained = network(images, texts).detach().numpy()
    found = [
        network.segment(network.encode_image(image[0].numpy()), text, None)
        for image, text in zip(images, texts, strict=True)
    ]
    encoder = network.segvol.text_encoder
    encoder.organ2tokens = types.MethodType(type(encoder).organ2tokens, encoder)
    with torch.no_grad():
        theirs = network.segvol(images, text=texts).numpy()
    assert theirs.std() > 0
    return float(max(np.abs(trained - theirs).max(), np.abs(np.stack(found) - theirs[:, 0]).max()))


# -- BiomedParse -------------------------------------------------------------------------------------------------------


def biomedparse_picture(_: Path) -> float:
    """Largest difference between upstream's picture of a slice and ours, of 1,024 pixels a side, 8 from its edges.

    The cubics differ: upstream's is a spline that sees zeros beyond the edges. The slice is as smooth as a CT's.
    """
    from scipy.ndimage import gaussian_filter
    from skimage import transform

    source = "inference_utils/processing_utils.py"
    upstream = excerpt("BiomedParse", source, "CT_WINDOWS", "process_intensity_image", np=np, transform=transform)
    plugin("biomedparse")
    from groundbench_sdk.slices import Square
    from picture import picture

    hu = gaussian_filter(ct((512, 512, 3))[:, :, 1].astype(float), 1)
    theirs = upstream.process_intensity_image(hu, is_CT=True, site="lung")[:, :, 0]
    ours = picture(hu, Square(*hu.shape, 1024), -1000, 1000)
    return int(np.abs(ours.astype(int) - theirs.astype(int))[8:-8, 8:-8].max())


def biomedparse_scale(_: Path) -> float:
    """Pixels that differ between upstream's resizing and crop of a picture with its mask, and ours, at ten scales."""
    from PIL import Image

    for name in ("detectron2", "detectron2.data"):  # whose own modules import more than transforms
        package = types.ModuleType(name)
        package.__path__ = [str(UPSTREAM / "detectron2-xyz" / name.replace(".", "/"))]
        sys.modules[name] = package
    Image.LINEAR = Image.BILINEAR  # which Pillow had at the time
    transforms = importlib.import_module("detectron2.data.transforms")
    plugin("biomedparse")
    from picture import rescale

    rng, side, differ = np.random.default_rng(0), 96, 0
    picture = rng.integers(0, 256, (side, side), dtype=np.uint8)
    mask = (rng.random((side, side)) > 0.6).astype(np.uint8)
    draw = np.random.uniform
    for scale, corner in zip(rng.uniform(0.9, 1.1, 10), rng.uniform(size=10), strict=True):
        shown = transforms.AugInput(np.repeat(picture[:, :, None], 3, axis=2), sem_seg=mask)
        np.random.uniform = lambda low, high, at=(scale, corner): at[0] if low == high else at[1]
        steps = [transforms.ResizeScale(1, 1, side, side), transforms.FixedSizeCrop((side, side))]
        transforms.AugmentationList(steps)(shown)
        np.random.uniform = draw
        ours, kept = rescale(picture[None], mask, scale, corner)
        inside = shown.sem_seg != 255  # which is upstream's mark of what was padded
        differ += int((ours[0] != shown.image[:, :, 0]).sum() + (kept != shown.sem_seg)[inside].sum())
        differ += int(kept[~inside].sum())
    return differ
