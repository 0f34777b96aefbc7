"""Find the files of a data set: the index, the CTs, the masks, and what lies beside them.

Two layouts are known: flat ``ct/`` and ``seg/`` folders, and the released one, where the masks lie in
``segmentations/`` and the CTs in CT-RATE's nested folders. Nothing is ever copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from harness.dataset.cases import Case, Dataset, Finding
from harness.dataset.declared import declared_rules
from harness.dataset.editions import EDITIONS
from harness.dataset.index import SUFFIX, FileName, Index, IndexCase, faults_of, load_json, read_index
from harness.dataset.patients import PATIENTS, Person, merged, read_patients
from harness.dataset.problems import DataProblem, Level, refuse
from harness.dataset.shared import marked
from harness.dataset.terms import Terms, terms_of
from harness.errors import DataError, UnknownName, UsageError

#: Names of indexes in a folder; the first that exists is read.
INDEXES: Final = tuple(EDITIONS[name].index for name in ("base", "challenge", "mlhc2025"))

SPACINGS: Final = "spacing.json"
NOTES: Final = "groundbench.json"

_CT_FOLDERS: Final = ("ct", "ct/dataset", "dataset", "CT-RATE/dataset", ".")
_SEG_FOLDERS: Final = ("seg", "segmentations")
_CT_RATE = re.compile(r"(?P<split>train|valid)_(?P<patient>[0-9]+)_(?P<scan>[a-z]+)_[0-9]+\.nii\.gz")

Millimetres = Annotated[float, Field(gt=0, lt=1000, allow_inf_nan=False)]


class SpacingRecord(BaseModel):
    """One item of ``spacing.json``: the spacing of a case without a CT."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: FileName
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]


