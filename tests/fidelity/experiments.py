"""The same numbers through functions of a model's authors and through the plugin's: ``experiments.py UPSTREAM NAME``.

Each experiment is a function of this module that returns one number, the largest difference or how much differs. The
authors' code is a package that is installed, or lies in ``UPSTREAM/<repository>``; of a script, single functions are
run, so that its command line and its other imports are not. Prints the number, and the version of torch, as JSON.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import itertools
import json
import math
import os
import random
import sys
import tempfile
import time
import types
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = Path(sys.argv[1])
_TURN = np.radians(12)
GRIDS = {
    "RAS": np.diag([0.9, 1.2, 2.5]),
    "LPS": np.diag([-0.9, -1.2, 2.5]),
    "S first": np.array([[0, 0.9, 0], [0, 0, 1.2], [2.5, 0, 0]]),
    "tilted": np.array([[1, 0, 0], [0, np.cos(_TURN), -np.sin(_TURN)], [0, np.sin(_TURN), np.cos(_TURN)]])
    @ np.diag([0.9, 1.2, 2.5]),
}


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
    """Put the modules of a plugin first on the path."""
    sys.path.insert(0, str(ROOT / "plugins" / name))


def _ct(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return a chest-like volume, int16: air around a body with a dense lesion, and noise."""
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij"))
    hu = np.where((places**2).sum(0) < 0.8, -820.0, -1000.0)
    hu[((places - 0.2) ** 2).sum(0) < 0.05] = 60
    hu[np.abs(places[1]) > 0.75] = 40
    return np.rint(hu + np.random.default_rng(seed).normal(0, 25, shape)).astype(np.int16)


def _stored(folder: Path, matrix: np.ndarray, shape: tuple[int, ...]) -> tuple[Path, np.ndarray, np.ndarray]:
    affine = np.eye(4)
    affine[:3, :3] = matrix
    path, hu = folder / "ct.nii.gz", _ct(shape)
    nib.save(nib.Nifti1Image(hu, affine), path)
    return path, hu, affine


# -- SAT --------------------------------------------------------------------------------------------------------------


def sat_input(folder: Path) -> float:
    """Upstream's chain of MONAI transforms and normalisation, and ours, on four stored orientations.

    Where the number of slices lies exactly between two, the last bit of MONAI's arithmetic decides; not here.
    """
    import monai
    from groundbench_sdk.grids import reorient_to

    upstream = _from("SAT", "data/inference_dataset.py", "Normalization", "load_image", monai=monai, np=np, torch=torch)
    _plugin("sat")
    from volume import prepare

    worst = 0.0
    for matrix in GRIDS.values():
        path, hu, affine = _stored(folder, matrix, (60, 47, 33))
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


def sat_sliding(_: Path) -> float:
    """Upstream's inference and ours, on one random Nano network: probabilities of two texts over eight windows."""
    from scipy.ndimage import gaussian_filter

    _plugin("sat")
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
    upstream = _from(
        "SAT", "evaluate/inference_engine.py", "compute_gaussian", "inference", torch=watched, np=np, Path=Path,
        gaussian_filter=gaussian_filter, autocast=contextlib.nullcontext, tqdm=lambda batches, **_: batches, nib=nib,
        is_master=lambda: False, time=time,
    )  # fmt: skip
    weigh = upstream.compute_gaussian
    upstream.inference.__globals__["compute_gaussian"] = lambda _: weigh(size)
    loader = _from("SAT", "data/inference_dataset.py", "split_3d", math=math)
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


