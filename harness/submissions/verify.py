"""``bench submission verify``: one program for the author, for the check of a pull request and for an organiser.

A line a check, as :mod:`harness.authoring` has them for plugins. The text is enough for all but two of them: masks are
held against their digests, and scored again, where masks and data set are at hand.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.dataset import open_dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.errors import BenchError, DataError
from harness.foreign import parse_toml
from harness.registry.card import Card, card_of
from harness.rows import FindingRow
from harness.runs.claims import exposure_of
from harness.runs.from_boxes import made_from_boxes
from harness.runs.verify import compare_identity, verify_run
from harness.status import UNKNOWN, RowLevel, Status
from harness.store.database import Store, cells
from harness.submissions import signature
from harness.submissions.checkpoints import compare_training
from harness.submissions.record import (
    SubmittedMasks,
    SubmittedRecord,
    SubmittedTraining,
    Verification,
    content_digests,
    parse_record,
)
from harness.submissions.sums import compare_findings, compare_sums
from harness.submissions.tables import Tables, read_tables
from harness.submissions.text_files import (
    CARD,
    CASES,
    FINDINGS,
    INSTANCES,
    MANIFEST,
    MASKS,
    RECORD,
    SIGNATURE,
    TRAINING,
    VERIFICATION,
    VERIFIED_BY,
    manifest_of,
    read_files,
    sha256,
    shown,
)
from harness.submissions.travelled import TextFolder, import_folder

#: A mean Dice above it is more than two readers of one lesion reach: the masks may be made of the truth.
TOO_GOOD = 0.98

#: Lines of a fault that are told; the others are counted.
_TOLD = 8


@dataclass(frozen=True)
class SubmissionCheck:
    """One line.

    Attributes
    ----------
    name
        What was checked.
    outcome
        ``"pass"``, ``"FAIL"``, ``"note"`` (for a person to judge) or ``"skip"``.
    found
        What was found; of a skipped one, why.
    fix
        What to do; empty where nothing is wrong.
    """

    name: str
    outcome: Literal["pass", "FAIL", "note", "skip"]
    found: str
    fix: str = ""


@dataclass(frozen=True)
class HeldAgainst:
    """What a folder is held against beside itself.

    Attributes
    ----------
    masks
        Folder or archive of the masks; None: they are not at hand.
    dataset
        Index of the data set with the truth; None: it is not at hand.
    home
        Whose cache of digests is used; None: none is.
    signers
        The organisers' keys, in the form of ``allowed_signers``.
    jobs
        Worker processes.
    """

    masks: Path | None = None
    dataset: Path | None = None
    home: Path | None = None
    signers: Path | None = None
    jobs: int | None = None


def read_folder(place: Path) -> TextFolder:
    """Read a text folder, its structure checked: names, sizes, form, schema, manifest.

    Raises
    ------
    DataError
        What is wrong with it first.
    """
    return parse_folder(read_files(place), place)


def parse_folder(files: dict[str, bytes], place: Path) -> TextFolder:
    """Return the text folder that some files are, as :func:`read_folder`; `place` is where they lie, or will."""
    if manifest_of(files) != files[MANIFEST]:
        raise DataError(f"{MANIFEST} does not list the files that are there", fix="make the folder again", path=place)
    record = parse_record(SubmittedRecord, files[RECORD], RECORD)
    masks = parse_record(SubmittedMasks, files[MASKS], MASKS)
    training = parse_record(SubmittedTraining, files[TRAINING], TRAINING) if TRAINING in files else None
    present = [name for name in (CASES, FINDINGS, INSTANCES) if name in files]
    if not record.opened and present:
        raise DataError(f"{RECORD} says that the split is closed, and {present[0]} is there", fix="remove the folder")
    tables = read_tables(files) if record.opened else None
    return TextFolder(place, sha256(files[MANIFEST]), record, masks, _card(files[CARD]), tables, training, files)


def _card(content: bytes) -> Card:
    try:
        card = card_of(parse_toml(content), CARD)
    except ValueError as error:
        raise DataError(f"{CARD} is not valid TOML: {shown(error)}", fix="make the folder again") from error
    if card.toml.encode() != content:
        raise DataError(f"{CARD} is not in the form in which `bench submit` writes it", fix="make the folder again")
    return card


def verify_folder(place: Path, against: HeldAgainst) -> tuple[list[SubmissionCheck], TextFolder | None]:
    """Check a text folder; returns a line a check, and what was read, None where it cannot be."""
    try:
        folder = read_folder(place)
    except BenchError as error:
        return [SubmissionCheck("reads", "FAIL", shown(error.message, 400), shown(error.fix, 300))], None
    try:
        checks = check_text(folder)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        why = f"a value of its record is of another kind than its place: {shown(error, 200)}"
        return [SubmissionCheck("reads", "FAIL", why, "make the folder again with `bench submit`")], None
    checks += [_verification(folder, against.signers), _rescored(folder, against), *_asked(folder, against)]
    return checks, folder


def check_text(folder: TextFolder) -> list[SubmissionCheck]:
    """Check what the text of a folder alone can show."""
    run = folder.record.run
    what = f"{run.plugin} {run.variant} on {run.dataset}/{run.split}, {run.n_findings} findings, schema 1"
    return [
        SubmissionCheck("reads", "pass", what),
        *_numbers(folder),
        _plausible(folder),
        _stated(folder),
        *_training(folder),
        _signature(folder),
    ]


def _numbers(folder: TextFolder) -> Iterator[SubmissionCheck]:
    run = folder.record.run.row()
    faults = list(compare_identity(run))
    if content_digests(run) != folder.record.content:
        faults.append("content: the digests are not those of the run's own plan and record")
    yield _of_faults("row", faults, f"it follows from its plan {run.plan_key[:10]}…")
    if folder.tables is None:
        yield SubmissionCheck("findings", "skip", "a closed split: no finding leaves it")
        faults = [line for profile in folder.record.metrics.values() for line in _more_than_sums(profile)]
        yield _of_faults("sums", faults, "only means over all findings are stated; nothing here can prove them")
    else:
        yield _of_faults(
            "findings", list(compare_findings(folder.tables)), f"{len(folder.tables.findings)} agree with themselves"
        )
        numbers = sum(len(list(cells(metrics))) for metrics in folder.record.metrics.values())
        yield _of_faults(
            "sums",
            list(compare_sums(run, folder.tables, dict(folder.record.metrics))),
            f"{numbers} metrics computed again",
        )
        yield _of_faults("masks", list(_compare_digests(folder, folder.tables)), f"{len(folder.masks.digests)} digests")


def _stated(folder: TextFolder) -> SubmissionCheck:
    """Hold the card against the row: a box run's masks are not text-only because a card says so."""
    card, run = folder.card, folder.record.run
    unsaid = card.not_stated
    faults = []
    if run.prompt and card.prompt not in {UNKNOWN, run.prompt}:
        faults.append(f"prompt: the card says {card.prompt}, the row was made with {run.prompt}")
    said = exposure_of(run.record)
    if said not in {UNKNOWN, "none"} and card.exposure == "none":
        because = shown(str(run.record["exposure"].get("origin", "")), 200)
        faults.append(f"trained_on: the card says none of ours, the record says {shown(said)} ({because})")
    if run.fine_tuned and card.trained_on != UNKNOWN and card.exposure == "none":
        faults.append("trained_on: the card says none of ours, the row was trained on the train split")
    if faults:
        return SubmissionCheck("card", "FAIL", "; ".join(faults), "correct the card: `bench submit RUN --card FILE`")
    return SubmissionCheck(
        "card",
        "note" if {"who", "prompt", "trained_on"} & set(unsaid) else "pass",
        f"{shown(card.who) or 'nobody'} answers for it" + (f"; not stated: {', '.join(unsaid)}" if unsaid else ""),
        "state it in a card: `bench submit RUN --card FILE`" if unsaid else "",
    )


