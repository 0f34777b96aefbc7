"""Score one case: from its masks to counts. Runs in worker processes and reads only the files of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.categories import is_focal
from harness.dataset import Finding
from harness.errors import DataError
from harness.masks import (
    Affine,
    Bits,
    Expected,
    Header,
    Refused,
    Source,
    TooDense,
    file_limit,
    judge,
    open_volume,
    read_bits,
    warning,
)
from harness.rows import FindingDetails, InstanceCounts, InstanceRow, MaskVerdict, Others
from harness.scoring.instances import count_instances, missed_rows
from harness.scoring.mirror import mirror_hint
from harness.scoring.others import CaseMasks
from harness.scoring.overlap import dice
from harness.scoring.profiles import PROFILES, InstanceRule
from harness.scoring.regions import Regions
from harness.status import Status

DEFAULT_RULE = PROFILES["miccai2026"].instances

#: Entries of one stack in memory at a time, 16 bytes each: where its findings have more together, they are scored
#: in groups, and the stack is decoded once for each.
MAX_ENTRIES = 1_200_000

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class CaseTask:
    """One case to score; plain data, so that it can be sent to another process.

    Attributes
    ----------
    case
        Its id.
    truth
        Label file (F, H, W, D); every value above 0 is an entity. None where masks are only checked.
    shape, spacing, affine
        Grid of the CT: voxels, millimetres (None where unknown), 4x4 affine (None without a CT).
    findings
        The findings to score.
    masks
        Finding -> its 3-D mask; a finding without one was not delivered. Not used with `stack`.
    stack
        One (F, H, W, D) mask for all findings, the challenge's form, in place of one file per finding.
    root
        A folder that must contain the masks; below it no symbolic link is followed.
    mask_flip
        In-plane axes (of 0 and 1) along which the ground truth is reversed against the CT; a 3-D mask, which lies on
        the CT, is reversed before it is compared. A stack lies on the ground truth's own grid.
    rule
        How instances are counted; None: they are not.
    organiser_quirks
        Let labels above 255 wrap around, of the truth as of the prediction, as in the organisers' evaluator.
    """

    case: str
    truth: Path | None
    shape: Shape
    spacing: Spacing | None
    affine: Affine | None
    findings: tuple[Finding, ...]
    masks: Mapping[str, Source] = field(default_factory=dict)
    stack: Source | None = None
    root: Path | None = None
    mask_flip: tuple[int, ...] = ()
    rule: InstanceRule | None = DEFAULT_RULE
    organiser_quirks: bool = False


@dataclass(frozen=True)
class FindingScore:
    """The counts of one finding.

    Attributes
    ----------
    finding
        Its id.
    status, reason
        ``ok``, ``invalid_output`` or ``missing_output``; why, unless ok.
    verdict
        The problems of its mask.
    mask_sha256
        Digest of the mask's file, where it could be read to its end.
    truth_voxels, truth_entities
        Foreground voxels and labels of the ground truth.
    size_ratio
        Share of the scan's volume that the ground truth fills.
    pred_voxels, intersection
        Counts of a mask that was scored, else None.
    dice
        Dice of the raw unions; 0 unless ok.
    instances
        Counts of instances; None unless ok and requested.
    rows
        One row per instance; None unless requested.
    others
        The other findings of the case that the mask is like; None where that is not known.
    """

    finding: str
    status: Status
    reason: str
    verdict: MaskVerdict
    mask_sha256: str | None
    truth_voxels: int
    truth_entities: int
    size_ratio: float
    pred_voxels: int | None = None
    intersection: int | None = None
    dice: float = 0.0
    instances: InstanceCounts | None = None
    rows: tuple[InstanceRow, ...] | None = None
    others: Others | None = None

    @property
    def details(self) -> FindingDetails:
        """What is known beyond the plain columns."""
        return FindingDetails(self.truth_entities, self.size_ratio, self.instances, self.rows, self.others)


@dataclass(frozen=True)
class CaseScore:
    """The scores of one case, in the order of its task."""

    case: str
    findings: tuple[FindingScore, ...]


@dataclass(frozen=True)
class ReadMask:
    """One mask as it is read for scoring.

    Attributes
    ----------
    status, verdict
        ``ok``, ``invalid_output`` or ``missing_output``; its problems.
    sha256
        Digest (hex) of its file, where that could be read to its end.
    bits
        Its voxels on the grid of the ground truth; None unless ok.
    """

    status: Status
    verdict: MaskVerdict = field(default=MaskVerdict())
    sha256: str | None = None
    bits: Bits | None = None

    @property
    def voxels(self) -> int | None:
        """Foreground voxels; None where no mask was read."""
        return None if self.bits is None else self.bits.count


def score_case(task: CaseTask) -> CaseScore:
    """Score every finding of one case.

    A bad prediction never raises: it gets a status, a reason, a verdict and the score 0.

    Raises
    ------
    DataError
        The ground truth cannot be read, or does not have the case's shape.
    """
    return score_together([task])[0]


def score_together(tasks: Sequence[CaseTask]) -> list[CaseScore]:
    """Score one case of several submissions, as :func:`score_case` each; their truth is decoded once.

    Parameters
    ----------
    tasks
        At least one; they differ in their masks only.

    Raises
    ------
    DataError
        The ground truth cannot be read, or does not have the case's shape.
    """
    masks = [CaseMasks(task.findings) for task in tasks]
    scores = _scores(tasks, tasks[0].findings, masks)
    return [
        CaseScore(task.case, tuple(replace(score, others=compared.others[score.finding]) for score in found))
        for task, found, compared in zip(tasks, scores, masks, strict=True)
    ]


def _scores(
    tasks: Sequence[CaseTask], findings: Sequence[Finding], masks: Sequence[CaseMasks]
) -> list[list[FindingScore]]:
    try:
        truths, channels = _read_truth(tasks[0], findings)
    except TooDense:
        if len(tasks) > 1:  # one after the other: the masks that one keeps for comparison are bounded
            alone = zip(tasks, masks, strict=True)
            return [found for task, of in alone for found in _scores([task], findings, [of])]
        half = len(findings) // 2
        halves = _scores(tasks, findings[:half], masks), _scores(tasks, findings[half:], masks)
        return [[*first, *second] for first, second in zip(*halves, strict=True)]
    entities = [Regions(truth) for truth in truths]
    return [_of_one(task, findings, entities, channels, of) for task, of in zip(tasks, masks, strict=True)]


def _of_one(
    task: CaseTask, findings: Sequence[Finding], truths: Sequence[Regions], channels: int, masks: CaseMasks
) -> list[FindingScore]:
    try:
        stacked = None if task.stack is None else _read_stack(task, task.stack, channels, findings)
    except TooDense:
        half = len(findings) // 2
        first, second = slice(None, half), slice(half, None)
        parts = ((findings[part], truths[part]) for part in (first, second))
        return [found for part in parts for found in _of_one(task, *part, channels, masks)]
    scores = []
    for i, (finding, entities) in enumerate(zip(findings, truths, strict=True)):
        prediction = stacked[i] if stacked is not None else _read_one(task, finding)
        scores.append(_score(task, finding, entities, prediction))
        masks.add(finding, entities.mask, prediction.bits)
    return scores


def _score(task: CaseTask, finding: Finding, entities: Regions, prediction: ReadMask) -> FindingScore:
    truth = entities.mask
    h, w, d = truth.shape
    verdict = prediction.verdict
    counts: dict[str, Any] = {}
    if prediction.bits is not None:
        intersection = truth.intersection(prediction.bits)
        value = dice(truth.count, prediction.bits.count, intersection)
        verdict = verdict.plus(mirror_hint(truth, prediction.bits, value))
        counts = {"pred_voxels": prediction.bits.count, "intersection": intersection, "dice": value}
        if task.rule is not None:
            focal = None if finding.category is None else is_focal(finding.category)
            counted, rows = count_instances(entities, prediction.bits, task.rule, spacing=task.spacing, focal=focal)
            counts |= {"instances": counted, "rows": rows}
    elif task.rule is not None:
        counts["rows"] = missed_rows(entities, task.spacing)
    reason = verdict.reason
    if prediction.status == Status.MISSING_OUTPUT:
        reason = "a mask was not delivered"
    return FindingScore(
        finding=finding.id,
        status=prediction.status,
        reason=reason,
        verdict=verdict,
        mask_sha256=prediction.sha256,
        truth_voxels=truth.count,
        truth_entities=len(entities),
        size_ratio=truth.count / (h * w * d),
        **counts,
    )


def _read_truth(task: CaseTask, findings: Sequence[Finding]) -> tuple[list[Bits], int]:
    assert task.truth is not None  # noqa: S101 - a case that is scored has one
    fix = "run `bench data validate` on the data set and replace the file"
    try:
        with open_volume(task.truth.resolve(), limit=_truth_limit(task)) as volume:
            shape = volume.header.shape
            channels = shape[0]
            if shape[1:] != task.shape:
                raise DataError(
                    f"{task.truth} has shape {shape}, its case (findings, {task.shape})", fix=fix, path=task.truth
                )
            wanted = [finding.index for finding in findings]
            if any(not 0 <= index < channels for index in wanted):
                raise DataError(
                    f"{task.truth} has {channels} findings, its case needs number {max(wanted)}",
                    fix=fix,
                    path=task.truth,
                )
            grids, _ = read_bits(
                volume, task.shape, channels, wanted, labelled=True, wrap=task.organiser_quirks, most=MAX_ENTRIES
            )
            return grids, channels
    except FileNotFoundError as error:
        raise DataError(f"the ground truth {task.truth} does not exist", fix=fix, path=task.truth) from error
    except Refused as error:
        raise DataError(
            f"{task.truth} is not a valid ground-truth file: {error.problem.message}", fix=fix, path=task.truth
        ) from error


def _truth_limit(task: CaseTask) -> int:
    # The number of findings is only known from the file itself; it is the data set's own, so a wide bound suffices.
    h, w, d = task.shape
    return file_limit(h * w * d * 256)


def _read_one(task: CaseTask, finding: Finding) -> ReadMask:
    mask = task.masks.get(finding.id)
    if mask is None:
        return ReadMask(Status.MISSING_OUTPUT)
    return _read(task, mask, None, wanted=(0,))[0]


def _read_stack(task: CaseTask, source: Source, channels: int, findings: Sequence[Finding]) -> list[ReadMask]:
    return _read(task, source, channels, [finding.index for finding in findings])


def _read(task: CaseTask, source: Source, channels: int | None, wanted: Sequence[int]) -> list[ReadMask]:
    """Read the wanted channels of one file; whatever is wrong with it is wrong with all of them.

    The grid of a file of one finding follows from its content, not from its place: a 3-D mask lies on the CT, a
    stack of one on the ground truth. `channels` is None for a file that should hold one mask.
    """
    h, w, d = task.shape
    verdict = MaskVerdict()
    sha256 = None
    on_ct = False
    try:
        with open_volume(source, limit=file_limit(h * w * d * (channels or 1)), root=task.root) as volume:
            expected = _expected(task, volume.header, channels)
            on_ct = expected.channels is None
            verdict = MaskVerdict(tuple(judge(volume.header, expected)))
            if channels is None and not on_ct:
                verdict = verdict.plus([_STACK_OF_ONE])
            grids: list[Bits] = []
            if verdict.level != "refused":
                try:
                    grids, problems = read_bits(
                        volume,
                        task.shape,
                        expected.channels or 1,
                        wanted,
                        labelled=False,
                        wrap=task.organiser_quirks,
                        most=MAX_ENTRIES,
                    )
                    verdict = verdict.plus(problems)
                except Refused as error:
                    verdict = verdict.plus([error.problem])
            sha256 = volume.sha256()
    except FileNotFoundError:
        return [ReadMask(Status.MISSING_OUTPUT)] * len(wanted)
    except Refused as error:
        verdict, grids = MaskVerdict((error.problem,)), []
    if verdict.level == "refused":
        return [ReadMask(Status.INVALID_OUTPUT, verdict, sha256)] * len(wanted)
    if on_ct and task.mask_flip:
        grids = [bits.flipped(task.mask_flip) for bits in grids]
    return [ReadMask(Status.OK, verdict, sha256, bits) for bits in grids]


_STACK_OF_ONE = warning(
    "stack_of_one",
    "the file of one finding holds a stack (1, H, W, D); it was read on the ground truth's own grid, as stacks are",
    cause="a channel axis that was not squeezed",
    fix="save a 3-D array, which is read where its affine says: mask[0]",
)


def _expected(task: CaseTask, header: Header, channels: int | None) -> Expected:
    """Return the grid that a file is held to; one mask may come as a volume or as a stack of one."""
    if channels in {None, 1}:
        stack_of_one = len(header.grid) == 4 and header.grid == (1, *task.shape)
        return Expected(task.shape, task.affine, 1 if stack_of_one else None if header.grid == task.shape else channels)
    return Expected(task.shape, task.affine, channels)


@dataclass(frozen=True)
class CheckedMask:
    """The verdict on one mask, without a look at any ground truth.

    Attributes
    ----------
    case, finding
        Which mask.
    status
        ``ok``, ``invalid_output`` or ``missing_output``: what it would score as.
    verdict
        What is wrong with it, or should be known.
    voxels
        Foreground voxels; None unless ok.
    """

    case: str
    finding: str
    status: Status
    verdict: MaskVerdict
    voxels: int | None


def check_case(task: CaseTask) -> list[CheckedMask]:
    """Judge the masks of one case as :func:`score_case` does; its ground truth is not read."""
    return [
        CheckedMask(
            task.case, finding.id, found.status, found.verdict, None if found.bits is None else found.bits.count
        )
        for finding, found in zip(task.findings, read_masks(task), strict=True)
    ]


def read_masks(task: CaseTask, *, channels: int | None = None) -> list[ReadMask]:
    """Read the mask of every finding of a task as :func:`score_case` does, in its order.

    Parameters
    ----------
    task
        The case; its ground truth is not read.
    channels
        Findings of the ground truth, so of a stack; by default those of the task.
    """
    return _predictions(task, task.findings, channels or len(task.findings))


def _predictions(task: CaseTask, findings: Sequence[Finding], channels: int) -> list[ReadMask]:
    if task.stack is None:
        return [_read_one(task, finding) for finding in findings]
    try:
        return _read_stack(task, task.stack, channels, findings)
    except TooDense:
        half = len(findings) // 2
        parts = findings[:half], findings[half:]
        return [mask for part in parts for mask in _predictions(task, part, channels)]