def segvol_input(folder: Path) -> float:
    """Upstream's ``process_ct_gt`` and ours; a CT in RAS, because upstream loses the affine."""
    from monai import transforms

    old = SimpleNamespace(**vars(transforms))  # MONAI 0.9, for which it was written: pairs, and arrays
    old.LoadImage = lambda: lambda name: (nib.load(name).get_fdata(dtype=np.float32), None)
    old.Orientationd = lambda keys, **given: transforms.Compose(
        [transforms.Orientationd(keys=keys, **given), transforms.ToNumpyd(keys=keys)]
    )
    names = ("MinMaxNormalization", "DimTranspose", "ForegroundNormalization", "process_ct_gt")
    upstream = _from("SegVol", "data_process/demo_data_process.py", *names, np=np, transforms=old)
    _plugin("segvol")
    from volume import lay_grid, normalise

    path, hu, affine = _stored(folder, GRIDS["RAS"], (61, 52, 43))
    nib.save(nib.Nifti1Image((hu > 0).astype(np.int16), affine), folder / "seg.nii.gz")
    theirs = upstream.process_ct_gt(str(path), str(folder / "seg.nii.gz"), ["lesion"], (16, 32, 32))
    image = normalise(np.swapaxes(hu.astype(np.float32), 0, 2))
    ours = lay_grid(image, (16, 32, 32)).sample(image)
    return float(np.abs(ours - np.asarray(theirs["zoom_out_image"])[0]).max())


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


def segvol_text(_: Path) -> float:
    """Upstream's forward pass of a text, and ours in prediction and in training, through one random network."""
    _plugin("segvol")
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


# -- BiomedParse ------------------------------------------------------------------------------------------------------


def biomedparse_picture(_: Path) -> float:
    """Largest difference between upstream's picture of a slice and ours, of 1,024 pixels a side, 8 from its edges.

    The cubics differ: upstream's is a spline that sees zeros beyond the edges. The slice is as smooth as a CT's.
    """
    from scipy.ndimage import gaussian_filter
    from skimage import transform

    source = "inference_utils/processing_utils.py"
    upstream = _from("BiomedParse", source, "CT_WINDOWS", "process_intensity_image", np=np, transform=transform)
    _plugin("biomedparse")
    from groundbench_sdk.slices import Square
    from picture import picture

    hu = gaussian_filter(_ct((512, 512, 3))[:, :, 1].astype(float), 1)
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
    _plugin("biomedparse")
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


# -- SAM 2 and MedSAM2 ------------------------------------------------------------------------------------------------


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


def medsam2_propagation(_: Path) -> float:
    """Voxels that differ between upstream's sequence of calls on all frames at once, and the adapter's."""
    sys.path.insert(0, str(UPSTREAM / "MedSAM2"))
    _plugin("medsam2")
    from adapter import MedSam2

    def state(predictor: Any, frames: torch.Tensor, height: int, width: int) -> Any:
        return predictor.init_state(frames, height, width)

    return _propagated(MedSam2(), "configs/sam2.1_hiera_t512.yaml", state)


def sam2_propagation(_: Path) -> float:
    """The same of SAM 2."""
    sys.path.insert(0, str(UPSTREAM / "sam2"))
    _plugin("sam2")
    from adapter import Sam2

    def state(predictor: Any, frames: torch.Tensor, height: int, width: int) -> Any:
        return predictor.init_state(video_path=(frames, height, width))  # as the adapter lets it read them

    return _propagated(Sam2(), "configs/sam2.1/sam2.1_hiera_t.yaml", state)


def _propagated(adapter: Any, config: str, open_state: Any) -> int:
    from groundbench_sdk import Job

    volume, box = _ct((64, 56, 24)).astype(np.float32), [20, 18, 9, 40, 35, 16]
    volume[0, 0], volume[1, 0] = -2000, 2000
    params = {"config": config, "image_size": 128, "window_low": -1350, "window_high": 150}
    params |= {"prompt": "box", "within": "volume", "slices_each_way": 0}
    adapter.load(Job("predict", "m", "v", 0, ["cpu"], 1, params, Path(), "random", memory_mb=4096))
    finding = SimpleNamespace(id="0", boxes=[box])
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    case = SimpleNamespace(affine=affine, shape=volume.shape, findings=[finding], volume=lambda **_: volume)
    ((_, ours),) = adapter.predict(case)
    predictor, theirs = adapter.predictor, np.zeros(volume.shape, bool)
    with torch.inference_mode():
        state = open_state(predictor, _their_frames(volume, 128, -1350, 150), volume.shape[1], volume.shape[0])
        for reverse in (False, True):
            corners = np.array([box[0], box[1], box[3] - 1, box[4] - 1], np.float32)
            predictor.add_new_points_or_box(inference_state=state, frame_idx=12, obj_id=1, box=corners)
            for index, _, logits in predictor.propagate_in_video(state, reverse=reverse):
                theirs[:, :, index] |= (logits[0, 0] > 0).numpy().T
            predictor.reset_state(state)
    assert theirs.any()
    assert not theirs.all()
    return int((ours != theirs).sum())


