"""``bench submit``: a finished row as a text folder, for a repository of results or a letter."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from harness.dataset.terms import Terms
from harness.errors import DataError, PrerequisiteError, UsageError
from harness.redaction import redacted, without_places
from harness.registry.card import Card
from harness.rows import CaseRow, FindingRow, RunRow
from harness.runs.checkpoint import Checkpoint
from harness.runs.verify import TRAVELLED
from harness.scoring.profiles import PROFILES
from harness.store.database import Store
from harness.store.trainings import Trainings
from harness.submissions import signature
from harness.submissions.record import (
    OF_CLOSED_SPLITS,
    MaskArchive,
    SubmittedMasks,
    SubmittedRecord,
    SubmittedTraining,
    content_digests,
    dump_record,
    submitted_run,
)
from harness.submissions.tables import tables_of
from harness.submissions.text_files import (
    CARD,
    MANIFEST,
    MASKS,
    RECORD,
    SIGNATURE,
    SUBMISSIONS,
    TRAINING,
    manifest_of,
    plain,
    sha256,
)

#: Fewest findings of which a mean leaves a closed split.
_ENOUGH: Final = 5

#: Figures of one case, or of few, however many a run has.
_OF_FEW: Final = ("containers", "first_case_s", "by_hardware")

#: Entries of the plan of a submission that say where its files lay.
_PLACES: Final = ("predictions", "dataset")

#: Characters of a reason that travel.
_REASON: Final = 500


@dataclass(frozen=True)
class Publication:
    """What may leave, and what goes along.

    Attributes
    ----------
    opened
        Whether single findings may be shown; otherwise only digests and means over all findings leave.
    texts
        Whether the texts of findings may.
    card
        What is stated of the row.
    masks
        Where its masks lie.
    checkpoint
        The checkpoint of a fine-tuned variant, and the address where it lies; None where it does not travel.
    key
        The SSH key that signs; None: it is not signed.
    """

    opened: bool
    texts: bool
    card: Card
    masks: MaskArchive
    checkpoint: tuple[Checkpoint, str] | None = None
    key: Path | None = None


def publication_of(terms: Terms, split: str, opened: Sequence[str], **parts: Any) -> Publication:
    """Return what the terms of a data set let leave of a split.

    Parameters
    ----------
    terms, split, opened
        The terms; the split; the splits that are named as public: any other is closed.
    parts
        The other fields of :class:`Publication`.

    Raises
    ------
    DataError
        The split is named as public, and the terms do not allow single scores to be published.
    """
    if split in opened and (lacking := terms.lacks("scores")):
        raise DataError(
            f"the terms of the data set do not allow single scores to leave ({', '.join(lacking)})",
            fix="leave --public-split out: then only means and digests leave; or, where its owner allows it, state "
            '"scores": "yes" in the terms of its groundbench.json',
        )
    return Publication(split in opened, split in opened and not terms.lacks("texts"), **parts)


def text_files(store: Store, run: RunRow, publication: Publication) -> dict[str, bytes]:
    """Return the files of the text folder of a row.

    Raises
    ------
    UsageError
        It is not finished, came from a text folder, or is a part of a closed split.
    DataError
        Its plan holds a path, so that its key would not follow from what leaves; or a name is no plain name.
    """
    _require_whole(run, opened=publication.opened)
    cases, findings = store.cases(run.id), store.findings(run.id)
    own = {name: value for name, value in run.plan.items() if run.kind != "submitted" or name not in _PLACES}
    if without_places(own) != own:
        raise DataError(f"the plan of {run.id} names a place on this machine", fix="run it with pinned weights")
    cleaned = without_places({name: value for name, value in run.record.items() if name != "card"})
    record = SubmittedRecord(
        made_by=f"groundbench {importlib.metadata.version('groundbench')}",
        opened=publication.opened,
        texts="published" if publication.texts else "withheld",
        run=submitted_run(run, plan=own, timing=_timing(run), record=_leaving(cleaned, opened=publication.opened)),
        content=content_digests(replace(run, record=cleaned)),
        metrics=_metrics(store, run, opened=publication.opened),
    )
    digests = {f"{row.case}/{row.finding}": row.mask_sha256 for row in findings if row.mask_sha256}
    if not publication.opened:
        digests = {sha256(f"{run.fingerprint}\0{name}".encode()): digest for name, digest in digests.items()}
    files = {
        RECORD: dump_record(record),
        MASKS: dump_record(SubmittedMasks(lie=publication.masks, digests=digests)),
        CARD: publication.card.toml.encode(),
        **(_tables(cases, findings, texts=publication.texts) if publication.opened else {}),
    }
    if publication.checkpoint is not None:
        files[TRAINING] = dump_record(_training(store, *publication.checkpoint, opened=publication.opened))
    files[MANIFEST] = manifest_of(files)
    if publication.key is not None:
        files[SIGNATURE] = signature.sign(files[MANIFEST], publication.key, signature.OF_ROW)
    return files


def _require_whole(run: RunRow, *, opened: bool) -> None:
    if run.state != "done":
        raise UsageError(f"{run.id} is {run.state}", fix="finish it with the command that began it")
    if TRAVELLED in run.record:
        raise UsageError(f"{run.id} was imported", fix="its own folder can be passed on as it is")
    if not opened and (run.plan.get("limit") is not None or run.n_findings < _ENOUGH):
        raise UsageError(
            f"{run.id} is of a part of a closed split, or of fewer than {_ENOUGH} findings",
            fix="run the whole split; if its cases may be shown, name it with --public-split",
        )


def _leaving(record: Mapping[str, Any], *, opened: bool) -> dict[str, Any]:
    return {name: value for name, value in record.items() if opened or name in OF_CLOSED_SPLITS}


def _timing(run: RunRow) -> dict[str, Any]:
    return {name: value for name, value in run.timing.items() if name not in _OF_FEW}


def _metrics(store: Store, run: RunRow, *, opened: bool) -> dict[str, dict[str, dict[str, Any]]]:
    found = {name: metrics for name in PROFILES if (metrics := store.metrics(run.id, name))}
    if opened:
        return found
    return {
        name: {metric: {"all": groups["all"]} for metric, groups in metrics.items()} for name, metrics in found.items()
    }


def _tables(cases: Sequence[CaseRow], findings: Sequence[FindingRow], *, texts: bool) -> dict[str, bytes]:
    """Return the tables, without a patient's age and sex, and without what quotes a text that may not leave."""
    digests = {(row.case, row.finding): sha256(row.text.encode("utf-8", "replace")) for row in findings}
    return tables_of(
        [replace(case, reason=_reason(case.reason, texts=texts)) for case in cases],
        [
            replace(
                row,
                text=row.text if texts and plain(row.text) else "",
                reason=_reason(row.reason, texts=texts),
                details=replace(row.details, age=None, sex=None),
            )
            for row in findings
        ],
        digests,
    )


