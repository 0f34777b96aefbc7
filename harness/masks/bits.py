"""Masks as sparse bit grids: what is left of a volume once its zeros are dropped.

A row of voxels along the first axis (the fastest in a NIfTI file) is cut into words of 64, and only the words that
hold foreground are kept: 20 bytes each, whatever the shape of the volume. A label image is the same with one entry
for every label in a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.masks.stream import Volume
from harness.masks.verdict import Problem, refused, warning

Shape = tuple[int, int, int]

#: Voxels in a word.
WORD = 64

#: Largest label of a ground truth.
MAX_LABEL = 2**31 - 1

#: Labels looked for in a whole block before its words are looked at one by one.
_BLOCK_LABELS = 4

#: Words, labels and bits, as in :class:`Bits`.
_Entries = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint64]]


@dataclass(frozen=True)
class Bits:
    """A labelled mask.

    Attributes
    ----------
    shape
        Voxels (H, W, D); H is the fastest.
    words
        (n,) int64, ascending: word ``x // 64`` of row ``y + W * z`` is number ``row * ceil(H / 64) + x // 64``.
    labels
        (n,) int32, at least 1, ascending within a word.
    bits
        (n,) uint64; bit ``x % 64`` is the voxel. Entries of one word are disjoint, and none is zero.
    """

    shape: Shape
    words: NDArray[np.int64]
    labels: NDArray[np.int32]
    bits: NDArray[np.uint64]

    @cached_property
    def count(self) -> int:
        """Number of foreground voxels."""
        return int(np.bitwise_count(self.bits).sum(dtype=np.int64))

    @property
    def row_words(self) -> int:
        """Words in a row."""
        return row_words(self.shape)

    @cached_property
    def flat(self) -> Bits:
        """The union of all labels, as label 1."""
        if not len(self.words) or bool((np.diff(self.words) > 0).all()):
            return Bits(self.shape, self.words, np.ones(len(self.words), np.int32), self.bits)
        first = np.flatnonzero(np.diff(self.words, prepend=-1))
        return Bits(
            self.shape, self.words[first], np.ones(len(first), np.int32), np.bitwise_or.reduceat(self.bits, first)
        )

    def select(self, keep: NDArray[np.bool_]) -> Bits:
        """Return the entries where `keep` is true."""
        return Bits(self.shape, self.words[keep], self.labels[keep], self.bits[keep])

    def intersection(self, other: Bits) -> int:
        """Count the voxels that are foreground in both."""
        mine, theirs = self.flat, other.flat
        if not len(mine.words) or not len(theirs.words):
            return 0
        first, last = mine.words[0], mine.words[-1]
        table = np.zeros(last - first + 1, np.uint64)
        table[mine.words - first] = mine.bits
        near = slice(*np.searchsorted(theirs.words, [first, last + 1]))
        common = table[theirs.words[near] - first] & theirs.bits[near]
        return int(np.bitwise_count(common).sum(dtype=np.int64))

    def coordinates(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return x, y, z of every foreground voxel, entry by entry."""
        entry, bit = positions(self.bits)
        word = self.words[entry]
        row, column = np.divmod(word, self.row_words)
        z, y = np.divmod(row, self.shape[1])
        return column * WORD + bit, y, z

    def flipped(self, axes: Sequence[int]) -> Bits:
        """Return the mask with these axes (of 0 and 1) reversed."""
        x, y, z = self.coordinates()
        labels = np.repeat(self.labels, np.bitwise_count(self.bits))
        h, w, _ = self.shape
        return from_coordinates(self.shape, h - 1 - x if 0 in axes else x, w - 1 - y if 1 in axes else y, z, labels)