def medsam2_text_windows(_: Path) -> float:
    """Windows that upstream's sampler takes at once, with what they show, or ours, but not both; of 20 made-up CTs."""
    source = "training/dataset/vos_sampler.py"
    known = {"random": random, "VOSSampler": object, "LazySegments": (), "SampledFramesAndObjects": SimpleNamespace}
    upstream = _from("MedSAM2", source, "MAX_RETRIES", "RandomUniformSampler", **known)
    upstream.RandomUniformSampler.sample.__globals__["MAX_RETRIES"] = 1
    _plugin("medsam2_text")
    from frames import tracked

    rng, length, count, differ = np.random.default_rng(0), 20, 8, 0
    sampler = upstream.RandomUniformSampler(count, 99)
    film = SimpleNamespace(frames=[SimpleNamespace(frame_idx=index) for index in range(length)], video_name="a")
    for _ in range(20):
        shown = rng.random((3, length)) < 0.15
        shown[0, rng.integers(length - count + 1)] = True
        segments = SimpleNamespace(load=lambda index, shown=shown: {str(one): shown[one, index] for one in range(3)})
        theirs = set()
        for start in range(length - count + 1):
            random.randrange = lambda *_, start=start: start
            with contextlib.suppress(Exception):  # "No visible objects"
                taken = sampler.sample(film, segments)
                indices = tuple(frame.frame_idx for frame in taken.frames)
                theirs.add((indices, frozenset(int(one) for one in taken.object_ids)))
        ours = set()
        for _ in range(40 * len(theirs)):
            slices, kept = tracked(shown, count, 99, rng)
            ours.add((tuple(slices.tolist()), frozenset(kept.tolist())))
        differ += len(ours ^ theirs)
    return differ


# -- VoxTell ----------------------------------------------------------------------------------------------------------


def voxtell_axes(folder: Path) -> float:
    """Orientations, of 48, whose array from upstream's reader is another than ours."""
    from groundbench_sdk.grids import reorient_to
    from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

    differ = 0
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[list(axes), range(3)] = np.array(signs) * [0.7, 0.8, 2.0]
            path, hu, affine = _stored(folder, matrix, (5, 6, 7))
            theirs, _ = NibabelIOWithReorient().read_images([str(path)])
            differ += not np.array_equal(theirs[0], reorient_to("SAR", affine).apply(hu))
    return differ


def voxtell_plans(folder: Path) -> float:
    """Weights that differ between upstream's constructor and ours, from one made-up folder in the published layout."""
    _plugin("voxtell")
    from model import Network, _layers
    from voxtell.inference.predictor import VoxTellPredictor

    names = ("conv_op", "norm_op", "nonlin")
    layers = _layers([32, 64, 128, 256, 320, 320])
    layers |= {name: f"{layers[name].__module__}.{layers[name].__name__}" for name in names}
    plan = {"architecture": {"arch_kwargs": layers, "_kw_requires_import": names}, "patch_size": [192] * 3}
    (folder / "plans.json").write_text(json.dumps({"configurations": {"3d_fullres": plan}}))
    ours = Network(folder / "plans.json", 192, 32, 2048, "cpu")
    (folder / "fold_0").mkdir()
    checkpoint = folder / "fold_0" / "checkpoint_final.pth"
    torch.save({"network_weights": ours.net.state_dict()}, checkpoint)
    theirs = VoxTellPredictor(str(folder), torch.device("cpu"), use_precomputed_embeddings=False)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.zero_()
    ours.load_published(checkpoint)
    mine, other = ours.net.state_dict(), theirs.network.state_dict()
    return len(mine.keys() ^ other.keys()) + sum(not torch.equal(mine[name], other[name]) for name in mine)