def _reason(reason: str, *, texts: bool) -> str:
    if not texts:
        return ""  # written by a model, perhaps: it may quote the text
    told = without_places(redacted(reason))[:_REASON]
    return "".join(one if one.isprintable() and plain(one) else " " for one in told)


def _training(store: Store, checkpoint: Checkpoint, address: str, *, opened: bool) -> SubmittedTraining:
    row = Trainings(store).find(checkpoint.key)
    if row is None:
        raise DataError(f"the database does not know the training {checkpoint.key[:12]}…", fix="leave it out")
    own = {"key", "sha256", "files", *(() if opened else ("cases",))}
    about = {name: value for name, value in checkpoint.record.items() if name not in own}
    columns = {name: getattr(row, name) for name in type(row).__dataclass_fields__}
    return SubmittedTraining(
        lies=address,
        key=checkpoint.key,
        sha256=checkpoint.sha256,
        files=checkpoint.record["files"],
        record=without_places(about),
        row={**columns, "plan": without_places(row.plan), "record": without_places(row.record)},
        points=[vars(point) for point in Trainings(store).points(checkpoint.key)],
    )


def place_of(files: Mapping[str, bytes], run: RunRow) -> PurePosixPath:
    """Return where the folder of a row belongs in a repository of results: it follows from its content."""
    day = (run.finished or run.created)[:10]
    data = f"{_slug(run.dataset)}-{run.fingerprint.removeprefix('sha256:')[:8]}"
    return PurePosixPath(
        SUBMISSIONS,
        data,
        *map(_slug, (run.split, run.plugin, run.variant)),
        f"{day}-{sha256(files[MANIFEST])[:12]}",
    )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9_.-]+", "-", name.casefold()).strip("-.")[:80] or "unnamed"


def pack_masks(run: RunRow, home: Path, archive: Path) -> MaskArchive:
    """Pack the masks of a row, as the digests of its findings are of them, into an archive; the same masks, same bytes.

    Raises
    ------
    DataError
        The masks are not there.
    UsageError
        There is something at its place, or they lie in an archive already.
    """
    folder = Path(run.plan.get("predictions") or home / "runs" / run.id / "masks")
    if folder.is_file():
        raise UsageError(f"the masks of {run.id} lie in an archive already: {folder}", fix="pass that one on")
    if not folder.is_dir():
        raise DataError(f"the masks of {run.id} are no longer at {folder}", fix="leave --pack out")
    if archive.exists():
        raise UsageError(f"{archive} is already there", fix="nothing is overwritten: choose another name")
    part = archive.with_name(f".partial-{archive.name}")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as packed:  # noqa: TID251 - writes; masks are compressed
            for path in sorted(folder.rglob("*.nii*")):
                if path.is_file() and not path.is_symlink():
                    info = zipfile.ZipInfo(path.relative_to(folder).as_posix())  # dated 1980, always
                    with path.open("rb") as source, packed.open(info, "w") as target:
                        while chunk := source.read(2**20):
                            target.write(chunk)
        part.rename(archive)
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return MaskArchive(sha256=digest, nbytes=archive.stat().st_size)
    except OSError as error:
        raise PrerequisiteError(f"cannot write {archive}: {error.strerror}", fix="choose another place") from error
    finally:
        part.unlink(missing_ok=True)
