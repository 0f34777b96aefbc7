"""Runs inside an image: the same numbers through functions of a model's authors and through the plugin's.

Each experiment is a function of this module that returns one number, the largest difference or how much differs. The
authors' functions are taken from the image, or from their files below ``/upstream``, of which single functions are run
so that a script's command line and its other imports are not. Prints one JSON object: name -> number.
"""

from __future__ import annotations

import ast
import itertools
import json
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import torch

UPSTREAM, PLUGINS = Path("/upstream"), Path("/plugins")
GRIDS = {
    "RAS": np.diag([0.9, 1.2, 2.5]),
    "LPS": np.diag([-0.9, -1.2, 2.5]),
    "S first": np.array([[0, 0.9, 0], [0, 0, 1.2], [2.5, 0, 0]]),
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
    """Put the modules of a plugin first on the path, in the place of those of the image."""
    sys.path.insert(0, str(PLUGINS / name))


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
    """Upstream's chain of MONAI transforms and normalisation, and ours, on three stored orientations."""
    import monai
    from groundbench_sdk.grids import reorient_to

    upstream = _from("SAT", "data/inference_dataset.py", "Normalization", "load_image", monai=monai, np=np, torch=torch)
    _plugin("sat")
    from volume import prepare

    worst = 0.0
    for matrix in GRIDS.values():
        path, hu, affine = _stored(folder, matrix, (52, 44, 38))
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


def segvol_input(folder: Path) -> float:
    """Upstream's ``process_ct_gt`` and ours; a CT in RAS, because upstream loses the affine."""
    from monai import transforms

    known = {"np": np, "transforms": transforms}
    names = ("MinMaxNormalization", "DimTranspose", "ForegroundNormalization", "process_ct_gt")
    upstream = _from("SegVol", "data_process/demo_data_process.py", *names, **known)
    _plugin("segvol")
    from volume import lay_grid, normalise

    path, hu, affine = _stored(folder, GRIDS["RAS"], (61, 52, 43))
    nib.save(nib.Nifti1Image((hu > 0).astype(np.int16), affine), folder / "seg.nii.gz")
    with redirect_stdout(sys.stderr):
        # Its loader is MONAI 0.9's, which returned a pair.
        loader, transforms.LoadImage = transforms.LoadImage, lambda: lambda name: (nib.load(name).get_fdata(), None)
        theirs = upstream.process_ct_gt(str(path), str(folder / "seg.nii.gz"), ["lesion"], (16, 32, 32))
        transforms.LoadImage = loader
    image = normalise(np.swapaxes(hu.astype(np.float32), 0, 2))
    ours = lay_grid(image, (16, 32, 32)).sample(image)
    return float(np.abs(ours - np.asarray(theirs["zoom_out_image"])[0]).max())


# -- BiomedParse ------------------------------------------------------------------------------------------------------


def biomedparse_picture(_: Path) -> float:
    """Mean difference in grey levels between upstream's picture of a slice and ours, at 1,024 pixels."""
    from skimage import transform

    upstream = _from(
        "BiomedParse", "inference_utils/processing_utils.py", "CT_WINDOWS", "process_intensity_image", np=np,
        transform=transform,
    )  # fmt: skip
    _plugin("biomedparse")
    from groundbench_sdk.slices import Square
    from picture import picture

    hu = _ct((512, 400, 3))[:, :, 1]
    theirs = upstream.process_intensity_image(hu, is_CT=True, site="lung")[:, :, 0]
    ours = picture(hu, Square(*hu.shape, 1024), -1000, 1000)
    return float(np.abs(ours.astype(int) - theirs.astype(int)).mean())


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


def medsam2_propagation(_: Path) -> float:
    """Voxels that differ between upstream's sequence of calls on all frames at once, and the adapter's."""
    from adapter import MedSam2
    from groundbench_sdk import Job

    volume, box = _ct((64, 56, 14)).astype(np.float32), [20, 18, 4, 40, 35, 10]
    volume[0, 0], volume[1, 0] = -2000, 2000
    params = {"config": "configs/sam2.1_hiera_t512.yaml", "image_size": 128, "window_low": -1350, "window_high": 150}
    params |= {"prompt": "box", "within": "volume", "slices_each_way": 0}
    adapter = MedSam2()
    adapter.load(Job("predict", "m", "v", 0, ["cpu"], 1, params, Path(), "random"))
    finding = SimpleNamespace(id="0", boxes=[box])
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    case = SimpleNamespace(affine=affine, shape=volume.shape, findings=[finding], volume=lambda: volume)
    ((_, ours),) = adapter.predict(case)
    predictor, theirs = adapter.predictor, np.zeros(volume.shape, bool)
    with torch.inference_mode():
        frames = _their_frames(volume, 128, -1350, 150)
        state = predictor.init_state(frames, volume.shape[1], volume.shape[0])
        for reverse in (False, True):
            corners = np.array([box[0], box[1], box[3] - 1, box[4] - 1], np.float32)
            predictor.add_new_points_or_box(inference_state=state, frame_idx=6, obj_id=1, box=corners)
            for index, _, logits in predictor.propagate_in_video(state, reverse=reverse):
                theirs[:, :, index] |= (logits[0, 0] > 0).numpy().T
            predictor.reset_state(state)
    assert theirs.any()
    return int((ours != theirs).sum())


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
    """Voxels that depend on which texts are asked together."""
    from model import Network

    torch.manual_seed(0)
    network = Network(None, 64, 4, 64, "cpu")
    vectors = np.random.default_rng(0).normal(size=(3, 2560)).astype(np.float32)
    ct = _ct((64, 70, 66)).astype(np.float32)
    together = network.segment(ct, vectors)
    alone = np.concatenate([network.segment(ct, vectors[number : number + 1]) for number in range(3)])
    assert together.any()
    return int((together != alone).sum())


# -- nnInteractive ----------------------------------------------------------------------------------------------------


def nninteractive_session(folder: Path) -> float:
    """Voxels that differ between upstream's loader and ours, on one made-up folder in the published layout."""
    from nnInteractive.inference.inference_session import nnInteractiveInferenceSession
    from session import made_up_files, open_session

    params = {"configuration": "3d_fullres_ps192_bs24", "patch": 64, "features": 2, "autozoom": False}
    torch.manual_seed(0)
    made_up_files(folder, params)
    ours = open_session(folder, params, device="cpu", threads=1)
    (folder / "fold_0").mkdir()
    saved = {"network_weights": ours.network.state_dict(), "trainer_name": "nnInteractiveTrainer_stub"}
    torch.save(saved | {"init_args": {"configuration": params["configuration"]}}, folder / "checkpoint_final.pth")
    os.link(folder / "checkpoint_final.pth", folder / "fold_0" / "checkpoint_final.pth")
    (folder / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}})
    )
    ours = open_session(folder, params, device="cpu", threads=1)
    theirs = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=1, do_autozoom=False)
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
    results = {}
    for experiment in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch, redirect_stdout(sys.stderr):
            results[experiment] = globals()[experiment](Path(scratch))
    sys.stdout.write(json.dumps(results) + "\n")
