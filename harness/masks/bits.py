"""Masks as sparse bit grids: the nonzero words of a volume.

A row of voxels along the first axis (the fastest in a NIfTI file) is cut into words of 64, and only the words that
contain foreground are kept: 16 bytes each, whatever the shape of the volume. A label image is the same with one entry
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
from harness.masks.values import checked, decoded, storage_warnings
from harness.masks.verdict import refused
from harness.rows import MaskProblem

Shape = tuple[int, int, int]
Words = NDArray[np.int32]

#: Voxels in a word.
WORD = 64

#: Largest label of a ground truth.
MAX_LABEL = 2**31 - 1

#: Limit of the numbers of words in :class:`Bits`.
MAX_WORDS = 2**31

#: Where a mask spreads over more than so many times its words, these are looked up one by one in another mask.
_SCATTERED = 16

#: Words of a channel that are drawn together at a time.
_WORDS_AT_A_TIME = 1 << 13


#: Up to this share of ones NumPy looks for each, and above it at every value, which costs less from the other share on:
#: there, ones are added at the end and left out again.
_SLOW, _FEW = 0.1, 0.02


class TooDense(Exception):  # noqa: N818 - the mask itself is valid
    """Several channels together exceed the memory limit; each can be read separately."""


@dataclass(frozen=True)
class Bits:
    """A labelled mask.

    Attributes
    ----------
    shape
        Voxels (H, W, D); H is the fastest.
    words
        (n,) int32, ascending: word ``x // 64`` of row ``y + W * z`` is number ``row * ceil(H / 64) + x // 64``.
    labels
        (n,) int32, at least 1, ascending within a word.
    bits
        (n,) uint64; bit ``x % 64`` is the voxel. Entries of one word are disjoint, and none is zero.
    """

    shape: Shape
    words: Words
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
        words, bits = self.words, self.bits
        again = words[1:] == words[:-1]
        if again.any():
            first = np.flatnonzero(np.append(True, ~again))
            words, bits = words[first], np.bitwise_or.reduceat(bits, first)
        return Bits(self.shape, words, _ones(len(words)), bits)

    def select(self, keep: NDArray[np.bool_]) -> Bits:
        """Return the entries where `keep` is true."""
        return Bits(self.shape, self.words[keep], self.labels[keep], self.bits[keep])

    def within(self, first: int, last: int) -> Bits:
        """Return the entries from `first` to before `last`, without copying them."""
        here = slice(first, last)
        return Bits(self.shape, self.words[here], self.labels[here], self.bits[here])

    def intersection(self, other: Bits) -> int:
        """Count the voxels that are foreground in both."""
        few, many = sorted((self.flat, other.flat), key=lambda mask: len(mask.words))
        if not len(few.words):
            return 0
        first, last = int(few.words[0]), int(few.words[-1])
        near = slice(*np.searchsorted(many.words, [first, last + 1]))
        words, bits = many.words[near], many.bits[near]
        if not len(words):
            return 0
        if _SCATTERED * len(few.words) < last - first:  # a table of so many words costs more than looking for the few
            place = np.minimum(np.searchsorted(words, few.words), len(words) - 1)
            common = bits[place] & few.bits
            common[words[place] != few.words] = 0
        else:
            table = np.zeros(last - first + 1, np.uint64)
            table[few.words - first] = few.bits
            common = table[words - first] & bits
        return int(np.bitwise_count(common).sum(dtype=np.int64))

    def coordinates(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return x, y, z of every foreground voxel, entry by entry."""
        entry, bit = positions(self.bits)
        word = self.words[entry].astype(np.int64)
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
    found = set_bits(bits)
    return found >> 6, found & 63


