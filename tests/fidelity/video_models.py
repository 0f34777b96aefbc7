"""Experiments with SAM 2, MedSAM2 and MedSAM2 Text; ``experiments.py`` runs them."""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from theirs import UPSTREAM, ct, excerpt, plugin

# -- SAM 2 and MedSAM2 -------------------------------------------------------------------------------------------------


def _script() -> Any:
    from PIL import Image

    name = "medsam2_infer_3D_CT.py"
    return excerpt("MedSAM2", name, "resize_grayscale_to_rgb_and_resize", np=np, Image=Image)


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

    volume = ct((96, 80, 5)).astype(np.float32)
    volume[0, 0], volume[1, 0] = -2000, 2000
    ours, theirs = Frames(volume, 512, -1350, 150), _their_frames(volume, 512, -1350, 150)
    return max(float((ours[index] - theirs[index]).abs().max()) for index in range(5))


def medsam2_propagation(_: Path) -> float:
    """Voxels that differ between upstream's sequence of calls on all frames at once, and the adapter's."""
    sys.path.insert(0, str(UPSTREAM / "MedSAM2"))
    plugin("medsam2")
    from adapter import MedSam2

    def state(predictor: Any, frames: torch.Tensor, height: int, width: int) -> Any:
        return predictor.init_state(frames, height, width)

    return _propagated(MedSam2(), "configs/sam2.1_hiera_t512.yaml", state)


def sam2_propagation(_: Path) -> float:
    """The same of SAM 2."""
    sys.path.insert(0, str(UPSTREAM / "sam2"))
    plugin("sam2")
    from adapter import Sam2

    def state(predictor: Any, frames: torch.Tensor, height: int, width: int) -> Any:
        return predictor.init_state(video_path=(frames, height, width))  # as the adapter lets it read them

    return _propagated(Sam2(), "configs/sam2.1/sam2.1_hiera_t.yaml", state)


def _propagated(adapter: Any, config: str, open_state: Any) -> int:
    from groundbench_sdk import Job

    volume, box = ct((64, 56, 24)).astype(np.float32), [20, 18, 9, 40, 35, 16]
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
    upstream = excerpt("MedSAM2", source, "MAX_RETRIES", "RandomUniformSampler", **known)
    upstream.RandomUniformSampler.sample.__globals__["MAX_RETRIES"] = 1
    plugin("medsam2_text")
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
