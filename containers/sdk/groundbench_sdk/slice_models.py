"""The base of 2-D models that are prompted with text: axial slices, each encoded once for all findings of a case."""

from __future__ import annotations

import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Iterator, Sequence

import numpy as np

from groundbench_sdk.finetuning import Training
from groundbench_sdk.grids import reorient_to
from groundbench_sdk.records import Case, Job, Rejected, TrainingCase
from groundbench_sdk.slices import SliceSamples, Square, slices_with_truth
from groundbench_sdk.text_models import TextModel

if TYPE_CHECKING:
    import torch


#: Threads, at most, that draw the pictures of the next slices while these are computed, and resize what is found.
_DRAWING = 4

#: How a network computes when it predicts: as it is; with the GPU's rounded products of matrices (TF32); or in
#: bfloat16, where torch's autocast does so. Other than as it is means other masks.
PRECISIONS = ("float32", "tf32", "bf16")


class SliceModel(TextModel):
    """An adapter for a network with ``encode_image(pictures)`` and ``encode_text(text)``.

    ``encode_image`` is given (B, C, side, side), uint8: one channel per neighbouring slice (:meth:`neighbours`).
    Parameters of the variant: ``image_size``, side of the picture in pixels, a multiple of 32; ``slices_at_once``, B;
    ``precision`` of prediction, one of :data:`PRECISIONS` (``"float32"`` if it is not declared); in training
    ``negatives``, the fraction of slices without truth (0 if it is not declared); and those of
    :class:`~groundbench_sdk.text_models.TextModel`.

    Attributes
    ----------
    threshold : float
        A pixel is found where what :meth:`segment` returns, resized to the slice, is above this; set in ``load``.
    """

    axes = "LPS"  # [:, :, i].T is an axial picture as radiologists see it; slices are counted from the feet
    threshold: float

    # -- a plugin writes these ----------------------------------------------------------------------------------------

    def picture(self, hu: np.ndarray, square: Square) -> np.ndarray:
        """Return a slice (rows, columns), Hounsfield units, as a grey picture (side, side), uint8."""
        raise NotImplementedError

    def neighbours(self, index: int, depth: int) -> tuple[int, ...]:  # noqa: ARG002 - others have neighbours
        """Return the slices that are the channels of slice `index` of `depth`; by default that slice alone."""
        return (index,)

    def vary(
        self,
        pictures: np.ndarray,
        mask: np.ndarray,
        rng: np.random.Generator,  # noqa: ARG002 - others draw from it
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vary the pictures (C, side, side), uint8, of a training sample and its mask alike; by default not at all."""
        return pictures, mask

    def segment(self, features: Any, text: Any, first: int) -> np.ndarray:  # noqa: ARG002 - others draw from it
        """Segment one finding in some slices.

        Parameters
        ----------
        features
            What ``encode_image`` returned for B slices.
        text
            What ``encode_text`` returned.
        first
            Number of the first of these slices.

        Returns
        -------
        ndarray, shape (B, side, side), float32
            Logits or probabilities, to be compared with `threshold`; by default from the network's own ``segment``.
        """
        found: np.ndarray = self.network.segment(features, text)
        return found

    def losses(
        self, module: torch.nn.Module, pictures: torch.Tensor, texts: list[str], masks: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the named parts of the loss; by default the network's forward pass computes them.

        Parameters
        ----------
        module
            The network, wrapped where several processes train together.
        pictures
            (B, C, side, side), uint8, on the device.
        texts
            One per picture.
        masks
            (B, side, side), uint8, 0 or 1, on the device.
        """
        return dict(module(pictures, texts, masks))

    # -- the base does these ------------------------------------------------------------------------------------------

    def load(self, job: Job) -> None:
        """Check the size of the pictures, and load the network."""
        size = int(job.params["image_size"])
        if size < 32 or size % 32:
            raise Rejected(f"the parameter image_size must be a multiple of 32, not {size}")
        precision = job.params.get("precision", PRECISIONS[0])
        if precision not in PRECISIONS:
            raise Rejected(f"the parameter precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
        self.threshold = float(job.params["threshold"])
        super().load(job)

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``; findings are segmented independently of each other, so masks may overlap."""
        if not case.findings:
            return
        reorientation = reorient_to(self.axes, case.affine)
        ct = case.volume(np.int16, axes=self.axes, order="K")
        square, depth, at_once = self._square(ct), ct.shape[2], int(self.params["slices_at_once"])
        batches = [range(first, min(first + at_once, depth)) for first in range(0, depth, at_once)]
        threads = max(1, min(_DRAWING, self.job.threads))
        with self.without_gradients(), self._precisely(), ThreadPoolExecutor(threads) as pool:
            texts = [self.network.encode_text(self.fit_text(case, finding)) for finding in case.findings]
            masks = [np.zeros(ct.shape, bool, order="F") for _ in texts]
            drawn: dict[int, Future[np.ndarray]] = {}
            for numbers, after in zip(batches, [*batches[1:], range(0)]):
                wanted = {number: self.neighbours(number, depth) for number in (*numbers, *after)}
                for near in dict.fromkeys(near for nears in wanted.values() for near in nears):
                    drawn[near] = drawn.get(near) or pool.submit(self.picture, ct[:, :, near].T, square)
                shown = [np.stack([drawn[near].result() for near in wanted[number]]) for number in numbers]
                features = self.network.encode_image(np.stack(shown))
                needed = {near for number in after for near in wanted[number]}
                drawn = {near: made for near, made in drawn.items() if near in needed}
                for mask, text in zip(masks, texts):
                    slices = pool.map(square.restore, self.segment(features, text, numbers[0]))
                    for number, found in zip(numbers, slices):
                        mask[:, :, number] = (found > self.threshold).T
        for finding, mask in zip(case.findings, masks):
            yield finding.id, reorientation.restore(mask)

    @contextmanager
    def _precisely(self) -> Iterator[None]:
        """Compute in the declared precision."""
        precision = self.params.get("precision", PRECISIONS[0])
        if precision == PRECISIONS[0]:
            yield
            return
        import torch

        if precision == "bf16":
            with torch.autocast(self.device.partition(":")[0], torch.bfloat16):
                yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    def samples(
        self, train: Sequence[TrainingCase], training: Training
    ) -> tuple[int, Callable[[int, np.random.Generator], Any]]:
        """List the (finding, slice) pairs with truth, and ``negatives`` without; a sample is one of them."""
        truth = slices_with_truth(
            train,
            self.axes,
            training.state,
            rank=training.rank,
            world_size=training.world_size,
            threads=max(1, self.job.threads // 2),
        )
        depths = [reorient_to(self.axes, case.affine).values(case.shape)[2] for case in train]
        negatives = float(self.params.get("negatives", 0.0))
        pairs, cache, size = (
            SliceSamples(truth, depths, negatives),
            self.sample_cache(training),
            self.params["image_size"],
        )

        def sample(number: int, rng: np.random.Generator) -> tuple[np.ndarray, str, np.ndarray]:
            place, finding, index = pairs.pick(number, rng)
            case, depth = train[place], depths[place]
            slices = range(depth) if negatives else sorted(set(truth[truth[:, 0] == place, 2].tolist()))
            names = [f"picture {near}" for near in self.neighbours(index, depth)]
            kept = cache.get(case.id, lambda: self.training_arrays(case, slices), [*names, f"masks {index}"])
            pictures = np.concatenate([unpack(kept[name], size) for name in names])
            pictures, mask = self.vary(pictures, unpack(kept[f"masks {index}"], size)[finding], rng)
            return pictures, self.fit_text(case, case.findings[finding]), mask

        return len(pairs), sample

    def loss(self, module: torch.nn.Module, samples: list[Any]) -> dict[str, torch.Tensor]:
        """Stack the samples on the device, and return :meth:`losses` of them."""
        pictures, texts, masks = zip(*samples)
        return self.losses(module, self.tensor(pictures), list(texts), self.tensor(masks))

    def training_arrays(self, case: TrainingCase, slices: Sequence[int]) -> dict[str, np.ndarray]:
        """Return a case's entry of the sample cache, packed.

        Parameters
        ----------
        case
            The case.
        slices
            Those that are trained on; the pictures of their neighbours are kept, too.

        Returns
        -------
        dict of str and ndarray
            ``picture i`` (1, side, side) and ``masks i`` (F, side, side), each through :func:`pack`.
        """
        reorientation = reorient_to(self.axes, case.affine)
        ct = case.volume(np.int16, axes=self.axes, order="K")
        masks = [reorientation.apply(labels) for labels in case.labels()]
        square, depth = self._square(ct), ct.shape[2]
        shown = sorted({near for index in slices for near in self.neighbours(index, depth)})
        arrays = {f"picture {index}": pack(self.picture(ct[:, :, index].T, square)) for index in shown}
        for index in slices:
            arrays[f"masks {index}"] = pack(np.stack([square.mark(mask[:, :, index].T) for mask in masks]))
        return arrays

    def _square(self, ct: np.ndarray) -> Square:
        columns, rows, _ = ct.shape
        return Square(rows, columns, int(self.params["image_size"]))


def pack(pictures: np.ndarray) -> np.ndarray:
    """Return pictures of one byte per pixel compressed, uint8 (N,): two fifths of a CT's size, masks almost nothing."""
    return np.frombuffer(zlib.compress(pictures.astype(np.uint8).tobytes(), 1), np.uint8)


def unpack(packed: np.ndarray, side: int) -> np.ndarray:
    """Return the masks that :func:`pack` packed, as (N, side, side), uint8."""
    return np.frombuffer(zlib.decompress(packed.tobytes()), np.uint8).reshape(-1, side, side)
