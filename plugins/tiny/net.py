"""The net: a small 3-D U-Net that encodes a CT once, and heads that apply one text after another to its features."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's name
from words import BUCKETS, PLACES  # type: ignore[import-not-found] # a module of this plugin

#: (low, high) of each Hounsfield window, mapped to -1 .. 1: emphysema, lung, haze, soft tissue, calcium.
WINDOWS = ((-1000.0, -850.0), (-950.0, -650.0), (-800.0, -200.0), (-150.0, 150.0), (0.0, 600.0))

#: Logits of the untrained heads for appearance and place: an untrained net finds nothing.
NO_LOOK, ANY_PLACE = -3.0, 2.0


class Block(nn.Module):
    """Two convolutions with a short cut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv3d(before, after, 3, padding=1, bias=False), nn.BatchNorm3d(after)
        self.second, self.norm2 = nn.Conv3d(after, after, 3, padding=1, bias=False), nn.BatchNorm3d(after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features, (B, after, X, Y, Z)."""
        first = F.relu(self.norm1(self.first(x)))
        return F.relu(self.norm2(self.second(first)) + first)


class TinyNet(nn.Module):
    """Grounds texts in a CT: the probability of a voxel is that of its appearance times that of its place.

    Parameters
    ----------
    width
        Channels at the full resolution; two and three times as many below.
    words
        Length of a word vector.
    dropout
        Fraction of a text's vector that is dropped in training.
    """

    def __init__(self, width: int = 16, words: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        w = width
        self.enter, self.norm_enter = nn.Conv3d(len(WINDOWS) + 4, w, 3, padding=1, bias=False), nn.BatchNorm3d(w)
        self.down1, self.down2, self.down3 = Block(w, 2 * w), Block(2 * w, 3 * w), Block(3 * w, 3 * w)
        self.side2, self.up2 = nn.Conv3d(3 * w, 3 * w, 1), Block(3 * w, 2 * w)
        self.side1, self.up1 = nn.Conv3d(2 * w, 2 * w, 1), Block(2 * w, 2 * w)
        self.lift, self.side0 = nn.Conv3d(2 * w, w, 1), nn.Conv3d(w, w, 1)
        self.leave, self.norm_leave = nn.Conv3d(w, w, 3, padding=1, bias=False), nn.BatchNorm3d(w)
        self.vectors = nn.EmbeddingBag(BUCKETS, words, mode="mean")
        nn.init.normal_(self.vectors.weight, std=0.5)
        self.dropout = nn.Dropout(dropout)
        self.answer = nn.Sequential(nn.Linear(words, 64), nn.ReLU(), nn.Linear(64, 2 * w + 1))
        self.place = nn.Linear(len(PLACES), len(place_terms(torch.zeros(3))))
        nn.init.zeros_(self.place.weight)
        nn.init.zeros_(self.place.bias)

    def forward(
        self, ct: torch.Tensor, coordinates: torch.Tensor, texts: list[tuple[torch.Tensor, torch.Tensor]]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Compute the logits of every CT of a batch for its texts.

        Parameters
        ----------
        ct
            (B, X, Y, Z), Hounsfield units.
        coordinates
            (B, 3, X, Y, Z), -1 to 1 over the lungs along x, y, z.
        texts
            For each CT the rows of its texts' words, (F, W) padded with -1, and their places, (F, P).

        Returns
        -------
        tuple of two lists of Tensor
            For each CT the logits of appearance and place, each (F, X, Y, Z).
        """
        features = self.encode_image(ct, coordinates)
        looks = [self.appearance_logits(one, rows) for one, (rows, _) in zip(features, texts, strict=True)]
        return looks, [self.place_logits(one, places) for one, (_, places) in zip(coordinates, texts, strict=True)]

    def encode_image(self, ct: torch.Tensor, coordinates: torch.Tensor) -> torch.Tensor:
        """Return the features of a batch, (B, C, X, Y, Z); independent of the texts."""
        layers = [((ct - low) * (2 / (high - low)) - 1).clamp(-1, 1) for low, high in WINDOWS]
        x, y, z = coordinates.clamp(-1.5, 1.5).unbind(1)
        channels = torch.stack([*layers, x, x.abs(), y, z], 1).contiguous(memory_format=torch.channels_last_3d)
        level0 = F.relu(self.norm_enter(self.enter(channels)))
        level1 = self.down1(F.avg_pool3d(level0, 2, ceil_mode=True))
        level2 = self.down2(F.avg_pool3d(level1, 2, ceil_mode=True))
        level3 = self.down3(F.avg_pool3d(level2, 2, ceil_mode=True))
        up = self.up2(_as(level3, level2) + self.side2(level2))
        up = self.up1(_as(up, level1) + self.side1(level1))
        up = F.relu(_as(self.lift(up), level0) + self.side0(level0))
        return torch.cat([up, F.relu(self.norm_leave(self.leave(up)))], 1)

    def appearance_logits(self, features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the logits of the appearance in texts, (F, X, Y, Z), from the features of one CT, (C, X, Y, Z)."""
        counts = (rows >= 0).sum(1)
        offsets = counts.cumsum(0) - counts
        answers = self.answer(self.dropout(self.vectors(rows[rows >= 0], offsets)))
        found = answers[:, :-1] @ features.flatten(1) + answers[:, -1:]
        return found.unflatten(1, features.shape[1:]) + NO_LOOK

    def place_logits(self, coordinates: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Return the logits of the places that texts name, (F, ...), at coordinates, (3, ...)."""
        terms = torch.stack(place_terms(coordinates)).flatten(1)
        return (self.place(places) @ terms).unflatten(1, coordinates.shape[1:]) + ANY_PLACE


def place_terms(coordinates: torch.Tensor) -> list[torch.Tensor]:
    """Return what a place is a sum of: the side, and the second-order terms of |x|, y and z.

    Every word of a place adds one such sum, so that places never seen in training are put together from their words.
    """
    x, y, z = coordinates
    side, a = torch.tanh(6 * x), x.abs()
    linear = [torch.ones_like(x), 2 * side, 2 * a - 1, 2 * y, 2 * z]
    squares = [2 * a * a - 0.5, 2 * y * y - 0.5, 2 * z * z - 0.5]
    return [*linear, *squares, 2 * a * y, 2 * a * z, 2 * y * z, side * z]


def log_probability(look: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the probability of a voxel."""
    return F.logsigmoid(look) + F.logsigmoid(place)


def _as(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="nearest")
