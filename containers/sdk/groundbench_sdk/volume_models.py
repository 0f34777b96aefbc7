"""The bases of 3-D models that are prompted with text: they segment the whole CT and train on all or a patch of it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence, Tuple

import numpy as np

from groundbench_sdk import patches
from groundbench_sdk.finetuning import Training
from groundbench_sdk.grids import reorient_to
from groundbench_sdk.records import Case, Job, TrainingCase
from groundbench_sdk.text_models import TextModel

#: What a network is shown: the image, and the function that brings a mask of the CT, (X, Y, Z), bool, onto its grid,
#: as bool, or as float32 where it is a share of each voxel.
View = Tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]


class Scan(NamedTuple):
    """A CT along the axes of a model."""

    hu: np.ndarray  #: (X, Y, Z), float32, Hounsfield units
    spacing: tuple[float, ...]  #: millimetres along the same axes


class VolumeModel(TextModel):
    """An adapter for a network that is given a whole CT and the findings' texts.

    In training a sample is one finding, or one case with some of its findings (:attr:`findings_per_sample`). Each case
    is decoded once and kept in the sample cache.

    Attributes
    ----------
    findings_per_sample : int, optional
        Findings of one case that are drawn for a sample, at most; None: a sample is one finding.
    order : str
        How the CT lies in memory, as in :meth:`Case.volume <groundbench_sdk.records.Case.volume>`.
    pool : list
        The texts of all findings that are trained on, as from :meth:`encode_texts`; set by :meth:`samples`.
    """

    findings_per_sample: int | None = None
    order = "C"
    pool: list[Any]

    # -- a plugin writes these ----------------------------------------------------------------------------------------

    def segment(self, scan: Scan, texts: list[Any]) -> Iterable[np.ndarray]:
        """Segment the findings of a case.

        Parameters
        ----------
        scan
            The CT.
        texts
            What :meth:`encode_texts` returned for the findings, at least one.

        Yields
        ------
        ndarray, shape (X, Y, Z), bool
            A mask per text, in their order.
        """
        raise NotImplementedError

    def encode_texts(self, texts: list[str]) -> list[Any]:
        """Encode texts before they are needed: by `language`, one array each; without one they stay texts."""
        return list(texts) if self.language is None else [np.asarray(self.language.encode_text(text)) for text in texts]

    def view(self, scan: Scan) -> View:
        """Return the network's input for training, and how masks are brought onto its grid."""
        raise NotImplementedError

    def sample(self, image: np.ndarray, masks: np.ndarray, texts: list[Any], rng: np.random.Generator) -> Any:
        """Prepare one training sample for :meth:`loss`.

        Parameters
        ----------
        image
            The network's input, as from :meth:`view`; float16 if that is a floating type.
        masks
            Masks of N findings on the same grid, as bits (:func:`unpack` them), or float16 if they are shares.
        texts
            Their texts, as from :meth:`encode_texts`.
        rng
            Random generator for every random choice.
        """
        raise NotImplementedError

    # -- the base does these ------------------------------------------------------------------------------------------

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``; findings are segmented independently of each other, so masks may overlap."""
        if not case.findings:
            return
        reorientation, scan = reorient_to(self.axes, case.affine), self.scan(case)
        with self.without_gradients():
            texts = self.encode_texts([self.fit_text(case, finding) for finding in case.findings])
            for finding, mask in zip(case.findings, self.segment(scan, texts)):
                yield finding.id, reorientation.restore(mask)

    def preview(self, cases: Sequence[Case]) -> None:
        """Let `language` encode the texts of all cases, each once, before the first CT is computed."""
        for text in dict.fromkeys(finding.text for case in cases for finding in case.findings):
            if self.language is not None:
                with suppress(Exception):  # raised again in its own case, which alone fails
                    self.language.encode_text(self.shorten(text)[0])

    def scan(self, case: Case) -> Scan:
        """Read the CT of a case along the model's axes."""
        spacing = reorient_to(self.axes, case.affine).values(case.spacing)
        return Scan(case.volume(np.float32, axes=self.axes, order=self.order), spacing)

    def samples(
        self, train: Sequence[TrainingCase], training: Training
    ) -> tuple[int, Callable[[int, np.random.Generator], Any]]:
        """Encode the texts of all findings; a sample is one finding, or one case that has any."""
        findings = [(case, number) for case in train for number in range(len(case.findings))]
        encoded = self.encode_texts([self.fit_text(case, case.findings[number]) for case, number in findings])
        self.pool = encoded
        texts = {(case.id, number): text for (case, number), text in zip(findings, encoded)}
        cache, at_most = self.sample_cache(training), self.findings_per_sample
        cases = [case for case in train if case.findings]

        def sample(index: int, rng: np.random.Generator) -> Any:
            if at_most is None:
                case, numbers = findings[index][0], [findings[index][1]]
            else:
                case = cases[index]
                numbers = rng.permutation(len(case.findings))[:at_most].tolist()
            kept = cache.get(
                case.id, lambda: self.training_arrays(case), ["image", *(f"mask {number}" for number in numbers)]
            )
            masks = np.stack([kept[f"mask {number}"] for number in numbers])
            return self.sample(kept["image"], masks, [texts[case.id, number] for number in numbers], rng)

        return len(findings if at_most is None else cases), sample

    def training_arrays(self, case: TrainingCase) -> dict[str, np.ndarray]:
        """Return a case's entry of the sample cache: ``image``, and ``mask i`` of every finding, as bits or float16."""
        reorientation, scan = reorient_to(self.axes, case.affine), self.scan(case)
        image, onto_grid = self.view(scan)
        arrays = {"image": image.astype(np.float16) if image.dtype.kind == "f" else image}
        for number, labels in enumerate(case.labels()):
            mask = onto_grid(reorientation.apply(labels > 0))
            arrays[f"mask {number}"] = np.packbits(mask, axis=-1) if mask.dtype == bool else mask.astype(np.float16)
        return arrays