def set_bits(bits: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return 64 times the entry plus the bit number of every set bit, in order."""
    little = bits.astype("<u8", copy=False)
    n, size = int(np.bitwise_count(little).sum(dtype=np.int64)), WORD * len(little)
    if _FEW * size < n <= _SLOW * size:
        more = 1 + int((_SLOW * size - n) / (1 - _SLOW)) // WORD
        little = np.append(little, np.full(more, ~np.uint64(0))).astype("<u8", copy=False)
    return np.flatnonzero(np.unpackbits(little.view(np.uint8), bitorder="little").view(np.bool_))[:n]


def in_order(shape: Shape, words: Words, labels: NDArray[np.int32], bits: NDArray[np.uint64]) -> Bits:
    """Make a grid from entries whose words ascend: sort the labels within each word, and unite what shares one."""
    again = words[1:] == words[:-1]
    if not again.any():
        return Bits(shape, words, labels, bits)
    if (amiss := again & (labels[1:] < labels[:-1])).any():  # of most words no two labels have to change places
        word = np.cumsum(np.append(True, ~again)) - 1
        mixed = np.zeros(word[-1] + 1, bool)
        mixed[word[1:][amiss]] = True
        shared = np.flatnonzero(mixed[word])
        order = shared[np.argsort((words[shared].astype(np.int64) << 32) | labels[shared])]
        labels, bits = labels.copy(), bits.copy()
        labels[shared], bits[shared] = labels[order], bits[order]
    first = np.flatnonzero(np.append(True, ~(again & (labels[1:] == labels[:-1]))))
    return Bits(shape, words[first], labels[first], np.bitwise_or.reduceat(bits, first))


def stacked(shape: Shape, pieces: list[Bits]) -> Bits:
    """Make one grid of pieces whose words ascend, and empty the list meanwhile, so that memory never has two copies."""
    if not pieces:
        return Bits(shape, np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.uint64))
    columns: list[list[NDArray[Any]]] = [
        [piece.words for piece in pieces],
        [piece.labels for piece in pieces],
        [piece.bits for piece in pieces],
    ]
    pieces.clear()
    words = np.concatenate(columns.pop(0))
    labels = _concatenated(columns.pop(0))
    return Bits(shape, words, labels, np.concatenate(columns.pop(0)))


def _ones(n: int) -> NDArray[np.int32]:
    """Return the label 1 `n` times, without memory for it."""
    return np.broadcast_to(np.int32(1), n)


def _concatenated(labels: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Put labels one behind the other; those of plain foreground stay without memory."""
    if all(not len(part) or (part.strides == (0,) and part[0] == 1) for part in labels):
        return _ones(sum(map(len, labels)))
    return np.concatenate(labels)


def from_coordinates(
    shape: Shape, x: NDArray[np.int64], y: NDArray[np.int64], z: NDArray[np.int64], labels: NDArray[np.int32]
) -> Bits:
    """Make a grid from distinct voxels in any order."""
    word = (z * shape[1] + y) * row_words(shape) + x // WORD
    order = np.argsort(word, kind="stable")
    bit = np.uint64(1) << (x[order] % WORD).astype(np.uint64)
    return in_order(shape, word[order].astype(np.int32), labels[order], bit)


def read_bits(
    volume: Volume,
    shape: Shape,
    channels: int,
    wanted: Sequence[int],
    *,
    labelled: bool,
    wrap: bool = False,
    most: int | None = None,
) -> tuple[list[Bits], list[MaskProblem]]:
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
    most
        Limit of the entries of several channels together.

    Returns
    -------
    list of Bits, list of MaskProblem
        One grid per requested channel; warnings about the storage of the values.

    Raises
    ------
    Refused
        The stream is damaged, or contains values that are not finite, not whole or negative.
    TooDense
        More than one channel is requested, and together they have more than `most` entries.
    """
    header = volume.header
    kept = [_Channel(shape, channels, channel) for channel in wanted]
    highest = 0
    for words, found in _nonzero_groups(volume, shape, channels):
        values = checked(found if header.scaled else decoded(found, header), header)  # scaled ones were decoded there
        top = int(values.max(initial=0))
        highest = max(highest, top)
        if wrap and top > 255:
            values = values % 256
        if labelled and highest > MAX_LABEL:
            raise refused(
                "labels",
                f"the mask contains the label {highest}",
                cause="a damaged file",
                fix="number the entities 1, 2, 3, ...",
            )
        flags = _pack(values)
        for channel in kept:
            channel.add(words, flags, values if labelled and top > 1 else None)
        if most is not None and len(kept) > 1 and sum(channel.entries for channel in kept) > most:
            raise TooDense
    return [channel.grid() for channel in kept], storage_warnings(header, highest, trailing=volume.trailing)


def _nonzero_groups(volume: Volume, shape: Shape, channels: int) -> Iterator[tuple[Words, NDArray[Any]]]:
    """Yield (words (g,), values (g, 64 channels)) of the words that are not all zero bytes."""
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
            if not len(hit):
                first_row += len(rows)
                continue
            groups = rows.reshape(-1, WORD * channels)
            groups = groups if len(hit) == len(groups) else groups[hit]
            words = first_row * per_row + hit
        else:
            if header.scaled:
                rows = decoded(rows, header)  # before zeros are looked for: an intercept hides them
            used = np.flatnonzero((rows != 0).any(axis=1))
            padded = np.zeros((len(used), per_row * WORD * channels), dtype=rows.dtype)
            padded[:, :row_values] = rows[used]
            groups = padded.reshape(-1, WORD * channels)
            words = ((first_row + used)[:, np.newaxis] * per_row + np.arange(per_row)).reshape(-1)
        first_row += len(rows)
        if len(words):
            yield words.astype(np.int32), groups


class _Channel:
    """The stored part of one channel.

    The flags of a word's voxels lie between those of the other channels; they are drawn together for many words at a
    time.
    """

    def __init__(self, shape: Shape, channels: int, channel: int) -> None:
        self._shape = shape
        self._mask = _pack(np.tile(np.arange(channels) == channel, WORD)[np.newaxis])  # (channels, 1)
        self._moves, self._offsets = _compression(self._mask)
        self._waiting: list[tuple[Words, NDArray[np.int32], NDArray[np.uint64]]] = []
        self._done: list[Bits] = []
        self._n = 0
        self.entries = 0  #: added so far

    def add(self, words: Words, flags: NDArray[np.uint64], values: NDArray[Any] | None) -> None:
        """Add the words of this channel.

        Parameters
        ----------
        words
            (g,) their numbers.
        flags
            (channels, g) which values are not 0.
        values
            (g, 64 channels) labels; None: every label is 1.
        """
        mine = flags & self._mask
        used = np.flatnonzero(np.bitwise_or.reduce(mine, axis=0))
        if not len(used):
            return
        if len(used) < len(words):
            words, mine = words[used], mine[:, used]
            values = None if values is None else values[used]
        pieces = [(words, _ones(len(words)), mine)] if values is None else _peeled(words, mine, values)
        if len(pieces) > 1:
            words, labels, mine = (np.concatenate(parts, axis=-1) for parts in zip(*pieces, strict=True))
            order = np.lexsort((labels, words))
            pieces = [(words[order], labels[order], mine[:, order])]
        self._waiting += pieces
        self._n += len(pieces[0][0])
        self.entries += len(pieces[0][0])
        if self._n >= _WORDS_AT_A_TIME:
            self._draw_together()

    def _draw_together(self) -> None:
        parts = list(zip(*self._waiting, strict=True))
        self._waiting.clear()
        flags: NDArray[np.uint64] = np.concatenate(parts[2], axis=-1)
        for distance, moves in self._moves:
            moved = flags & moves
            flags ^= moved
            moved >>= distance
            flags |= moved
        flags <<= self._offsets
        bits = np.bitwise_or.reduce(flags, axis=0)
        self._done.append(Bits(self._shape, np.concatenate(parts[0]), _concatenated(list(parts[1])), bits))
        self._n = 0

    def grid(self) -> Bits:
        """Return everything that was added, and release it."""
        if self._waiting:
            self._draw_together()
        return stacked(self._shape, self._done)


def _peeled(
    words: Words, left: NDArray[np.uint64], values: NDArray[Any]
) -> list[tuple[Words, NDArray[np.int32], NDArray[np.uint64]]]:
    """Return (words, labels, flags), a label of each word at a time: that of the lowest voxel left."""
    pieces = []
    while len(words):
        every = np.arange(len(words))
        part = np.argmax(left != 0, axis=0)
        lowest = left[part, every]
        place = np.bitwise_count((lowest & (~lowest + np.uint64(1))) - np.uint64(1))
        labels = values[every, part * WORD + place]
        here = _pack(values == labels[:, np.newaxis]) & left
        pieces.append((words, labels.astype(np.int32), here))
        left = left ^ here
        rest = np.flatnonzero(np.bitwise_or.reduce(left, axis=0))
        words, left, values = words[rest], left[:, rest], values[rest]
    return pieces


def _compression(mask: NDArray[np.uint64]) -> tuple[list[tuple[np.uint64, NDArray[np.uint64]]], NDArray[np.uint64]]:
    """Return how to draw the bits of `mask` together: by how much which of them move right, then each word's offset.

    Source: Warren, Hacker's Delight, 2nd edition, section 7-4.
    """
    moves = []
    held = mask.copy()
    gaps = ~mask << np.uint64(1)  # zeros to the right of each bit, counted bit by bit
    for i in range(6):
        odd = gaps
        for k in range(6):
            odd = odd ^ (odd << np.uint64(1 << k))
        moving = odd & held
        if moving.any():
            moves.append((np.uint64(1 << i), moving))
        held = (held ^ moving) | (moving >> np.uint64(1 << i))
        gaps = gaps & ~odd
    counts = np.bitwise_count(mask).astype(np.uint64)
    return moves, np.cumsum(counts, axis=0, dtype=np.uint64) - counts


def _pack(flags: NDArray[Any]) -> NDArray[np.uint64]:
    """Pack (n, 64 k) values, which count as 0 or not, into (k, n) words."""
    n, width = flags.shape
    if flags.dtype.itemsize > 1:
        flags = flags != 0
    packed = np.packbits(flags.reshape(-1).view(np.uint8), bitorder="little").view("<u8")
    return np.ascontiguousarray(packed.astype(np.uint64, copy=False).reshape(n, width // WORD).T)
