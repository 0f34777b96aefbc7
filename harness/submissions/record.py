"""The records of a text folder: the row, where its masks lie, the training of its checkpoint, an organiser's word."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from harness.dataset.terms import Terms
from harness.errors import DataError
from harness.registry.look_alikes import look_alike
from harness.rows import RunRow
from harness.scoring.sizes import SizeCuts
from harness.status import RowLevel
from harness.store.trainings import TrainingPoint, TrainingRow
from harness.submissions.strict_json import read_json, write_json
from harness.submissions.text_files import shown

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
_LENIENT = ConfigDict(frozen=True, extra="forbid")  # words of an enumeration are strings in JSON

Line = Annotated[str, Field(max_length=500)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+ -]{0,199}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]
Count = Annotated[int, Field(ge=0, lt=10**9)]
Address = Annotated[str, Field(max_length=500, pattern=r"^(https://[^\s\"'<>\\]+)?$")]
Instant = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.+-]{8,24}$")]


#: Levels that an organiser can raise a row to.
Raised = Literal[RowLevel.RESCORED, RowLevel.REPRODUCED, RowLevel.SEALED]


def _metrics(profiles: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Require that every metric is a number with its interval and n, or groups of such."""
    for metrics in profiles.values():
        for groups in metrics.values():
            for name, group in groups.items():
                cells = [group] if not isinstance(group, dict) or "value" in group else list(group.values())
                if not all(map(_is_cell, cells)):
                    raise ValueError(f"{shown(name)} holds something else than a value, its interval and n")
    return profiles


def _is_cell(cell: Any) -> bool:
    """Return whether something is a number of a profile: value and interval may be None, what is counted is whole."""
    if not isinstance(cell, dict) or not {"value", "ci95", "n"} <= cell.keys():
        return False
    interval = cell["ci95"]
    ends = [] if interval is None else interval if isinstance(interval, list) and len(interval) == 2 else ["none"]
    numbers = [*ends, *([] if cell["value"] is None else [cell["value"]])]
    counts = [value for name, value in cell.items() if name not in {"value", "ci95"}]
    return all(type(one) in {int, float} for one in numbers) and all(type(one) is int for one in counts)


def _record(record: dict[str, Any]) -> dict[str, Any]:
    """Require what every reader of a record relies on: the kind of its entries, the terms of its data set, its cuts."""
    for name, kind in _KINDS.items():
        if name in record and not isinstance(record[name], kind):
            raise ValueError(f"{name} is not {'a list' if kind is list else 'a table'}")
    if not all(isinstance(one, dict) for one in record.get("weights", [])):
        raise ValueError("weights is not a list of tables")
    Terms.model_validate(record.get("dataset", {}).get("terms", {}))
    try:
        cuts = SizeCuts.recorded(record)
    except TypeError as error:
        raise ValueError(f"sizes: {error}") from error
    if cuts is not None and not all(type(one) in {int, float} for one in (cuts.small, cuts.medium, cuts.n)):
        raise ValueError("sizes is not made of numbers")
    return record


#: Entries of a record -> what they are, in JSON.
_KINDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(
        (
            *("content", "data", "dataset", "engine", "exposure", "hardware", "harness", "image", "licences", "limits"),
            *("model", "origins", "sees", "sizes", "prompts", "training", "card"),
        ),
        dict,
    ),
    **dict.fromkeys(("weights", "data_warnings"), list),
}


def _plain_title(title: str) -> str:
    if word := look_alike(title):
        raise ValueError(f"the word {word!r} is written in letters that look like others")
    return title


class SubmittedRun(BaseModel):
    """The row of a run as it leaves its home: the columns of :class:`harness.rows.RunRow`, without paths and hosts."""

    model_config = _STRICT

    id: Name
    plan_key: Sha256
    attempt: Annotated[int, Field(ge=1, lt=10**6)]
    kind: Literal["measured", "submitted"]
    plugin: Name
    title: Annotated[Line, AfterValidator(_plain_title)]
    plugin_version: Line
    variant: Name
    prompt: Line
    fine_tuned: bool
    profile: Name
    dataset: Line
    fingerprint: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    split: Name
    engine: Line
    image_id: Line
    rankable: bool
    unrankable: Annotated[list[Line], Field(max_length=50)]
    state: Literal["done"]
    created: Instant
    finished: Instant | None
    n_cases: Count
    n_findings: Count
    plan: dict[str, Any]
    record: Annotated[dict[str, Any], AfterValidator(_record)]
    timing: dict[str, float | int | None]

    def row(self) -> RunRow:
        """Return it as a row of the database."""
        return RunRow(**self.model_dump())


class ContentDigests(BaseModel):
    """What a row was made of, by content; None where it was not recorded, or there is no such thing.

    Attributes
    ----------
    plugin, lock
        Digest of the plugin's files, the SDK's and its sources' trees; of its ``requirements.lock``.
    image, base
        The engine's id of the image; the image that its build began with.
    checkpoint
        Digest over the files of the trained checkpoint.
    weights
        File -> SHA-256.
    harness, modified
        Commit of groundbench; whether its checkout differed from it.
    """

    model_config = _STRICT

    plugin: Sha256 | None = None
    lock: Sha256 | None = None
    image: Line | None = None
    base: Line | None = None
    checkpoint: Sha256 | None = None
    weights: Annotated[dict[Line, Sha256], Field(max_length=1000)] = {}
    harness: Commit | None = None
    modified: bool | None = None


