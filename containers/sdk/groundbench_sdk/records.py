"""The input of a container as objects: the job, its cases, their findings."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import nibabel as nib
import numpy as np

from groundbench_sdk.errors import Rejected
from groundbench_sdk.reading import Layout, read_stored, read_volume

__all__ = [
    "CONTRACT_VERSION",
    "Case",
    "Finding",
    "Job",
    "Rejected",
    "TrainingCase",
    "read_cases",
    "read_training_cases",
]

CONTRACT_VERSION = 1


class Job(NamedTuple):
    """The job of this container (``job.json``)."""

    verb: str  #: ``"predict"`` or ``"finetune"``
    model: str
    variant: str
    seed: int  #: seed of every random choice
    devices: list[str]  #: ``["cpu"]`` or ``["cuda:0", ...]``
    threads: int  #: CPU threads to use
    params: dict[str, Any]  #: the variant's parameters
    weights: Path  #: folder of the weights; it does not exist if there are none
    #: ``"none"``, ``"pinned"``, ``"given"``, or ``"random"``: true architecture, random weights from `seed`
    weights_mode: str = "none"
    checkpoint: Path | None = None  #: folder of the checkpoint that `finetune` delivered, for a fine-tuned variant
    memory_mb: int | None = None  #: memory that the model is declared to need at most, MiB; None: not stated

    @classmethod
    def read(cls, root: Path) -> Job:
        """Read ``job.json`` below `root`; raises Rejected for another contract version."""
        raw = json.loads((root / "job.json").read_text(encoding="utf-8"))
        if raw.get("contract") != CONTRACT_VERSION:
            raise Rejected(
                "this SDK speaks contract version {}, the job is version {}: rebuild the image".format(
                    CONTRACT_VERSION, raw.get("contract")
                )
            )
        return cls(
            verb=raw["verb"],
            model=raw["model"],
            variant=raw["variant"],
            seed=raw["seed"],
            devices=raw["devices"],
            threads=raw["threads"],
            params=raw["params"],
            weights=root / "weights",
            weights_mode=raw.get("weights", "none"),
            checkpoint=root / "checkpoint" if raw.get("checkpoint") else None,
            memory_mb=raw.get("memory_mb"),
        )


class Finding(NamedTuple):
    """One finding to segment."""

    id: str
    text: str
    category: str | None = None
    boxes: list[list[int]] | None = None  #: per entity ``[x0, y0, z0, x1, y1, z1]``, array order, ends excluded


class Case:
    """One CT volume with its findings.

    Attributes
    ----------
    id : str
        The case's name; it says nothing, and is another one in every run.
    path : Path
        The CT file (NIfTI).
    shape : tuple of int
        (H, W, D), voxels along the array's axes as stored.
    spacing : tuple of float
        Millimetres along the same axes.
    findings : list of Finding
        What to segment.
    seed : int or None
        Seed of every random choice for this case, which the SDK's runtime has set; None while training.
    truth : Path or None
        Only for the harness's own known-answer checks: the (F, H, W, D) labels, one channel a finding, in order.
    truth_flip : tuple of int
        Only for those checks: axes of the CT along which the labels must be reversed to match it.
    """

    def __init__(self, root: Path, raw: dict[str, Any]) -> None:
        self.id: str = raw["id"]
        self.path = root / raw["ct"]
        self.shape: tuple[int, ...] = tuple(raw["shape"])
        self.spacing: tuple[float, ...] = tuple(raw["spacing"])
        self.findings = [Finding(f["id"], f["text"], f.get("category"), f.get("boxes")) for f in raw["findings"]]
        self.seed: int | None = raw.get("seed")
        self.truth: Path | None = root / raw["truth"] if raw.get("truth") else None
        self.truth_flip: tuple[int, ...] = tuple(raw.get("truth_flip") or ())
        self.warnings: list[str] = []  #: warnings of :meth:`warn` that are not logged yet
        self.reader: Callable[[Case, Layout], np.ndarray] = read_ct  #: called by :meth:`volume`

    def warn(self, text: str) -> None:
        """Warn the reader of this case's result, for example of a text that was cut; once, however often it is said.

        Parameters
        ----------
        text
            One line; cut after 2,000 characters.
        """
        if text[:2000] not in self.warnings:
            self.warnings.append(text[:2000])

    @property
    def affine(self) -> np.ndarray:
        """Voxel-to-world matrix of the CT, (4, 4), millimetres, RAS+ as NIfTI has it."""
        return np.asarray(nib.load(str(self.path)).affine, dtype=np.float64)  # type: ignore[attr-defined]

    def volume(self, dtype: Any = np.int16, axes: str | None = None, order: str = "C") -> np.ndarray:
        """Read the CT.

        The CT of the next case is read in the same way while this one is computed, where memory allows.

        Parameters
        ----------
        dtype
            Type of a voxel.
        axes
            Where the axes of the array run to, as in :func:`~groundbench_sdk.grids.reorient_to`; None: as stored.
        order
            ``"C"``: contiguous along these axes. ``"K"``: as the file has it, which takes least time: its first axis
            is the fastest, so that axial slices of most CTs are contiguous.

        Returns
        -------
        ndarray
            Hounsfield units, (H, W, D) or along `axes`, rounded when `dtype` is an integer type. It is the caller's
            own: it may be changed.

        Raises
        ------
        Rejected
            When the file cannot be read.
        """
        return self.reader(self, Layout(np.dtype(dtype).str, axes, order))


def read_ct(case: Case, layout: Layout) -> np.ndarray:
    """Read the CT of a case now; raises Rejected, which names the case, where that fails."""
    with _reading(f"case {case.id}: its CT"):
        return read_volume(case.path, case.shape, layout)


class TrainingCase(Case):
    """A case with its masks, for training or validation.

    Attributes
    ----------
    split : str
        ``"train"`` or ``"val"``.
    """

    def __init__(self, root: Path, raw: dict[str, Any], tell: Callable[[str, str], None] | None = None) -> None:
        super().__init__(root, raw)
        self.split: str = raw["split"]
        self._tell = tell
        self._seg = root / raw["seg"]
        self._flip = tuple(raw.get("seg_flip") or ())

    def warn(self, text: str) -> None:
        """Warn the reader of the training's record, as :meth:`Case.warn` warns the reader of a result."""
        if self._tell is None:
            super().warn(text)
        else:
            self._tell(text, self.id)

    def labels(self) -> np.ndarray:
        """Read the masks.

        Returns
        -------
        ndarray, shape (F, H, W, D), integers
            On the CT's grid, one channel per finding in the order of `findings`; 0 outside, entities from 1, possibly
            more than 255.

        Raises
        ------
        Rejected
            When the file cannot be read, or has another shape.
        """
        with _reading(f"case {self.id}: its masks"):
            labels = read_stored(self._seg)
        if labels.shape != (len(self.findings), *self.shape):
            raise Rejected(f"case {self.id}: labels {labels.shape} for {len(self.findings)} findings on {self.shape}")
        if labels.dtype.kind not in "iu":
            labels = np.rint(labels).astype(np.uint16)
        return np.flip(labels, tuple(axis + 1 for axis in self._flip))


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Raise Rejected, which names the file's case, where reading fails."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise Rejected(f"{what} cannot be read: {type(error).__name__}: {error}") from error


def read_training_cases(
    root: Path, tell: Callable[[str, str], None] | None = None
) -> tuple[list[TrainingCase], list[TrainingCase]]:
    """Return the training cases and the validation cases, in order; `tell` receives warnings, each with its case."""
    with (root / "cases.jsonl").open(encoding="utf-8") as lines:
        cases = [TrainingCase(root, json.loads(line), tell) for line in lines]
    return tuple([case for case in cases if case.split == split] for split in ("train", "val"))  # type: ignore[return-value]


def read_cases(root: Path) -> Iterator[Case]:
    """Yield the cases of ``cases.jsonl`` below `root`, in order."""
    with (root / "cases.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            yield Case(root, json.loads(line))
