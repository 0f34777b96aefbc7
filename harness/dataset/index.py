"""Read the JSON that describes a data set, without trusting it.

``dataset.json``, ``MICCAI_challenge_dataset.json`` and ``MLHC_dataset_version.json`` share one shape: an object whose
lists are the splits and whose list items are the cases (dataset card of ReXGroundingCT, "Dataset Structure"). Every
fault of the file is collected, so that a user sees all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    TypeAdapter,
    ValidationError,
)

from harness.dataset.patients import age_of, sex_of
from harness.dataset.problems import DataProblem, Level
from harness.foreign import read_json_file

#: An index of all 25,692 scans of CT-RATE would take a tenth of this.
MAX_INDEX_BYTES: Final = 256 * 1024 * 1024

SUFFIX: Final = ".nii.gz"
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_USUAL_SPLITS: Final = frozenset({"train", "val", "valid", "validation", "test"})


def _whole(value: object) -> object:
    """Accept 3.0 as 3: some writers convert every number to a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _numbered(value: object) -> object:
    """Accept a list as an object with the keys "0", "1", ...: both mean channels of the mask."""
    return {str(i): item for i, item in enumerate(value)} if isinstance(value, list) else value


#: Unicode's category Cc without tabs and line ends.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _readable(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is blank")
    if _CONTROL.search(text):
        raise ValueError("the text contains control characters")
    return text


Count = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=0, lt=2**53)]
Extent = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=1, le=32767)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}\.nii\.gz$")]
Key = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,2})$")]
Text = Annotated[str, Field(max_length=10_000), AfterValidator(_readable)]
Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,16}$")]


def _base_name(value: object) -> object:
    """Keep the last part of a path, as the organisers' evaluator does with ``seg_path``."""
    return re.split(r"[/\\]", value)[-1] if isinstance(value, str) else value


class IndexCase(BaseModel):
    """One case of the index. The keys of these objects are channels of the mask."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: FileName  #: file name of the CT, and of the mask
    findings: Annotated[dict[Key, Text], BeforeValidator(_numbered)]  #: channel -> text
    entity_counts: Annotated[dict[Key, Count], BeforeValidator(_numbered)] = {}  #: channel -> number of entities
    pixels: Annotated[dict[Key, Count], BeforeValidator(_numbered)] = {}  #: channel -> number of voxels
    categories: Annotated[dict[Key, Code | None], BeforeValidator(_numbered)] = {}  #: channel -> category code
    shape: tuple[Extent, Extent, Extent] | None = None  #: (H, W, D) of the CT array
    prior: Annotated[dict[Key, StrictBool | None], BeforeValidator(_numbered)] = {}  #: channel -> refers to the past
    age: Annotated[int | None, BeforeValidator(age_of)] = None  #: of the patient, in years
    sex: Annotated[str | None, BeforeValidator(sex_of)] = None  #: of the patient, "F" or "M"
    seg_path: Annotated[FileName | None, BeforeValidator(_base_name)] = None  #: mask file, where its name differs

    @property
    def id(self) -> str:
        """The case's name: its file name without the suffix."""
        return self.name.removesuffix(SUFFIX)


_CASE: TypeAdapter[IndexCase] = TypeAdapter(IndexCase)


@dataclass(frozen=True)
class Index:
    """The readable part of an index, and its faults."""

    path: Path
    splits: Mapping[str, tuple[IndexCase, ...]]
    licence: str | None
    problems: tuple[DataProblem, ...]  #: of the whole file
    faults: Mapping[str, tuple[DataProblem, ...]] = field(default_factory=dict)  #: split -> of its entries
    patients: Mapping[str, str] = field(default_factory=dict)  #: case -> patient, by the object `patients`
    split_by: str = ""  #: ``"scan"`` or ``"patient"``, as declared


def load_json(path: Path) -> tuple[Any, list[DataProblem]]:
    """Parse a JSON file of bounded size strictly.

    Returns
    -------
    tuple
        The document (None where it could not be parsed) and the faults: unreadable, too large, not UTF-8, not JSON,
        NaN or infinity, nested too deeply, or an object with a repeated key (the first is kept).
    """
    twice: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            if key in result:
                twice.append(key)
            else:
                result[key] = value
        return result

    def fault(code: str, what: str, fix: str) -> DataProblem:
        return DataProblem(Level.ERROR, code, path.name, what, fix)

    try:
        document = read_json_file(path, most=MAX_INDEX_BYTES, pairs=unique)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}"
        return None, [fault("unreadable", what, "check the path and its permissions")]
    except ValueError as error:
        what = f"this is not JSON that can be read: {str(error)[:200]}"
        return None, [fault("json", what, "download the file again, or fix it")]
    fix = "keep one of the two; which one counts is not defined"
    return document, [
        fault("duplicate-key", f"an object contains the key {shown(key)} twice", fix) for key in dict.fromkeys(twice)
    ]