def voxtell_prompts(_: Path) -> float:
    """How far the logits of a text depend on which texts are asked together, in a random network."""
    _plugin("voxtell")
    from model import Network

    torch.manual_seed(0)
    net = Network(None, 64, 4, 64, "cpu").eval().net
    image, vectors = torch.randn(1, 1, 64, 64, 64), torch.randn(1, 3, 2560)
    with torch.no_grad():
        together = net(image, vectors)
        alone = torch.cat([net(image, vectors[:, number : number + 1]) for number in range(3)], dim=1)
    assert together.std() > 0
    return float((together - alone).abs().max())


def voxtell_text(folder: Path) -> float:
    """Upstream's vectors of three texts, padded together, and ours, from one made-up language model of two layers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model
    from voxtell.inference.predictor import VoxTellPredictor

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|endoftext|>").save_pretrained(str(folder))  # noqa: S106
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32}
    Qwen3Model(Qwen3Config(vocab_size=512, hidden_size=2560, intermediate_size=256, **sizes)).save_pretrained(
        str(folder)
    )
    _plugin("voxtell")
    from language import Language

    theirs = VoxTellPredictor.__new__(VoxTellPredictor)
    theirs.device, theirs.embedding_bank, theirs.max_text_length = torch.device("cpu"), None, 8192
    theirs._text_encoding_model = str(folder)
    theirs.text_backbone = None
    texts = ["Nodule, 5 mm, in the left lower lobe", "effusion", "Ground glass in BOTH upper lobes"]
    found = theirs.embed_text_prompts(texts)[0]
    ours = Language(folder, "cpu")
    return float((torch.stack([ours.encode_text(text) for text in texts]) - found).abs().max())


# -- nnInteractive ----------------------------------------------------------------------------------------------------


def nninteractive_session(folder: Path) -> float:
    """Voxels that differ between upstream's loader and ours, on one made-up folder in the published layout."""
    from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

    _plugin("nninteractive")
    from session import made_up_files, open_session

    params = {"configuration": "3d_fullres_ps192_bs24", "patch": 64, "features": 2, "autozoom": False}
    torch.manual_seed(0)
    made_up_files(folder, params)
    ours = open_session(folder, params, device="cpu", threads=2)
    (folder / "fold_0").mkdir()
    saved = {"network_weights": ours.network.state_dict(), "trainer_name": "nnInteractiveTrainer_stub"}
    torch.save(saved | {"init_args": {"configuration": params["configuration"]}}, folder / "checkpoint_final.pth")
    os.link(folder / "checkpoint_final.pth", folder / "fold_0" / "checkpoint_final.pth")
    (folder / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}})
    )
    ours = open_session(folder, params, device="cpu", threads=2)
    theirs = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=2, do_autozoom=False)
    theirs.initialize_from_trained_model_folder(str(folder))
    masks = []
    for session in (ours, theirs):
        found = np.zeros((12, 60, 64), np.uint8)
        np.random.seed(0)  # noqa: NPY002 - the generator that upstream draws from
        session.set_image(_ct(found.shape).astype(np.float32)[None])
        session.set_target_buffer(found)
        session.add_bbox_interaction([[5, 6], [2, 58], [4, 60]], include_interaction=True)  # larger than a patch allows
        masks.append(found > 0)
    assert masks[0].any()
    return int((masks[0] != masks[1]).sum())


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.path.insert(0, str(ROOT / "containers" / "sdk"))
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(sys.stderr):
        result = globals()[sys.argv[2]](Path(scratch))
    sys.stdout.write(json.dumps({"result": result, "torch": torch.__version__}) + "\n")