def row_words(shape: Shape) -> int:
    """Return the number of words in a row of a volume of this shape."""
    return -(-shape[0] // WORD)


def positions(bits: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (entry, bit number) of every set bit, in order."""
    little = bits.astype("<u8", copy=False)
    found = np.flatnonzero(np.unpackbits(little.view(np.uint8), bitorder="little"))
    return found >> 6, found & 63


def from_coordinates(
    shape: Shape, x: NDArray[np.int64], y: NDArray[np.int64], z: NDArray[np.int64], labels: NDArray[np.int32]
) -> Bits:
    """Make a grid from distinct voxels in any order."""
    word = (z * shape[1] + y) * row_words(shape) + x // WORD
    order = np.lexsort((labels, word))
    word, labels = word[order], labels[order]
    bit = np.uint64(1) << (x[order] % WORD).astype(np.uint64)
    first = np.flatnonzero((np.diff(word, prepend=-1) != 0) | (np.diff(labels, prepend=0) != 0))
    bits = np.bitwise_or.reduceat(bit, first) if len(first) else bit
    return Bits(shape, word[first], labels[first], bits)


def from_array(labels: NDArray[Any]) -> Bits:
    """Make a grid from a whole (H, W, D) array of labels; for tests and small volumes."""
    x, y, z = (axis.astype(np.int64) for axis in np.nonzero(labels))
    h, w, d = labels.shape
    return from_coordinates((h, w, d), x, y, z, labels[x, y, z].astype(np.int32))


def read_bits(
    volume: Volume, shape: Shape, channels: int, wanted: Sequence[int], *, labelled: bool, wrap: bool = False
) -> tuple[list[Bits], list[Problem]]:
    """Read the wanted channels of a mask file in one streaming pass.

    Parameters
    ----------
    volume
        An open file whose voxels are (channels, H, W, D) in Fortran order: the channels of one voxel are neighbours.
    shape
        (H, W, D).
    channels
        Extent of the first axis; 1 for a plain 3-D mask.
    wanted
        Channels to return.
    labelled
        Keep the values as labels (ground truth); otherwise everything above 0 becomes label 1 (prediction).
    wrap
        Take values modulo 256 first, as a conversion to uint8 does.

    Returns
    -------
    list of Bits, list of Problem
        One grid a wanted channel; warnings about how the values are stored.

    Raises
    ------
    Refused
        The stream is damaged, or holds values that are not finite, not whole or negative.
    """
    header = volume.header
    kept: list[list[_Entries]] = [[] for _ in wanted]
    highest = 0
    masks = _channel_masks(channels)
    for words, groups in _nonzero_groups(volume, shape, channels):
        values = _checked(groups)
        highest = max(highest, int(values.max(initial=0)))
        if wrap and highest > 255:
            values = values % 256
        if labelled and highest > MAX_LABEL:
            raise refused(
                "labels",
                f"the mask holds the label {highest}",
                cause="a damaged file",
                fix="number the entities 1, 2, 3, ...",
            )
        interleaved = _pack((values != 0).reshape(len(values), -1))
        for out, channel in zip(kept, wanted, strict=True):
            used = np.flatnonzero(reduce(np.bitwise_or, (interleaved & masks[channel]).T))
            mine = values[:, :, channel][used]
            out.extend(_entries(words[used], mine) if labelled else [_union(words[used], mine)])
    grids = [_joined(shape, pieces) for pieces in kept]
    problems = []
    if header.dtype.kind == "f" or header.dtype.itemsize > 1:
        problems.append(
            warning(
                "dtype",
                f"the mask is stored as {header.dtype.name}; uint8 says the same in fewer bytes and is read faster",
                cause="an array that was not converted before saving",
                fix="store it as uint8: mask.astype('uint8')",
            )
        )
    if highest > 1:
        problems.append(
            warning(
                "labels",
                f"the mask holds values up to {highest}; every value above 0 counts as foreground",
                cause="entity labels, or 255 for true",
                fix="nothing, if every label belongs to the finding; otherwise write 1 where the finding is, else 0",
            )
        )
    return grids, problems


def _nonzero_groups(volume: Volume, shape: Shape, channels: int) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Yield (words (g,), values (g, 64, channels)) of the words that are not all zero bytes."""
    header = volume.header
    h = shape[0]
    per_row = row_words(shape)
    row_values = h * channels
    row_bytes = row_values * header.dtype.itemsize
    aligned = h % WORD == 0 and not header.scaled
    first_row = 0
    for block in volume.blocks(row_bytes):
        rows = np.frombuffer(block, dtype=header.dtype).reshape(-1, row_values)
        if aligned:
            flags = (np.frombuffer(block, dtype=np.uint64) != 0).view(np.uint64)  # a flag for every 8 bytes
            hit = np.flatnonzero(reduce(np.bitwise_or, flags.reshape(-1, channels * header.dtype.itemsize).T) != 0)
            groups = rows.reshape(-1, WORD, channels)[hit]
            words = first_row * per_row + hit
        else:
            if header.scaled:
                with np.errstate(over="ignore", invalid="ignore"):  # judged by their values, below
                    rows = rows * np.float64(header.slope) + header.inter
            used = np.flatnonzero((rows != 0).any(axis=1))
            padded = np.zeros((len(used), per_row * WORD * channels), dtype=rows.dtype)
            padded[:, :row_values] = rows[used]
            groups = padded.reshape(-1, WORD, channels)
            words = ((first_row + used)[:, np.newaxis] * per_row + np.arange(per_row)).reshape(-1)
        first_row += len(rows)
        if len(words):
            yield words, groups


def _checked(groups: NDArray[Any]) -> NDArray[Any]:
    """Return the values, which are whole numbers of at least 0; raises Refused where they are not."""
    if groups.dtype.kind == "u":
        return groups
    if groups.dtype.kind == "f":
        if not np.isfinite(groups).all():
            raise refused(
                "not_finite",
                "the mask holds NaN or infinite values",
                cause="a division by zero or an overflow before thresholding",
                fix="threshold the model's output and store it as uint8",
            )
        if (groups != np.trunc(groups)).any():
            raise refused(
                "not_binary",
                "the mask holds fractions",
                cause="probabilities saved in place of a mask, or a mask resampled with interpolation",
                fix="threshold the model's output (for instance at 0.5), or resample with nearest neighbour",
            )
    if groups.min(initial=0) < 0:
        raise refused(
            "negative",
            "the mask holds negative values",
            cause="logits or signed distances saved in place of a mask, or a wrong scl_inter",
            fix="threshold the model's output and store it as uint8",
        )
    return groups


def _channel_masks(channels: int) -> NDArray[np.uint64]:
    """Return (channels, channels) words: the bits of each channel in 64 voxels of interleaved flags."""
    return _pack(np.tile(np.eye(channels, dtype=bool), WORD))


def _union(words: NDArray[np.int64], values: NDArray[Any]) -> _Entries:
    """Turn (g, 64) values, none of them all zero, into entries of one label."""
    return words, np.ones(len(words), np.int32), _pack(values != 0)[:, 0]


def _entries(words: NDArray[np.int64], values: NDArray[Any]) -> Iterator[_Entries]:
    """Turn (g, 64) values into entries, one label after the other.

    Labels are taken for the whole block while that is likely to take them all, then word by word.
    """
    for _ in range(_BLOCK_LABELS):
        label = values.max(initial=0)
        if not label:
            return
        here = values == label
        bits = _pack(here)[:, 0]
        keep = np.flatnonzero(bits)
        yield words[keep], np.full(len(keep), label, np.int32), bits[keep]
        values = values * ~here
    while len(rest := np.flatnonzero(values.any(axis=1))):
        words, values = words[rest], values[rest]
        labels = values.max(axis=1)
        here = values == labels[:, np.newaxis]
        yield words, labels.astype(np.int32), _pack(here)[:, 0]
        values = values * ~here


def _pack(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack (n, 64 k) flags into (n, k) words."""
    packed = np.packbits(flags, axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False)


def _joined(shape: Shape, pieces: list[_Entries]) -> Bits:
    words = np.concatenate([piece[0] for piece in pieces]) if pieces else np.empty(0, np.int64)
    labels = np.concatenate([piece[1] for piece in pieces]) if pieces else np.empty(0, np.int32)
    bits = np.concatenate([piece[2] for piece in pieces]) if pieces else np.empty(0, np.uint64)
    pieces.clear()
    if len(words) and not bool((np.diff(words) > 0).all()):
        order = np.lexsort((labels, words))
        words, labels, bits = words[order], labels[order], bits[order]
    return Bits(shape, words, labels, bits)