class SubmittedRecord(BaseModel):
    """``record.json``.

    Attributes
    ----------
    made_by
        The version of groundbench that wrote the folder.
    opened
        Whether single findings of the split may be shown. Of a closed split the folder holds sums and digests only.
    texts
        Whether the texts of findings are in the folder, or only their digests.
    run, content
        The row; what it was made of.
    metrics
        Profile -> metric -> group -> ``{"value", "ci95", "n"}``; of a closed split the group ``all`` only.
    """

    model_config = _STRICT

    schema_: Literal[1] = Field(default=1, alias="schema")
    made_by: Line
    opened: bool
    texts: Literal["published", "withheld"]
    run: SubmittedRun
    content: ContentDigests
    metrics: Annotated[dict[Name, dict[Name, dict[str, Any]]], AfterValidator(_metrics)]


class MaskArchive(BaseModel):
    """Where the masks lie: an address, and the archive's digest and size where it was packed by `bench submit`."""

    model_config = _STRICT

    address: Address = ""
    sha256: Sha256 | None = None
    nbytes: Annotated[int, Field(ge=0)] | None = None


class SubmittedMasks(BaseModel):
    """``masks.json``: the digest of every mask, by ``case/finding``; of a closed split by the digest of that name."""

    model_config = _STRICT

    schema_: Literal[1] = Field(default=1, alias="schema")
    lie: MaskArchive
    digests: dict[Annotated[str, Field(max_length=500)], Sha256]


def _made_of(kind: type[TrainingRow | TrainingPoint]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the rule that a table has the fields of a record, each of its type, and no other."""

    def check(table: dict[str, Any]) -> dict[str, Any]:
        if more := table.keys() - {field.name for field in fields(kind)}:
            raise ValueError(f"{shown(min(more))} is not a field of it")
        TypeAdapter(kind).validate_json(json.dumps(table), strict=True)
        return table

    return check


class SubmittedTraining(BaseModel):
    """``training.json``: the record of the checkpoint that a fine-tuned row predicted with.

    Attributes
    ----------
    lies
        The address of the checkpoint's folder or archive; empty where it is not passed on.
    key, sha256, files
        Digest of the training's plan, and over all files; path -> ``{"bytes", "sha256"}``.
    record
        The rest of the record beside the checkpoint.
    row, points
        Its row and its reports in the database.
    """

    model_config = _STRICT

    schema_: Literal[1] = Field(default=1, alias="schema")
    lies: Address
    key: Sha256
    sha256: Sha256
    files: dict[Line, dict[Literal["bytes", "sha256"], int | str]]
    record: dict[str, Any]
    row: Annotated[dict[str, Any], AfterValidator(_made_of(TrainingRow))]
    points: Annotated[list[Annotated[dict[str, Any], AfterValidator(_made_of(TrainingPoint))]], Field(max_length=5000)]

    @model_validator(mode="after")
    def _its_own(self) -> Self:
        if (self.row["key"], self.row.get("sha256")) != (self.key, self.sha256):
            raise ValueError("its row is that of another training")
        return self


class Verification(BaseModel):
    """``verification.json``: an organiser's word on a folder. It counts with a signature by a key of the board.

    Attributes
    ----------
    manifest
        SHA-256 of the folder's manifest: of no other folder anything is said.
    level
        The level that the row reaches by it.
    day, by, harness
        UTC date; the organiser, as their key is listed; the commit of groundbench.
    how
        Whether masks were scored again, or the image was run again, as it was or on jittered cases.
    tolerance, difference
        Largest difference of the mean Dice that counts as the same, and the one that was found; both 0 for the same
        masks.
    """

    model_config = _LENIENT

    schema_: Literal[1] = Field(default=1, alias="schema")
    manifest: Sha256
    level: Raised
    day: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    by: Line
    harness: Line
    how: Literal["rescored", "run again", "run again, jittered"]
    tolerance: Annotated[float, Field(ge=0, le=1)]
    difference: Annotated[float, Field(ge=0, le=1)]


Model = TypeVar("Model", bound=BaseModel)


def parse_record(kind: type[Model], content: bytes, name: str) -> Model:
    """Return a record of a text folder.

    Raises
    ------
    DataError
        It is not JSON in its one form, or does not have the fields of `kind`; the first fault is named.
    """
    document = read_json(content, name)
    try:
        record = kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise DataError(
            f"{name}: {shown(place)}: {shown(first['msg'])}",
            fix="make the folder again with `bench submit`; of a newer schema, update groundbench",
        ) from error
    if dump_record(record) != content:
        raise DataError(f"{name} lacks a field", fix="make the folder again with `bench submit`")
    return record


def dump_record(record: BaseModel) -> bytes:
    """Return the file of a record, in the one form of its JSON."""
    return write_json(record.model_dump(mode="json", by_alias=True))


def content_digests(run: RunRow) -> ContentDigests:
    """Return what a row was made of, as its plan and its record have it."""
    record, plan = run.record, run.plan
    files = _table(_table(plan.get("weights")).get("files"))
    content, image, harness = (_table(record.get(name)) for name in ("content", "image", "harness"))
    return ContentDigests(
        plugin=content.get("plugin"),
        lock=content.get("lock"),
        image=run.image_id or None,
        base=image.get("base") or None,
        checkpoint=plan.get("checkpoint"),
        weights={str(name): str(digest) for name, digest in files.items()},
        harness=harness.get("commit"),
        modified=harness.get("modified"),
    )


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def submitted_run(run: RunRow, **changed: Any) -> SubmittedRun:
    """Return the columns of a row as a record, some of them changed."""
    columns = asdict(replace(run, **changed))
    return SubmittedRun.model_validate({name: columns[name] for name in SubmittedRun.model_fields})


#: Entries of a run's record that leave with a row of a closed split: none of them is of a case, or of few.
OF_CLOSED_SPLITS: Final = (
    *("content", "contract", "scorer", "seed", "exposure", "sees", "limits", "model", "licences", "image", "engine"),
    *("hardware", "harness", "dataset", "weights", "card"),
)
