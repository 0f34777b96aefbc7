"""The parts of a data set: findings, cases, splits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from harness.dataset.patients import patient_by_name
from harness.dataset.problems import DataProblem, refuse
from harness.dataset.terms import Terms
from harness.dataset.voxels import read_header
from harness.errors import DataError, UnknownName
from harness.masks.header import Affine, Header

#: How a split is declared that may share patients: its scans were dealt, not its patients.
SCAN: Final = "scan"


@dataclass(frozen=True)
class Finding:
    """One sentence of a report, and the index's facts about its mask."""

    index: int  #: channel of the ground truth, from 0
    id: str  #: its key in the index: ``"0"``
    text: str  #: the free text, verbatim
    category: str | None = None  #: code such as ``"2d"``
    entities: int | None = None  #: declared number of labelled instances
    voxels: int | None = None  #: declared number of voxels, all entities together
    prior: bool | None = None  #: whether the text refers to an earlier examination, where the index states it


@dataclass(frozen=True)
class Case:
    """One CT volume with its findings.

    The grid comes from the CT's header, which is read at the first use; in a data set without CTs, from
    the index and ``spacing.json``. The masks' own affine is an identity and carries no information.
    """

    id: str  #: file name without ``.nii.gz``
    split: str
    findings: tuple[Finding, ...]
    ct: Path | None = None  #: None: the data set does not contain this CT
    truth: Path | None = None  #: None: no ground truth, so nothing can be scored
    declared_shape: tuple[int, int, int] | None = None  #: (H, W, D) by the index
    declared_spacing: tuple[float, float, float] | None = None  #: mm by ``spacing.json``
    declared_patient: str | None = None  #: by the data set's own table
    age: int | None = None  #: of the patient in years, where the data set states it
    sex: str | None = None  #: of the patient, ``"F"`` or ``"M"``, where the data set states it
    #: Other splits that models are trained on with a scan of the patient; None: not declared so, or not known.
    shared_with: tuple[str, ...] | None = None

    @property
    def patient(self) -> str | None:
        """The patient, by the data set's table or a name of CT-RATE's form; None where neither states it."""
        return self.declared_patient or patient_by_name(self.id)

    @cached_property
    def header(self) -> Header | None:
        """The CT's header, or None without a CT. Raises DataError where it cannot be read."""
        return None if self.ct is None else read_header(self.ct)

    @property
    def has_shape(self) -> bool:
        """Whether the shape is known: from the CT, the index or the mask."""
        return self.ct is not None or self.declared_shape is not None or self.truth is not None

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (H, W, D) along the axes of the CT array; raises DataError where they are unknown."""
        if self.header is not None:
            shape = self.header.grid
        elif self.declared_shape is not None:
            shape = self.declared_shape
        elif self.truth is not None:
            shape = read_header(self.truth).shape[1:]
        else:
            raise DataError(f"the shape of {self.id} is unknown", fix="add its CT, its mask or `shape` in the index")
        if len(shape) != 3:
            raise DataError(f"{self.ct or self.truth} has shape {shape}, not three axes", fix="replace the file")
        return shape[0], shape[1], shape[2]

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Millimetres along the same axes, or None where unknown."""
        if self.header is None:
            return self.declared_spacing
        if len(self.header.grid) != 3:
            raise DataError(f"{self.ct} has shape {self.header.shape}, not three axes", fix="replace the file")
        along_x, along_y, along_z = self.header.spacing[:3]
        return along_x, along_y, along_z

    @property
    def affine(self) -> Affine | None:
        """4x4 affine of the CT (array index -> mm, RAS+), or None where unknown."""
        return None if self.header is None else self.header.affine


@dataclass(frozen=True)
class ScannedCase(Case):
    """A case with a CT, so that a model can be run on it; whether anything can be scored is another question."""

    ct: Path

    @classmethod
    def of(cls, case: Case) -> Self | None:
        """Return the case as one that is known to have a CT; None where it lacks it."""
        return None if case.ct is None else cls(**_fields(case))


@dataclass(frozen=True)
class RunnableCase(ScannedCase):
    """A case with CT and ground truth, so that it can be run and scored."""

    truth: Path

    @classmethod
    def of(cls, case: Case) -> Self | None:
        """Return the case as one that is known to have a CT and ground truth; None where it lacks either."""
        return None if case.ct is None or case.truth is None else cls(**_fields(case))


def _fields(case: Case) -> dict[str, Any]:
    return {field.name: getattr(case, field.name) for field in fields(Case)}


AnyCase = TypeVar("AnyCase", bound=Case)


@dataclass(frozen=True)
class Dataset:
    """A data set on disk. Make one with :func:`harness.dataset.open_dataset`."""

    root: Path  #: the folder that holds it
    index: Path  #: the JSON that was read
    name: str
    splits: Mapping[str, tuple[Case, ...]]
    licence: str | None = None
    terms: Terms = field(default_factory=Terms)  #: what its owner allows to be passed on
    #: In-plane axes (of 0 and 1) along which a mask must be reversed to lie on its CT array; ``()``: as stored.
    mask_flip: tuple[int, ...] = ()
    split_by: str = ""  #: what was dealt to the splits, ``"scan"`` or ``"patient"``; empty: nobody declares it
    cache: Path | None = field(default=None, compare=False)  #: folder for the cache of facts about files already read
    #: Split -> entries of the index that could not be read; such a split cannot be used, the others can.
    faults: Mapping[str, tuple[DataProblem, ...]] = field(default_factory=dict, compare=False)
    #: Split -> statements of the index about it that are wrong, or should be known.
    remarks: Mapping[str, tuple[DataProblem, ...]] = field(default_factory=dict, compare=False)

    def __iter__(self) -> Iterator[Case]:
        """Go through the cases of every split."""
        for cases in self.splits.values():
            yield from cases

    def split(self, name: str) -> tuple[Case, ...]:
        """Return the cases of one split.

        Raises
        ------
        UsageError
            The split does not exist; the nearest names are given.
        DataError
            Entries of the split could not be read; each is named.
        """
        if self.faults.get(name):
            raise refuse(self.faults[name], str(self.index))
        try:
            return self.splits[name]
        except KeyError:
            raise UnknownName(f"split of {self.name}", name, self.splits) from None


def in_order(cases: Iterable[AnyCase]) -> list[AnyCase]:
    """Return cases by name, numbers by their value: whatever depends on an order must not depend on the index's.

    The fingerprint of a data set does not see how its index is sorted, so nothing that it identifies may.
    """
    return sorted(cases, key=lambda case: (_counted(case.id), case.id))


def _counted(name: str) -> list[tuple[int, str]]:
    """Split a name into texts and numbers: ``case_2`` comes before ``case_10``."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)]


def spacing_of(case: Case) -> tuple[float, float, float]:
    """Return the voxel spacing of a case in millimetres; raises DataError where it is unknown."""
    if case.spacing is None:
        raise DataError(f"case {case.id}: its voxel spacing is unknown", fix="add its CT or a spacing.json")
    return case.spacing
