"""The rows of a run, a case and a finding; and the facts about a mask, as records that become JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, Self

from harness.status import RowLevel

Level = Literal["ok", "warning", "refused"]


@dataclass(frozen=True)
class RunRow:
    """One run: one variant of one model on one split.

    Attributes
    ----------
    id, plan_key, attempt
        Name of the run; digest of its plan; 1 for the first run of that plan, more for each ``--fresh``.
    kind
        ``"measured"`` (run here), ``"submitted"`` (masks made elsewhere) or ``"imported"`` (out of a text folder).
    plugin, title, plugin_version, variant, prompt, fine_tuned
        The model and its variant, as declared.
    profile
        The requested profile; metrics of other profiles may be stored too.
    dataset, fingerprint, split
        The data, by name and content.
    engine, image_id
        The engine and the image.
    rankable, unrankable
        Whether it may be ranked, and the reasons why not.
    state
        ``"running"``, ``"interrupted"`` or ``"done"``.
    created, finished
        UTC, ISO 8601.
    n_cases, n_findings
        Size of the split as run.
    plan, record, timing
        The plan that was hashed; provenance (commit, limits, hardware, versions, seeds); micro-benchmark figures.
    """

    id: str
    plan_key: str
    attempt: int
    kind: str
    plugin: str
    title: str
    plugin_version: str
    variant: str
    prompt: str
    fine_tuned: bool
    profile: str
    dataset: str
    fingerprint: str
    split: str
    engine: str
    image_id: str
    rankable: bool
    unrankable: list[str]
    state: str
    created: str
    finished: str | None = None
    n_cases: int = 0
    n_findings: int = 0
    plan: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, Any] = field(default_factory=dict)

    @property
    def card(self) -> dict[str, Any]:
        """What its card states, as :class:`harness.registry.card.Card`: of a submission a part of its identity."""
        for holder in (self.plan, self.record):
            if isinstance(card := holder.get("card"), dict):
                return card
        return {}

    @property
    def who(self) -> str:
        """Who answers for it, as its card says; empty for a run of this home, and where nobody is named."""
        return str(self.card.get("who", ""))

    @property
    def made_by(self) -> tuple[str, str, str]:
        """Whose row it is: rows of the same kind, name and person or group belong together, and no others."""
        return self.kind, self.plugin, self.who

    @property
    def level(self) -> RowLevel:
        """How much of it was made under our eyes; only of a row that travelled may a record say more than its kind."""
        order = [*RowLevel]
        usual = {"measured": RowLevel.MEASURED, "submitted": RowLevel.RESCORED}.get(self.kind, RowLevel.REPORTED)
        masks_alone = self.kind == "submitted" or self.plan.get("kind") == "submitted"
        own = RowLevel.MEASURED if self.kind == "measured" else RowLevel.SEALED
        highest = RowLevel.RESCORED if masks_alone else own
        said = next((level for level in order if level == self.record.get("level")), usual)
        return min(said, highest, key=order.index)


@dataclass(frozen=True)
class CaseRow:
    """The outcome of one case of a run.

    Attributes
    ----------
    case, ordinal
        The case's id, and its place in the split.
    status, reason
        A :class:`harness.status.Status` value and, unless ok, why.
    seconds, host_bytes, device_bytes
        Inference time and peak memory, where known.
    attempts
        Containers that tried it.
    log
        Path of the container's log below the run's folder.
    scored
        Whether its findings are in the database.
    evidence
        The evidence where its container died: state, exit code, OOM flag, memory, last event, last lines; empty
        otherwise. The model's ``warnings``, and its ``phases``: what it tells of the case's seconds.
    """

    case: str
    ordinal: int
    status: str
    reason: str = ""
    seconds: float | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None
    attempts: int = 1
    log: str = ""
    scored: bool = False
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MaskProblem:
    """One problem of a mask that its author should know.

    Attributes
    ----------
    code
        Stable name, for programs: ``"shape"``, ``"affine"``, ``"values"`` ...
    level
        ``"warning"``: scored all the same; ``"refused"``: not scored.
    message, cause, fix
        The observation; the likely reason; the fix.
    """

    code: str
    level: Literal["warning", "refused"]
    message: str
    cause: str
    fix: str


@dataclass(frozen=True)
class MaskVerdict:
    """Every problem of one mask; a mask without problems is ``ok``."""

    problems: tuple[MaskProblem, ...] = ()

    @property
    def level(self) -> Level:
        """The worst level among the problems."""
        levels = {problem.level for problem in self.problems}
        return "refused" if "refused" in levels else "warning" if levels else "ok"

    @property
    def refusals(self) -> tuple[MaskProblem, ...]:
        """The problems that keep the mask from being scored."""
        return tuple(problem for problem in self.problems if problem.level == "refused")

    @property
    def reason(self) -> str:
        """The reason of a refusal in one line; empty for a mask that was scored."""
        return "; ".join(problem.message for problem in self.refusals)

    def plus(self, problems: Sequence[MaskProblem]) -> MaskVerdict:
        """Return a verdict with more problems."""
        return MaskVerdict((*self.problems, *problems)) if problems else self

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts and lists, ready for JSON."""
        return {"level": self.level, "problems": [asdict(problem) for problem in self.problems]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` returned; keys that this version does not know are ignored."""
        return cls(tuple(MaskProblem(**_known(MaskProblem, problem)) for problem in value["problems"]))


@dataclass(frozen=True)
class Matches:
    """Instances that were found, falsely predicted, and missed."""

    tp: int
    fp: int
    fn: int


@dataclass(frozen=True)
class InstanceCounts:
    """The input of the instance metrics of one finding.

    Attributes
    ----------
    kept_voxels, kept_intersection
        Voxels of the components that were kept, and those of them within the ground truth.
    overlap
        Matches by Dice.
    matched_dice
        Sum of the Dice of the matched pairs.
    distance
        Matches by distance; None where the spacing or the category is unknown.
    """

    kept_voxels: int
    kept_intersection: int
    overlap: Matches
    matched_dice: float
    distance: Matches | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON of these counts; keys that this version does not know are ignored."""
        matches = {
            name: None if value[name] is None else Matches(**_known(Matches, value[name]))
            for name in ("overlap", "distance")
        }
        return cls(**{**_known(cls, value), **matches})


@dataclass(frozen=True)
class InstanceRow:
    """One instance of a finding: an entity of the truth, or a component of the prediction that was kept.

    Attributes
    ----------
    side
        ``"truth"`` or ``"prediction"``.
    label
        The entity's label; the component's number, from 1, in the order of the first voxels.
    voxels, mm3
        Its size; the volume is None where the spacing is unknown.
    status, matched, dice
        By overlap: ``"found"`` (truth), ``"true"`` (prediction), ``"missed"`` or ``"false"``; the label of the other
        side that it was matched with, and the Dice of the two.
    distance_status, distance_matched, distance_mm
        The same by distance; all None where the spacing or the category is unknown, or nothing was delivered.
    """

    side: Literal["truth", "prediction"]
    label: int
    voxels: int
    mm3: float | None
    status: str
    matched: int | None = None
    dice: float | None = None
    distance_status: str | None = None
    distance_matched: int | None = None
    distance_mm: float | None = None


#: The details of a finding that its data set states; all others are measured.
OF_DATA_SET: Final = ("prior", "age", "sex", "shares_patient")


@dataclass(frozen=True)
class Other:
    """Another finding of the case, and the Dice with its truth or with its mask."""

    finding: str
    dice: float


@dataclass(frozen=True)
class Others:
    """What a mask has in common with the other findings of its case.

    Findings with the same text are left out, and those whose truths overlap: a mask on the one is on the other too
    (``docs/scoring.md``, "Where the masks lie").

    Attributes
    ----------
    truth
        The other finding whose truth the mask fits best; None where it touches none.
    mask
        The other finding whose mask is most like this one; None where it touches none.
    """

    truth: Other | None = None
    mask: Other | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON of this record; keys that this version does not know are ignored."""
        known = _known(cls, value)
        return cls(**{name: None if other is None else Other(**_known(Other, other)) for name, other in known.items()})


@dataclass(frozen=True)
class FindingDetails:
    """The input of the profiles beyond the columns of a finding's row; None where it was not counted.

    Attributes
    ----------
    truth_entities
        Labels of the ground truth.
    size_ratio
        Share of the scan's volume that the ground truth fills.
    instances
        Counts of instances; None unless the mask was scored and instances were requested.
    rows
        One row an instance; None where they were not counted. They sum to the counts.
    others
        The other findings of the case that the mask is like; None where that is not known: no mask was scored, an
        earlier version scored it, or the case was too large to compare.
    prior, age, sex
        As the data set states them: whether the text refers to an earlier examination; the patient's age in years and
        sex (``"F"``, ``"M"``).
    shares_patient
        Where it is declared that scans were dealt to the splits: whether the patient is in train or val, too.
    """

    truth_entities: int | None = None
    size_ratio: float | None = None
    instances: InstanceCounts | None = None
    rows: tuple[InstanceRow, ...] | None = None
    others: Others | None = None
    prior: bool | None = None
    age: int | None = None
    sex: str | None = None
    shares_patient: bool | None = None

    @property
    def volume_ul(self) -> float | None:
        """Volume of the ground truth in µl (mm³); None where its entities, or the spacing, were not recorded."""
        volumes = [row.mm3 for row in self.rows or () if row.side == "truth"]
        known = [volume for volume in volumes if volume is not None]
        return math.fsum(known) if self.rows is not None and len(known) == len(volumes) else None

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, ready for JSON; empty where nothing was counted."""
        if self == FindingDetails():
            return {}
        value = asdict(self)
        for name in ("rows", "others", *OF_DATA_SET):
            if value[name] is None:
                del value[name]  # as versions before wrote it
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` returned.

        Keys that this version does not know are ignored; those that an older version did not write are None.
        """
        known = _known(cls, value)
        if known.get("instances") is not None:
            known["instances"] = InstanceCounts.from_json(known["instances"])
        if known.get("rows") is not None:
            known["rows"] = tuple(InstanceRow(**_known(InstanceRow, row)) for row in known["rows"])
        if known.get("others") is not None:
            known["others"] = Others.from_json(known["others"])
        return cls(**known)


def _known(kind: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the keys that `kind` has a field for."""
    return {name: value[name] for name in kind.__dataclass_fields__ if name in value}


@dataclass(frozen=True)
class FindingRow:
    """The score of one finding of one case.

    Attributes
    ----------
    case, finding, index, category, text
        The finding: its case, its id, its channel in the ground truth, its category and its text.
    status, reason
        A :class:`harness.status.Status` value and, unless ok, why.
    dice
        The Dice of the raw union of entities; 0 for anything but ok.
    truth_voxels, pred_voxels, intersection
        Counts, where the mask could be read.
    mask_sha256
        Digest of the mask's file.
    verdict
        The geometry verdict on the mask; None where no mask was judged.
    details
        The further input of the profiles.
    """

    case: str
    finding: str
    index: int
    category: str | None
    text: str
    status: str
    reason: str = ""
    dice: float = 0.0
    truth_voxels: int | None = None
    pred_voxels: int | None = None
    intersection: int | None = None
    mask_sha256: str | None = None
    verdict: MaskVerdict | None = None
    details: FindingDetails = FindingDetails()