class PatchModel(VolumeModel):
    """A volume model that is trained on patches; an adapter sets :attr:`patch` when its network is built.

    A sample is ``(image (X, Y, Z) float32, texts, masks (N, X, Y, Z) uint8)`` of one patch. Parameter of the variant:
    ``foreground``, the fraction of patches that are placed on a voxel of the first finding; the others are placed
    anywhere. ``channels_last`` (false if it is not declared) lays out the weights of 3-D convolutions with the channels
    last, for which a GPU has other, often faster kernels; masks may differ.

    Attributes
    ----------
    patch : tuple of int
        Voxels of a patch along each axis.
    """

    patch: tuple[int, ...]

    def load(self, job: Job) -> None:
        """Load the network, laid out as declared."""
        super().load(job)
        if self.params.get("channels_last", False):
            import torch

            for module in self.network.modules():
                if isinstance(module, (torch.nn.Conv3d, torch.nn.ConvTranspose3d)):
                    module.to(memory_format=torch.channels_last_3d)

    def sample(self, image: np.ndarray, masks: np.ndarray, texts: list[Any], rng: np.random.Generator) -> Any:
        """Cut the patch of one sample; beyond the ends of the volume it is 0."""
        whole = unpack(masks, image.shape[-1])
        inside = whole[0] if rng.random() < float(self.params["foreground"]) else None
        starts = patches.place(image.shape, self.patch, inside, rng)
        return (
            patches.cut(image, starts, self.patch).astype(np.float32), texts, patches.cut(whole, starts, self.patch)
        )  # fmt: skip


def unpack(masks: np.ndarray, length: int) -> np.ndarray:
    """Return masks of 0 and 1, uint8, from bits along the last axis, which has `length` voxels."""
    return np.unpackbits(masks, axis=-1, count=length)