class Notes(BaseModel):
    """``groundbench.json``: facts about a data set that its index cannot state."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] | None = None
    licence: Annotated[str, Field(max_length=200)] | None = None
    terms: Terms | None = None  #: what its owner allows to be passed on
    #: In-plane axes along which every mask must be reversed to lie on its CT array.
    mask_flip: Annotated[tuple[Annotated[int, Field(ge=0, le=1)], ...], Field(max_length=2)] = ()


_SPACINGS: TypeAdapter[list[SpacingRecord]] = TypeAdapter(list[SpacingRecord])


@dataclass(frozen=True)
class Layout:
    """A data set, and every fault that keeps all of it from being used."""

    dataset: Dataset
    problems: tuple[DataProblem, ...]


def nested_ct(name: str, *, fixed: bool = True) -> Path | None:
    """Return the path of a volume below CT-RATE's ``dataset/`` folder, or None for a name that is not CT-RATE's.

    The ``*_fixed`` folders hold corrected volumes; the older ones (`fixed` false) hold raw values, which mean nothing
    without the slope and the intercept of CT-RATE's metadata tables.
    """
    match = _CT_RATE.fullmatch(name)
    if match is None:
        return None
    split, patient = match["split"], f"{match['split']}_{match['patient']}"
    return Path(f"{split}_fixed" if fixed else split, patient, f"{patient}_{match['scan']}", name)


def ct_paths(root: Path, name: str, *, fixed: bool = True) -> Iterator[Path]:
    """Name every place below `root` where the CT called `name` may lie, the likeliest first."""
    nested = nested_ct(name, fixed=fixed)
    if fixed:
        yield root / "ct" / name
    if nested is not None:
        for folder in _CT_FOLDERS:
            yield root / folder / nested


def seg_paths(root: Path, name: str) -> Iterator[Path]:
    """Name every place below `root` where the mask file called `name` may lie."""
    for folder in _SEG_FOLDERS:
        yield root / folder / name


def all_present(places: Iterable[Path]) -> list[Path]:
    """Return the files at these places, compressed or not, and whatever the letters of the suffix."""
    return [path for place in places for path in _spelled(place) if path.is_file()]


def present(places: Iterable[Path]) -> Path | None:
    """Return the first of :func:`all_present`, or None."""
    return next((path for place in places for path in _spelled(place) if path.is_file()), None)


def _spelled(place: Path) -> list[Path]:
    stem = place.name.removesuffix(SUFFIX)
    return [place, *(place.with_name(stem + suffix) for suffix in (".nii", SUFFIX.upper(), ".NII"))]


def find_index(path: Path) -> Path:
    """Return the index that `path` names: the file itself, or the first known one in a folder.

    Raises
    ------
    UsageError
        `path` does not exist.
    DataError
        The folder does not contain an index, or cannot be read.
    """
    try:
        if path.is_file():
            return path
        if not path.is_dir():
            raise UsageError(
                f"the data set {path} does not exist", fix="check the path; `bench data phantom OUT` makes a data set"
            )
        for name in INDEXES:
            if (path / name).is_file():
                return path / name
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", fix="check its permissions") from error
    raise DataError(
        f"{path} does not contain any of {', '.join(INDEXES)}",
        fix="give the folder that contains the index, or the index itself",
    )


def find_dataset(spec: str, home: Path) -> Path:
    """Resolve the value of ``--dataset``: a path, or a name in the home's ``datasets/``.

    A folder that holds several editions of one release gives one of them as ``NAME:EDITION``, such as
    ``rexgroundingct:mlhc2025``.

    Raises
    ------
    UsageError
        Neither exists; the nearest names are given.
    """
    shelf = home / "datasets"
    for path in (Path(spec).expanduser(), shelf / spec):
        if path.exists():
            return path
    folder, colon, edition = spec.rpartition(":")
    if colon and edition not in EDITIONS:
        raise UnknownName("edition", edition, EDITIONS)
    if colon:
        index = find_dataset(folder, home) / EDITIONS[edition].index
        if index.is_file():
            return index
        raise UsageError(
            f"{folder} does not contain {index.name}, the index of {EDITIONS[edition].title}",
            fix="`bench data fetch rexgroundingct` explains where it comes from",
        )
    if "/" in spec:
        raise UsageError(f"the data set {spec} does not exist", fix="check the path")
    known = {path.parent.name for index in INDEXES for path in shelf.glob(f"*/{index}")}
    raise UnknownName("data set", spec, known, fix=f"give a path, or a name in {shelf}")


def _notes(root: Path) -> tuple[Notes, list[DataProblem]]:
    if not (root / NOTES).is_file():
        return Notes(), []
    document, problems = load_json(root / NOTES)
    if problems:
        return Notes(), problems
    try:
        return Notes.model_validate(document), []
    except ValidationError as error:
        return Notes(), faults_of(error, NOTES)


def _spacings(root: Path) -> tuple[Mapping[str, tuple[float, float, float]], list[DataProblem]]:
    if not (root / SPACINGS).is_file():
        return {}, []
    document, problems = load_json(root / SPACINGS)
    if problems:
        return {}, problems
    try:
        records = _SPACINGS.validate_python(document)
    except ValidationError as error:
        return {}, faults_of(error, SPACINGS)
    return {record.name: record.spacing_mm for record in records}, []


def _case(
    declared: IndexCase,
    split: str,
    root: Path,
    spacings: Mapping[str, tuple[float, float, float]],
    people: Mapping[str, Person],
) -> Case:
    person = people.get(declared.id, Person())
    findings = tuple(
        Finding(
            index=int(key),
            id=key,
            text=text,
            category=declared.categories.get(key),
            entities=declared.entity_counts.get(key),
            voxels=declared.pixels.get(key),
            prior=declared.prior.get(key),
        )
        for key, text in sorted(declared.findings.items(), key=lambda item: int(item[0]))
    )
    return Case(
        id=declared.id,
        split=split,
        findings=findings,
        ct=present(ct_paths(root, declared.name)),
        truth=present(path for name in (declared.seg_path, declared.name) if name for path in seg_paths(root, name)),
        declared_shape=declared.shape,
        declared_spacing=spacings.get(declared.name),
        declared_patient=person.patient,
        age=person.age,
        sex=person.sex,
    )


def _people(index: Index) -> dict[str, Person]:
    """Return what an index states of the patients of its cases."""
    stated = {case.id: case for cases in index.splits.values() for case in cases if case.age is not None or case.sex}
    return {
        case: Person(
            index.patients.get(case), *((stated[case].age, stated[case].sex) if case in stated else (None, None))
        )
        for case in {**index.patients, **stated}
    }


def _name(name: str, index: Path) -> str:
    """Return the name of a data set, with that of its edition where the folder holds several."""
    there = {edition.index: edition.id for edition in EDITIONS.values() if (index.parent / edition.index).is_file()}
    return f"{name}:{there[index.name]}" if len(there) > 1 and index.name in there else name


def read_layout(path: Path, *, cache: Path | None = None) -> Layout:
    """Read all that is readable of the data set at `path`; faults of its files end up in ``problems``.

    Raises
    ------
    UsageError, DataError
        As :func:`find_index`.
    """
    index_path = find_index(path.absolute())
    root = index_path.parent
    index = read_index(index_path)
    notes, faults = _notes(root)
    spacings, more = _spacings(root)
    table, of_table = read_patients(root / PATIENTS) if (root / PATIENTS).is_file() else ({}, [])
    people, against = merged(_people(index), table, index_path.name)
    more += [*of_table, *against]
    try:
        splits = {
            split: tuple(_case(case, split, root, spacings, people) for case in cases)
            for split, cases in index.splits.items()
        }
    except OSError as error:
        splits = {}
        what = f"{error.filename} cannot be read: {error.strerror}"
        more.append(DataProblem(Level.ERROR, "unreadable", str(root), what, "check the permissions of the folder"))
    licence = notes.licence or (notes.terms.licence if notes.terms else None) or index.licence
    dataset = Dataset(
        root=root,
        index=index_path,
        name=_name(notes.name or root.name, index_path),
        splits=splits,
        licence=licence,
        terms=terms_of(notes.terms, (case.id for cases in splits.values() for case in cases), licence),
        mask_flip=tuple(sorted(set(notes.mask_flip))),
        cache=cache,
        faults=index.faults,
        remarks={split: tuple(declared_rules(split, entries)) for split, entries in index.splits.items()},
        split_by=index.split_by,
    )
    return Layout(marked(dataset), (*index.problems, *faults, *more))


def open_dataset(path: Path, *, cache: Path | None = None) -> Dataset:
    """Open the data set at `path`: a folder, or the JSON that describes one.

    A data set without CTs opens (``Case.ct`` is None), and so does a split without masks (``Case.seg`` is None).
    No volume is read, and entries of a split that could not be read are refused when that split is used
    (:meth:`Dataset.split`). The content of the files is judged where a number is made (:mod:`harness.dataset.judge`).

    Parameters
    ----------
    path
        A folder with one of :data:`INDEXES`, or one of these files.
    cache
        Folder in which the digests for the fingerprint are cached.

    Raises
    ------
    UsageError
        `path` does not exist.
    DataError
        The index is missing, or every split of it has faults; the message lists them all.
    """
    layout = read_layout(path, cache=cache)
    faults = layout.dataset.faults
    usable = any(cases and not faults.get(split) for split, cases in layout.dataset.splits.items())
    if layout.problems or (faults and not usable):
        raise refuse([*layout.problems, *(fault for found in faults.values() for fault in found)], str(path))
    return layout.dataset
