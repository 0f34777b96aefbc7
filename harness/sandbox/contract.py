"""The records that cross the container wall, contract version 1 (``docs/contract.md`` is the specification).

What the harness writes (job, cases) is made here; what a container writes (events) is parsed here and never trusted:
an event is a claim, checked against files and clocks where it is used. Fields that a reader does not know are
ignored on both sides, so that either may grow within one version.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema

from harness.redaction import redacted

#: A longer line of ``events.jsonl`` is dropped as a whole.
MAX_EVENT_BYTES = 64 * 1024

#: Bytes of ``events.jsonl`` that are read for each case; the rest is ignored.
MAX_EVENTS_BYTES = 64 * 1024 * 1024


#: Cases and findings name files on both sides of the wall.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")]

#: Allowed names of the parts of a loss.
LossName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,39}$")]


#: Where a box of an entity begins and ends, in voxels: ``[x0, y0, z0, x1, y1, z1]``, ends excluded.
Corners = Annotated[list[int], Field(min_length=6, max_length=6)]

#: Axes of a CT array, to be reversed.
Axes = Annotated[list[Annotated[int, Field(ge=0, le=2)]], Field(max_length=3)]

#: A time that a container states.
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=0, lt=2**63)]

#: Content of ``/bench/weights``: nothing; the files that the model pins; nothing, and the model is initialised at
#: random from the job's seed; files that the user gave.
WeightsMode = Literal["none", "pinned", "random", "given"]


class _Record(BaseModel):
    #: Validators are made when first needed: that costs more than a command that only looks something up has to spend.
    model_config = ConfigDict(frozen=True, defer_build=True)


def _one_line(text: str) -> str:
    """Make a container's text safe for a terminal, a page and a record: one line, no control characters, no secrets."""
    return redacted("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split())))


class Job(_Record):
    """``/bench/job.json``: the container's task. Every field is always present."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    contract: Literal[1] = 1
    verb: Literal["predict", "finetune"] = "predict"  #: predict masks, or train a checkpoint
    model: str  #: the model's name
    variant: str  #: the variant's name
    seed: int  #: seed of every random choice
    devices: list[str]  #: ``["cpu"]`` or ``["cuda:0", ...]``, numbered as inside the container
    threads: int  #: CPU threads to use; the CPU limit, rounded up
    params: dict[str, str | int | float | bool | None] = {}  #: the variant's parameters
    weights: WeightsMode = "none"  #: what lies in ``/bench/weights``
    checkpoint: bool = False  #: whether ``/bench/checkpoint/`` holds what an earlier ``finetune`` delivered
    memory_mb: int | None = None  #: the memory limit of the container, MiB; null where it is not stated


class FindingPrompt(_Record):
    """One finding as the container sees it. A field without a value is absent."""

    id: Name  #: names the mask: ``out/<case>/<id>.nii.gz``
    text: str  #: the finding's free text
    category: str | None = None  #: code, for structured-text variants only
    boxes: list[Corners] | None = None  #: for box variants: one an entity


class CasePrompt(_Record):
    """One line of ``/bench/cases.jsonl``. A field without a value is absent."""

    id: Name  #: the case's name, unique in the job
    ct: str  #: path of the CT below ``/bench``, ``.nii.gz`` or ``.nii``
    shape: tuple[int, int, int]  #: voxels along the CT array's three axes
    spacing: tuple[float, float, float]  #: millimetres along the same axes
    findings: list[FindingPrompt]
    #: Predict only: seed of every random choice for this case. It depends on the job's seed and on what is shown of the
    #: case, not on names and order, which differ from run to run.
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    split: Literal["train", "val"] | None = None  #: finetune only: what the case is for
    #: Finetune only: path below ``/bench`` of the (F, H, W, D) labels, one channel a finding in the order of
    #: `findings`; 0 outside, entities from 1.
    seg: str | None = None
    seg_flip: Axes | None = None  #: finetune only: axes of the CT along which `seg` must be reversed to lie on it
    #: Test-only grant, absent for models that compete: path below ``/bench`` of the (F, H, W, D) labels, one channel a
    #: finding in the order of `findings`.
    truth: str | None = None
    truth_flip: Axes | None = None  #: test-only grant: axes of the CT along which `truth` must be reversed


class Started(_Record):
    """The process is up; nothing is loaded yet."""

    event: Literal["started"]
    sdk: Annotated[str, Field(max_length=100), AfterValidator(_one_line)] = (
        ""  #: name and version of what implements the contract inside
    )


class Progress(_Record):
    """The model is ready (``loaded``), or a case begins (``case``)."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"stage": {"const": "case"}}},
            "then": {"required": ["case"], "properties": {"case": {"type": "string"}}},
        }
    )

    event: Literal["progress"]
    stage: Literal["loaded", "case"]
    case: Annotated[str, Field(max_length=300)] | None = None  #: which case begins
    seconds: Seconds | None = None  #: time that loading took
    device_bytes: Bytes | None = None  #: peak memory of the GPU while loading

    @model_validator(mode="after")
    def _names_its_case(self) -> Self:
        if self.stage == "case" and self.case is None:
            raise ValueError("it does not say which case begins")
        return self