def shown(value: object) -> str:
    """Quote an untrusted value for a message: printable, and no longer than a line."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def faults_of(error: ValidationError, where: str) -> list[DataProblem]:
    """Convert pydantic's errors to problems."""
    problems = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(part if part.isidentifier() else shown(part) for part in map(str, detail["loc"]))
        fix = "write it as docs/data.md describes (section `The index`)"
        problems.append(DataProblem(Level.ERROR, "index", where, f"{place or 'record'}: {detail['msg']}", fix))
    return problems


def _read_case(item: object, split: str, position: int) -> tuple[IndexCase | None, list[DataProblem]]:
    where = f"{split}[{position}]"
    try:
        case = _CASE.validate_python(item)
    except ValidationError as error:
        return None, faults_of(error, where)
    keys = sorted(map(int, case.findings))
    if keys != list(range(len(keys))):
        what = f"{case.name}: findings are numbered {shown(keys)} instead of 0 to {len(keys) - 1}"
        fix = "number the findings as the channels of the mask, from 0, without gaps"
        return None, [DataProblem(Level.ERROR, "finding-keys", where, what, fix)]
    return case, []


def read_index(path: Path) -> Index:
    """Read the index at `path`; faults end up in ``problems``, never in an exception."""
    document, problems = load_json(path)
    if document is None and problems:
        return Index(path, {}, None, tuple(problems))
    if not isinstance(document, dict):
        what = f"the document is {type(document).__name__}, not an object with one list per split"
        problems.append(DataProblem(Level.ERROR, "index", path.name, what, "give the index of a data set"))
        return Index(path, {}, None, tuple(problems))

    splits: dict[str, tuple[IndexCase, ...]] = {}
    of_splits: dict[str, list[DataProblem]] = {}
    for key, value in document.items():
        if not isinstance(value, list):
            if key in _USUAL_SPLITS:
                what = f"split {key} is {type(value).__name__}, not a list"
                of_splits[key] = [DataProblem(Level.ERROR, "index", path.name, what, "write a list of cases")]
                splits[key] = ()
            continue
        if not _SPLIT.fullmatch(key):
            what = f"{shown(key)} is not a valid name of a split"
            fix = "use up to 64 letters, digits, `_` and `-`"
            problems.append(DataProblem(Level.ERROR, "index", path.name, what, fix))
            continue
        cases: dict[str, IndexCase] = {}
        faulty = of_splits.setdefault(key, [])
        for position, item in enumerate(value):
            case, faults = _read_case(item, key, position)
            faulty += faults
            if case is not None and cases.setdefault(case.name, case) is not case:
                what = f"{case.name} occurs in split {key} more than once"
                fix = "keep one of the two; results are stored by case"
                faulty.append(DataProblem(Level.ERROR, "duplicate-case", f"{key}[{position}]", what, fix))
        splits[key] = tuple(cases.values())
    if not any(splits.values()) and not problems and not any(of_splits.values()):
        what = "it does not contain any cases"
        fix = "an index has lists of cases, e.g. `train`, `val` and `test`"
        problems.append(DataProblem(Level.ERROR, "no-cases", path.name, what, fix))
    licence = document.get("licence", document.get("license"))
    of_entries = {key: tuple(found) for key, found in of_splits.items() if found}
    patients, faults = _patients(document.get("patients"), path.name)
    problems += faults
    split_by, faults = _split_by(document.get("split_by"), path.name)
    problems += faults
    licence = licence if isinstance(licence, str) else None
    return Index(path, splits, licence, tuple(problems), of_entries, patients, split_by)


def _split_by(stated: object, where: str) -> tuple[str, list[DataProblem]]:
    """Read what was dealt to the splits of an index; a list of that name is a split."""
    if stated is None or isinstance(stated, list):
        return "", []
    if stated in ("scan", "patient"):
        return str(stated), []
    what = f"`split_by` is {shown(stated)}"
    return "", [DataProblem(Level.ERROR, "index", where, what, 'write "scan" or "patient"')]


def _patients(table: object, where: str) -> tuple[dict[str, str], list[DataProblem]]:
    """Read the object `patients` of an index; a list of that name is a split."""
    if table is None or isinstance(table, list):
        return {}, []
    if isinstance(table, dict) and all(isinstance(name, str) and name.strip() for name in table.values()):
        return {case.removesuffix(SUFFIX): name.strip() for case, name in table.items()}, []
    what = "`patients` is not an object from cases to texts"
    return {}, [DataProblem(Level.ERROR, "patients", where, what, 'write {"patients": {"CASE": "PATIENT"}}')]