def _training(folder: TextFolder) -> Iterator[SubmissionCheck]:
    if folder.training is not None:
        faults = list(compare_training(folder.record.run.row(), folder.training))
        yield _of_faults("training", faults, f"{len(folder.training.files)} files of its checkpoint, by digest")


def _of_faults(name: str, faults: Sequence[str], fine: str) -> SubmissionCheck:
    if not faults:
        return SubmissionCheck(name, "pass", fine)
    more = f" and {len(faults) - _TOLD} more" if len(faults) > _TOLD else ""
    told = "; ".join(shown(line, 200) for line in faults[:_TOLD])
    return SubmissionCheck(
        name,
        "FAIL",
        f"{told}{more}",
        "make it again with `bench submit`, and change nothing in it; of an old row, run it again (--fresh)",
    )


def _more_than_sums(profile: dict[str, dict[str, object]]) -> Iterator[str]:
    for metric, groups in profile.items():
        if set(groups) - {"all"}:
            yield f"{metric}: a closed split states the mean over all findings only"


def _compare_digests(folder: TextFolder, tables: Tables) -> Iterator[str]:
    stated = dict(folder.masks.digests)
    for row in tables.findings:
        name = f"{row.case}/{row.finding}"
        if stated.pop(name, None) != row.mask_sha256:
            yield f"{name}: {MASKS} has another digest than {FINDINGS}"
    yield from (f"{name}: it is in {MASKS} only" for name in stated)


def _plausible(folder: TextFolder) -> SubmissionCheck:
    means = [metrics.get("dice", {}).get("all", {}).get("value") for metrics in folder.record.metrics.values()]
    best = max((mean for mean in means if isinstance(mean, float | int)), default=0.0)
    if best > TOO_GOOD:
        return SubmissionCheck(
            "plausible",
            "note",
            f"a mean Dice of {best:.3f}, above {TOO_GOOD}: these may be the reference masks",
            "only a run by the organiser counts here: `bench submission verify FOLDER --rerun`",
        )
    return SubmissionCheck("plausible", "pass", f"a mean Dice of {best:.3f}, the highest of its profiles")