class CaseDone(_Record):
    """Every mask of a case is in place."""

    event: Literal["case_done"]
    case: Annotated[str, Field(max_length=300)]
    seconds: Seconds | None = None  #: time that the case took
    host_bytes: Bytes | None = None  #: peak memory of the process so far
    device_bytes: Bytes | None = None  #: peak memory of the GPU during the case
    read_s: Seconds | None = None  #: time that reading its CT took, wherever it was done
    compute_s: Seconds | None = None  #: time in which the model computed
    write_s: Seconds | None = None  #: time that checking, compressing and writing its masks took, wherever it was done
    wait_s: Seconds | None = None  #: time in which the model waited for a CT, or for masks to be taken


class Warned(_Record):
    """Something that a reader of the case's result, or of the training's record, should know: a text that was cut."""

    event: Literal["warning"]
    case: Annotated[str, Field(max_length=300)] = ""  #: empty in a training for what is about the whole of it
    text: Annotated[str, Field(max_length=2000), AfterValidator(_one_line)]  #: one line for people


class CaseFailed(_Record):
    """The adapter gave a case up and goes on with the next."""

    event: Literal["case_failed"]
    case: Annotated[str, Field(max_length=300)]
    reason: Annotated[str, Field(max_length=4000), AfterValidator(_one_line)]  #: one line for people


class Train(_Record):
    """Training goes on: optimiser steps done, and what was measured since the last such event."""

    event: Literal["train"]
    step: Annotated[int, Field(ge=0, lt=2**53)]  #: steps done
    steps: Annotated[int, Field(ge=1, lt=2**53)]  #: steps to be done in all
    losses: Annotated[  #: means, by name
        dict[LossName, Annotated[float, Field(allow_inf_nan=False)]],
        Field(max_length=16, json_schema_extra={"additionalProperties": False}),
    ] = {}
    epoch: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None  #: passes over the training cases so far
    val_dice: Annotated[float, Field(ge=0, le=1)] | None = None  #: mean Dice over the findings of the val cases


class TrainFailed(_Record):
    """Training cannot go on; the process is about to end with an exit code other than 0."""

    event: Literal["train_failed"]
    kind: Literal["nan_loss", "out_of_memory", "stalled_loader", "error"]
    reason: Annotated[str, Field(max_length=4000), AfterValidator(_one_line)]  #: one line for people


class Finished(_Record):
    """Nothing more will come; the process is about to end with exit code 0."""

    event: Literal["finished"]


Event = Started | Progress | Warned | CaseDone | CaseFailed | Train | TrainFailed | Finished

_EVENT: TypeAdapter[Event] = TypeAdapter(
    Annotated[Event, Field(discriminator="event")], config=ConfigDict(defer_build=True)
)


def parse_event(line: bytes) -> Event | None:
    """Read one line of ``events.jsonl``; None for anything that is not an event of this contract."""
    if len(line) > MAX_EVENT_BYTES:
        return None
    try:
        return _EVENT.validate_json(line, strict=True)
    except ValidationError:
        return None


class _Plain(GenerateJsonSchema):
    """Leaves out the titles, which only repeat the fields' names."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - the base class's signature
        return False


def schemas() -> dict[str, object]:
    """Return the JSON Schema of every record, by record name, for the specification and for other languages."""
    records: dict[str, type[BaseModel]] = {
        "job": Job,
        "case": CasePrompt,
        "started": Started,
        "progress": Progress,
        "warning": Warned,
        "case_done": CaseDone,
        "case_failed": CaseFailed,
        "train": Train,
        "train_failed": TrainFailed,
        "finished": Finished,
    }
    return {
        # A job is written with all of its fields; a case without those that are absent.
        name: record.model_json_schema(schema_generator=_Plain, mode="serialization" if record is Job else "validation")
        for name, record in records.items()
    }


def to_json_line(record: BaseModel) -> str:
    """Serialise `record` as one line of JSON without its absent fields, ending in a newline."""
    return json.dumps(record.model_dump(exclude_none=True), ensure_ascii=False, sort_keys=True) + "\n"
