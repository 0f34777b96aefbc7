"""What the net is trained with: crops of cases in its own frame, the loss, and the Dice on validation cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from frame import find_frame  # type: ignore[import-not-found] # a module of this plugin
from groundbench_sdk import TrainingCase
from groundbench_sdk.sample_cache import SampleCache
from net import TinyNet, log_probability  # type: ignore[import-not-found] # a module of this plugin
from torch.nn import functional as F  # noqa: N812 - the field's name
from words import looks, places  # type: ignore[import-not-found] # a module of this plugin

Array = np.ndarray[Any, Any]
Params = dict[str, Any]

#: HU of voxels beyond the ends of a volume.
OUTSIDE_HU = -1024.0

#: Sampled points of a finding, and of anywhere, for the place loss of one sample.
_POINTS = 128


def encode_texts(texts: Sequence[str], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return texts as the net takes them: rows of words, (F, W) padded with -1, and places, (F, P)."""
    rows = [looks(text) for text in texts]
    longest = max(map(len, rows))
    padded = [row + [-1] * (longest - len(row)) for row in rows]
    return torch.tensor(padded, device=device), torch.tensor([places(text) for text in texts], device=device)


class Samples:
    """Training or validation cases in the net's frame; decoded once and kept in a bounded cache.

    Parameters
    ----------
    cases
        With their masks; those without a finding are left out.
    params
        The variant's parameters.
    folder
        Folder of the sample cache.
    device
        Where the net is.
    """

    def __init__(self, cases: Sequence[TrainingCase], params: Params, folder: Path, device: str) -> None:
        self.cases = [case for case in cases if case.findings]
        self.params, self.device = params, device
        self.findings = [(case, channel) for case in self.cases for channel in range(len(case.findings))]
        self._cache = SampleCache(folder, int(params["cache_mb"]) * 2**20)

    def arrays(self, case: TrainingCase) -> dict[str, Array]:
        """Return ``ct`` (X, Y, Z), ``coordinates`` (3, X, Y, Z) and ``masks`` (F, X, Y, Z) of a case."""
        grid, margin = self.params["grid_mm"], self.params["margin_mm"]
        return self._cache.get(f"{case.id} {grid} {margin}", lambda: _decoded(case, grid, margin))

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Cut a crop for one finding: round a voxel of it, or anywhere; with all texts of its case."""
        case, channel = self.findings[index]
        arrays, size = self.arrays(case), int(self.params["crop"])
        ct, coordinates, masks = arrays["ct"], arrays["coordinates"], arrays["masks"]
        inside = np.argwhere(masks[channel])
        if len(inside) and rng.random() < self.params["centred"]:
            centre = inside[rng.integers(len(inside))] + rng.integers(-size // 4, size // 4 + 1, 3)
        else:
            centre = rng.integers(ct.shape)
        first = [int(np.clip(c - size // 2, 0, max(0, n - size))) for c, n in zip(centre, ct.shape, strict=True)]
        cut: Any = (..., *(slice(f, f + size) for f in first))
        gain, offset, noise = rng.normal(1, 0.03), rng.normal(0, 8), rng.uniform(0, 12)
        cropped = ct[cut] * gain + offset + noise * rng.standard_normal(ct[cut].shape)
        shift = rng.normal(0, self.params["place_jitter"], (3, 1, 1, 1))
        points = [_points(np.argwhere(mask), coordinates, rng) for mask in masks]
        anywhere = np.stack([rng.integers(n, size=2 * _POINTS) for n in ct.shape], 1)
        return {
            "ct": _filled(cropped, size, OUTSIDE_HU).astype(np.float32),
            "coordinates": (_filled(coordinates[cut], size, "edge") + shift).astype(np.float32),
            "masks": _filled(masks[cut], size, 0),
            "points": np.stack(points, 1).astype(np.float32),
            "anywhere": _points(anywhere, coordinates, None).astype(np.float32),
            "texts": [finding.text for finding in case.findings],
        }

    def loss(self, module: torch.nn.Module, samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the parts of the loss: soft Dice where a finding is in its crop, cross-entropy, and place."""
        names = ("ct", "coordinates")
        ct, coordinates = (self._tensor(np.stack([sample[name] for sample in samples])) for name in names)
        encoded = [encode_texts(sample["texts"], self.device) for sample in samples]
        looks_found, places_found = module(ct, coordinates, encoded)
        net: TinyNet = getattr(module, "module", module)
        dice, cross, place = [], [], []
        for sample, look, lie, (_, words) in zip(samples, looks_found, places_found, encoded, strict=True):
            parts = _dice_and_cross(log_probability(look.float(), lie.float()), self._tensor(sample["masks"]).float())
            dice.append(parts[0])
            cross.append(parts[1])
            there = net.place_logits(self._tensor(sample["points"]).flatten(1), words).unflatten(
                1, (len(words), _POINTS)
            )
            own = torch.diagonal(there, dim1=0, dim2=1)
            anywhere = net.place_logits(self._tensor(sample["anywhere"]), words)
            place.append(-F.logsigmoid(own).mean() - F.logsigmoid(-anywhere).mean())
        shown = torch.cat(dice)
        return {
            # A crop without any finding has no Dice; the net's own zero keeps the graph whole.
            "dice": shown.mean() if len(shown) else 0 * torch.stack(place).mean(),
            "cross_entropy": self.params["cross_entropy"] * torch.cat(cross).mean(),
            "place": self.params["place"] * torch.stack(place).mean(),
        }

    def dices(self, module: torch.nn.Module, numbers: Sequence[int]) -> list[float]:
        """Return the Dice of every finding of some cases, on the coarse grid."""
        found = []
        for case in (self.cases[number] for number in numbers):
            arrays = self.arrays(case)
            encoded = encode_texts([finding.text for finding in case.findings], self.device)
            probabilities = probability(
                module, self._tensor(arrays["ct"]), self._tensor(arrays["coordinates"]), encoded
            )
            for one, mask in zip(probabilities, self._tensor(arrays["masks"]), strict=True):
                inside = one > self.params["threshold"]
                both, sum_of_both = int((inside & mask).sum()), int(inside.sum() + mask.sum())
                found.append(2 * both / sum_of_both if sum_of_both else 1.0)
        return found

    def _tensor(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def probability(
    net: torch.nn.Module, ct: torch.Tensor, coordinates: torch.Tensor, texts: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Return the probability of every voxel of a whole box for every text, (F, X, Y, Z)."""
    shape = ct.shape
    ends = [end for length in reversed(shape) for end in (0, -length % 8)]  # the U-Net halves three times
    ct = F.pad(ct[None, None], ends, mode="replicate")[0]
    coordinates = F.pad(coordinates[None], ends, mode="replicate")
    with torch.no_grad():
        (look,), (place,) = net(ct, coordinates, [texts])
    found = log_probability(look.float(), place.float()).exp()
    return found[:, : shape[0], : shape[1], : shape[2]]


def _decoded(case: TrainingCase, grid_mm: float, margin_mm: float) -> dict[str, Array]:
    volume = case.volume(np.float32)
    frame = find_frame(volume, case.affine, grid_mm=grid_mm, margin_mm=margin_mm)
    masks = []
    for labels in case.labels():
        share = frame.coarse((labels > 0).astype(np.float32))
        # What is smaller than half a coarse voxel is the voxel that it fills most.
        masks.append((share >= min(0.5, share.max())) & (share > 0))
    return {"ct": frame.coarse(volume), "coordinates": frame.coordinates(), "masks": np.stack(masks)}


def _dice_and_cross(log_p: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the soft Dice loss of the findings that are in the crop, and the cross-entropy of all.

    The positive part is a mean over the finding and the negative part fifty times a mean over the crop: a nodule of ten
    voxels weighs as much as an effusion of ten thousand.
    """
    p = log_p.exp()
    inside = masks.flatten(1).sum(1)
    overlap, found = (p * masks).flatten(1).sum(1), p.flatten(1).sum(1)
    dice = 1 - (2 * overlap + 1) / (found + inside + 1)
    log_not = torch.log1p(-p.clamp(max=1 - 1e-5))
    positive = -(masks * log_p).flatten(1).sum(1) / (inside + 5)
    return dice[inside > 0], positive - 50 * ((1 - masks) * log_not).flatten(1).mean(1)


def _points(voxels: Array, coordinates: Array, rng: np.random.Generator | None) -> Array:
    """Return the coordinates at some voxels, (3, N); with `rng`, at `_POINTS` of them, drawn with replacement."""
    if rng is not None:
        voxels = voxels[rng.integers(len(voxels), size=_POINTS)] if len(voxels) else np.zeros((_POINTS, 3), int)
    return coordinates[:, voxels[:, 0], voxels[:, 1], voxels[:, 2]]


def _filled(array: Array, size: int, value: float | str) -> Array:
    """Fill the last three axes up to `size`: a volume may be smaller than a crop."""
    ends = [(0, 0)] * (array.ndim - 3) + [(0, size - length) for length in array.shape[-3:]]
    if not any(end for _, end in ends):
        return array
    return np.pad(array, ends, mode="edge") if value == "edge" else np.pad(array, ends, constant_values=value)