def _signature(folder: TextFolder) -> SubmissionCheck:
    if SIGNATURE not in folder.files:
        return SubmissionCheck("signature", "skip", "it is not signed by its author")
    try:
        by = signature.signer_of(folder.files[MANIFEST], folder.files[SIGNATURE], signature.OF_ROW, None)
    except BenchError as error:
        return SubmissionCheck("signature", "FAIL", shown(error.message), error.fix)
    return SubmissionCheck("signature", "pass", f"signed by {shown(by)}; whose key that is, nothing here knows")


def verified_level(folder: TextFolder, signers: Path | None) -> RowLevel | None:
    """Return the level that an organiser has raised a row to; None where none has, or no organisers' keys are given.

    Raises
    ------
    DataError
        Its verification is of another folder, or not signed by a key of `signers`.
    """
    if VERIFICATION not in folder.files or signers is None:
        return None
    said = parse_record(Verification, folder.files[VERIFICATION], VERIFICATION)
    if said.manifest != folder.digest:
        raise DataError(f"{VERIFICATION} is of another folder", fix="remove it; an organiser writes one")
    if VERIFIED_BY not in folder.files:
        raise DataError(f"{VERIFICATION} is not signed", fix="remove it; an organiser signs what they write")
    by = signature.signer_of(folder.files[VERIFICATION], folder.files[VERIFIED_BY], signature.OF_VERIFICATION, signers)
    if by != said.by:
        raise DataError(f"{VERIFICATION} names {shown(said.by)} and is signed by {shown(by)}", fix="remove it")
    return RowLevel(said.level)


def _verification(folder: TextFolder, signers: Path | None) -> SubmissionCheck:
    if VERIFICATION not in folder.files:
        return SubmissionCheck("level", "skip", "no organiser has verified it")
    try:
        level = verified_level(folder, signers)
    except BenchError as error:
        return SubmissionCheck("level", "FAIL", shown(error.message), shown(error.fix))
    if level is None:
        return SubmissionCheck("level", "skip", f"{VERIFICATION} counts with the organisers' keys: give --signers FILE")
    return SubmissionCheck("level", "pass", f"{level}, signed by an organiser")


def _rescored(folder: TextFolder, against: HeldAgainst) -> SubmissionCheck:
    if against.masks is None or against.dataset is None:
        lacking = "--masks" if against.masks is None else "--dataset"
        return SubmissionCheck("rescored", "skip", f"the masks were not scored again: give {lacking}")
    if folder.tables is None:
        return SubmissionCheck("rescored", "skip", "a closed split: score its masks with `bench score`")
    try:
        differences = rescore(folder, against)
    except BenchError as error:
        return SubmissionCheck("rescored", "FAIL", shown(error.message, 300), shown(error.fix, 300))
    scored = sum(row.status == Status.OK for row in folder.tables.findings)
    return _of_faults("rescored", differences, f"{scored} masks scored again, 0 differences")


def _asked(folder: TextFolder, against: HeldAgainst) -> Iterator[SubmissionCheck]:
    """Hold what the masks are against the truth's boxes, where it is at hand and no boxes are stated."""
    if against.dataset is None or folder.tables is None or "box" in {folder.card.prompt, folder.record.run.prompt}:
        return
    try:
        cache = against.home and against.home / "datasets" / ".digests"
        data = open_dataset(against.dataset, cache=cache)
        found: dict[str, list[FindingRow]] = {}
        for row in folder.tables.findings:
            found.setdefault(row.case, []).append(row)
        run = folder.record.run
        if fingerprint_of(data, run.split) != run.fingerprint:
            yield SubmissionCheck("prompt", "skip", "the data set is another one")
            return
        said = made_from_boxes(data.split(run.split), found)
    except BenchError as error:
        yield SubmissionCheck("prompt", "FAIL", shown(error.message, 300), shown(error.fix, 300))
        return
    if said:
        fix = "state boxes as its prompt; a row that was not given them has other masks"
        yield SubmissionCheck("prompt", "FAIL", said, fix)
    else:
        yield SubmissionCheck("prompt", "pass", "its masks are no boxes or ellipsoids of the truth's")


def rescore(folder: TextFolder, against: HeldAgainst) -> list[str]:
    """Score the masks of a folder again and return every difference, as ``bench results verify`` names them.

    Raises
    ------
    DataError
        The masks or the data set are others.
    """
    with tempfile.TemporaryDirectory(prefix="groundbench-") as scratch:
        home = Path(scratch)
        with Store(home / "results.db") as store:
            run, _ = import_folder(store, folder, RowLevel.REPORTED)
            report = verify_run(store, run, home, masks=against.masks, dataset=str(against.dataset), jobs=against.jobs)
    return list(report["differences"])
