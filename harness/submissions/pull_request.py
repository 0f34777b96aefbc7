"""The check of a pull request: its commits are data, read object by object; nothing of it is checked out or run.

A pull request adds text folders below ``submissions/`` and changes nothing else. What it adds is looked at in this
order: which paths, of which kind, how large; then each folder is verified, has to lie where its content belongs, and is
held against the rows that are there. The organisers' keys, and everything else that decides, come from the base.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from harness.errors import BenchError, DataError, PrerequisiteError, UsageError
from harness.foreign import parse_toml
from harness.rows import FindingRow
from harness.runs.claims import exposure_of, weights_loaded
from harness.status import Status
from harness.submissions.record import SubmittedTraining, parse_record
from harness.submissions.submit import place_of
from harness.submissions.tables import Tables, read_tables
from harness.submissions.text_files import CARD, LIMITS, SUBMISSIONS, TRAINING, VERIFICATION, VERIFIED_BY, shown
from harness.submissions.travelled import TextFolder
from harness.submissions.verify import HeldAgainst, SubmissionCheck, verify_folder

#: File of the base with the organisers' keys.
SIGNERS: Final = "signers"

#: Parts of a path: submissions, data set, split, model, variant, folder, file.
PARTS: Final = 7

#: Parts of a path that name a split of a data set; faults that are told, the others are counted.
_DATA, _TOLD = 3, 4

#: Most files and bytes of a pull request, most seconds of one call of git.
_FILES, _BYTES, _SECONDS = 200, 20 * 2**20, 120

_LINK, _EXECUTABLE, _MODULE, _PLAIN = "120000", "100755", "160000", "100644"

#: Share of the masks with voxels that another row has as well, from which a row is a copy.
_COPY: Final = 0.5


@dataclass(frozen=True)
class PullRequest:
    """What was found of a pull request.

    Attributes
    ----------
    checks
        Of the request as a whole.
    folders
        Path -> its checks, and what was read of it; None where that cannot be.
    """

    checks: list[SubmissionCheck]
    folders: Mapping[str, tuple[list[SubmissionCheck], TextFolder | None]]

    @property
    def failed(self) -> list[SubmissionCheck]:
        """The checks that failed."""
        every = [*self.checks, *(one for checks, _ in self.folders.values() for one in checks)]
        return [one for one in every if one.outcome == "FAIL"]


@dataclass(frozen=True)
class _Entry:
    """One change: its kind (A, M, D, T), mode and object after it, and its path."""

    kind: str
    mode: str
    blob: str
    path: str


def check_pull_request(repository: Path, base: str, head: str) -> PullRequest:
    """Check what `head` adds to `base`.

    Parameters
    ----------
    repository
        A git repository that has both commits; its work tree and its index are not looked at.
    base, head
        Commits, as 40 hexadecimal digits.

    Raises
    ------
    UsageError
        They are no commits.
    PrerequisiteError
        Git is not there, or refuses.
    """
    for commit in (base, head):
        if not (len(commit) in {40, 64} and set(commit) <= set("0123456789abcdef")):
            raise UsageError(
                f"{shown(commit)} is not the whole id of a commit", fix="give what `git rev-parse NAME` prints"
            )
    git = _Git(repository)
    begins = git.merge_bases(base, head)
    if len(begins) != 1:
        return PullRequest([_crossed(len(begins))], {})
    entries = list(_changed(git, begins[0], head))
    checks = [_paths(git, base, entries), _sizes(git, entries)]
    if any(one.outcome == "FAIL" for one in checks):
        return PullRequest(checks, {})
    with tempfile.TemporaryDirectory(prefix="groundbench-") as scratch:
        signers = Path(scratch, SIGNERS)
        signers.write_bytes(git.file(base, SIGNERS))
        places = sorted({str(PurePosixPath(entry.path).parent) for entry in entries})
        there = dict(git.tables(base))
        trained = dict(git.trained(base)) | dict(git.trained(head))
        folders = {}
        for place in places:
            own = [entry for entry in entries if str(PurePosixPath(entry.path).parent) == place]
            target = Path(scratch, place)
            git.extract(head, place, own, target)
            said, folder = verify_folder(target, HeldAgainst(signers=signers))
            found = [replace(one, found=one.found.replace(f"{scratch}/", "")) for one in said]
            if folder is not None:
                found += [_placed(folder, place), _same_data(folder, place, there), _copied(folder, place, there)]
                found.append(_zero_shot(folder, trained))
            folders[place] = (found, folder)
    return PullRequest(checks, folders)


def _crossed(begins: int) -> SubmissionCheck:
    """Refuse a history from which a merge may remove what no comparison with one of its beginnings shows."""
    how = f"crosses that of the board: it begins at {begins} commits" if begins else "has no commit of the board's"
    return SubmissionCheck("paths", "FAIL", f"its history {how}", "add the folder in one commit on the newest main")


def _changed(git: _Git, first: str, head: str) -> Iterator[_Entry]:
    fields = git("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", first, head).split(b"\0")
    for about, path in zip(fields[::2], fields[1::2], strict=False):
        _, mode, _, blob, kind = about.decode().lstrip(":").split(" ")
        yield _Entry(kind, mode, blob, path.decode("utf-8", "replace"))


def _paths(git: _Git, base: str, entries: Sequence[_Entry]) -> SubmissionCheck:
    old = set(git("ls-tree", "-r", "-z", "--name-only", "--full-tree", base).decode("utf-8", "replace").split("\0"))
    faults = [f"{shown(entry.path)}: {why}" for entry in entries if (why := _fault(entry, old))]
    if not entries:
        faults.append("it adds nothing")
    if len(entries) > _FILES:
        faults.insert(0, f"it adds {len(entries)} files, more than {_FILES}")
    if not faults:
        return SubmissionCheck("paths", "pass", f"{len(entries)} files are added below {SUBMISSIONS}/, nothing else")
    more = f" and {len(faults) - 8} more" if len(faults) > 8 else ""
    return SubmissionCheck(
        "paths", "FAIL", "; ".join(faults[:8]) + more, "add what `bench submit` wrote, and change nothing else"
    )


def _fault(entry: _Entry, old: set[str]) -> str:
    """Return why a change may not be made; empty where it may."""
    path = PurePosixPath(entry.path)
    if path.parts[0] != SUBMISSIONS or len(path.parts) == 1:
        return f"it lies outside {SUBMISSIONS}/; what decides there is the organisers'"
    if entry.kind != "A":
        return "it changes or removes what is there: an old row stays as it is"
    if entry.mode != _PLAIN:
        kinds = {_LINK: "a link", _EXECUTABLE: "a program", _MODULE: "another repository"}
        return f"it adds {kinds.get(entry.mode, 'something that is no file')}"
    if len(path.parts) != PARTS or path.name not in LIMITS:
        return "a text folder has no such file"
    if path.name not in {VERIFICATION, VERIFIED_BY} and any(one.startswith(f"{path.parent}/") for one in old):
        return "it adds to an old row, which stays as it is"
    return ""


def _sizes(git: _Git, entries: Sequence[_Entry]) -> SubmissionCheck:
    plain = [entry for entry in entries if entry.kind == "A" and entry.mode in {_PLAIN, _EXECUTABLE}][: _FILES + 1]
    sizes = git.sizes([entry.blob for entry in plain])
    faults = [
        f"{shown(entry.path)}: {size:,} bytes, more than {most:,}"
        for entry, size in zip(plain, sizes, strict=True)
        if size > (most := LIMITS.get(PurePosixPath(entry.path).name, LIMITS[CARD]))
    ]
    if sum(sizes) > _BYTES:
        faults.insert(0, f"{sum(sizes):,} bytes in all, more than {_BYTES:,}")
    if faults:
        return SubmissionCheck("sizes", "FAIL", "; ".join(faults[:8]), "masks lie elsewhere: `bench submit --masks-at`")
    return SubmissionCheck("sizes", "pass", f"{sum(sizes):,} bytes")


def _placed(folder: TextFolder, place: str) -> SubmissionCheck:
    expected = str(place_of(folder.files, folder.record.run.row()))
    if place == expected:
        return SubmissionCheck("place", "pass", "it lies where its content belongs")
    return SubmissionCheck("place", "FAIL", f"it lies at {shown(place)}", f"move it to {expected}")


def _same_data(folder: TextFolder, place: str, there: Mapping[str, tuple[Tables, str]]) -> SubmissionCheck:
    """Hold findings and truths against those of the other rows of the split: the easy half of it is not the split."""
    data = PurePosixPath(place).parts[:_DATA]
    known: dict[tuple[str, str], tuple[FindingRow, str, str]] = {}
    for other, (tables, _) in there.items():
        if other != place and PurePosixPath(other).parts[:_DATA] == data:
            known = {key: (*facts, other) for key, facts in _findings(tables).items()} | known
    if not known or folder.tables is None:
        return SubmissionCheck("data", "skip", "no other row of this split is there")
    own, part = _findings(folder.tables), folder.record.run.plan.get("limit") is not None
    faults = [f"{'/'.join(key)} is missing, {known[key][2]} has it" for key in known if key not in own and not part]
    faults += [
        f"{'/'.join(key)}: its text, category or truth is not that of {known[key][2]}"
        for key, (row, text) in own.items()
        if key in known and not (text == known[key][1] and _alike(row, known[key][0]))
    ]
    if faults:
        more = f"; and {len(faults) - _TOLD} more" if len(faults) > _TOLD else ""
        fix = "run the whole split, as its data set has it; where the other row is wrong, tell the owners"
        return SubmissionCheck("data", "FAIL", shown("; ".join(faults[:_TOLD]), 500) + more, fix)
    if new := len(own.keys() - known.keys()):
        fix = "see whether the data set has them"
        return SubmissionCheck("data", "note", f"{new} of its findings are in no other row of this split", fix)
    return SubmissionCheck("data", "pass", f"its {len(own)} findings and their truths are those of other rows")


def _findings(tables: Tables) -> dict[tuple[str, str], tuple[FindingRow, str]]:
    """Return the findings of a row, each with the digest of its text."""
    return {(row.case, row.finding): (row, tables.texts[row.case, row.finding]) for row in tables.findings}


def _alike(one: FindingRow, other: FindingRow) -> bool:
    """Return whether two rows may be of one finding; a truth that one of them has not counted says nothing."""
    truths = {one.truth_voxels, other.truth_voxels} - {None}
    return one.category == other.category and len(truths) < 2


def _copied(folder: TextFolder, place: str, there: Mapping[str, tuple[Tables, str]]) -> SubmissionCheck:
    """Hold masks against those of other people's rows: by digest, and by voxel counts, which packing keeps."""
    own = {} if folder.tables is None else _marks(folder.tables)
    worst = SubmissionCheck("copies", "pass", "no mask with a voxel is another row's")
    most = 0
    for other, (tables, who) in there.items():
        if other == place or (who and who == folder.card.who):
            continue
        marks = _marks(tables)
        same = sum(bool(mark & marks.get(name, frozenset())) for name, mark in own.items())
        if same > most:
            most = same
            copied = same >= _COPY * len(own)
            worst = SubmissionCheck(
                "copies",
                "FAIL" if copied else "note",
                f"{same} of {len(own)} masks are those of {shown(other)} ({shown(who) or 'nobody stated'})",
                "submit masks of your own; where both rows run the same model, the first one stands" if copied else "",
            )
    return worst


def _zero_shot(folder: TextFolder, trained: Mapping[str, str]) -> SubmissionCheck:
    """Hold the weights of a row against the checkpoints of others: what was trained on our split is no zero-shot."""
    run, loaded = folder.record.run, folder.record.content.weights
    if not loaded:
        return SubmissionCheck("weights", "skip", "it loads none")
    said = exposure_of(run.record)
    own = [
        f"{shown(name)} is of the training of {shown(trained[one])}" for name, one in loaded.items() if one in trained
    ]
    if own and not run.fine_tuned and "train" not in said.split("+"):
        return SubmissionCheck(
            "weights",
            "FAIL",
            f"{'; '.join(own[:_TOLD])}; the record says that they were trained on: {shown(said)}",
            'state it: exposure = "train" in the declaration, and trained_on in the card; then run it again',
        )
    return SubmissionCheck("weights", "pass", f"{len(loaded)} files; of another row's training: {len(own)}")


def _marks(tables: Tables) -> dict[tuple[str, str], frozenset[object]]:
    """Return what a mask with voxels is known by: the digest of its file, and its counts of voxels."""
    return {
        (row.case, row.finding): frozenset(
            [
                row.mask_sha256,
                (row.truth_voxels, row.pred_voxels, row.intersection, str(row.details.instances)),
            ]
        )
        for row in tables.findings
        if row.status == Status.OK and row.pred_voxels
    }


class _Git:
    """Git's objects, read without hooks, filters or anything that a repository configures."""

    def __init__(self, repository: Path) -> None:
        self._command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-C", str(repository)]
        self._environment = {**os.environ, "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0"}

    def __call__(self, *arguments: str, given: bytes = b"", fails: bool = False) -> bytes:
        """Return what a command prints; one that `fails` may end with another code than 0, as an answer."""
        try:
            done = subprocess.run(
                [*self._command, *arguments],
                input=given,
                capture_output=True,
                env=self._environment,
                timeout=_SECONDS,
                check=not fails,
            )
        except OSError as error:
            raise PrerequisiteError("git is not installed", fix="install it") from error
        except subprocess.SubprocessError as error:
            said = shown(getattr(error, "stderr", b"").decode(errors="replace")) or shown(error)
            raise PrerequisiteError(f"git refuses: {said}", fix="fetch both commits into the repository") from error
        return done.stdout

    def merge_bases(self, base: str, head: str) -> list[str]:
        """Return the commits at which two histories part; none where they share no commit, several where they cross."""
        heads = [self("rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}") for commit in (base, head)]
        found = self("merge-base", "--all", *(one.decode().strip() for one in heads), fails=True)
        return found.decode().split()

    def sizes(self, blobs: Sequence[str]) -> list[int]:
        """Return the bytes of objects, of which none is read."""
        answers = self("cat-file", "--batch-check=%(objectsize)", given="".join(f"{b}\n" for b in blobs).encode())
        return [int(line) for line in answers.split()]

    def file(self, commit: str, path: str) -> bytes:
        """Return a file of a commit; empty where it has none."""
        listed = self("ls-tree", "-z", "--full-tree", commit, "--", path)
        return self("cat-file", "blob", f"{commit}:{path}") if listed.startswith(b"100") else b""

    def listed(self, commit: str, below: str) -> list[tuple[str, str, int]]:
        """Return path, object and bytes of the plain files below a folder of a commit."""
        found = []
        for line in self("ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--", below).split(b"\0")[:-1]:
            about, _, path = line.partition(b"\t")
            mode, _, blob, size = about.decode().split()
            if mode == _PLAIN:
                found.append((path.decode("utf-8", "replace"), blob, int(size)))
        return found

    def extract(self, commit: str, place: str, own: Sequence[_Entry], target: Path) -> None:
        """Write the files of a folder, those that a pull request adds and those that are there, as plain files."""
        target.mkdir(parents=True)
        blobs = {PurePosixPath(path).name: blob for path, blob, _ in self.listed(commit, f"{place}/")}
        for name, blob in {**blobs, **{PurePosixPath(entry.path).name: entry.blob for entry in own}}.items():
            if name in LIMITS:
                (target / name).write_bytes(self("cat-file", "blob", blob))

    def tables(self, commit: str) -> Iterator[tuple[str, tuple[Tables, str]]]:
        """Yield path, tables and author of every open row of a commit; one that cannot be read is passed over."""
        folders: dict[str, dict[str, str]] = {}
        for path, blob, size in self.listed(commit, f"{SUBMISSIONS}/"):
            name = PurePosixPath(path).name
            if size <= LIMITS.get(name, 0):
                folders.setdefault(str(PurePosixPath(path).parent), {})[name] = blob
        for place, blobs in folders.items():
            try:
                files = {name: self("cat-file", "blob", blob) for name, blob in blobs.items() if name.endswith("csv")}
                card = self("cat-file", "blob", blobs[CARD]).decode()
                yield place, (read_tables(files), _who(card))
            except (BenchError, KeyError, UnicodeDecodeError):
                continue

    def trained(self, commit: str) -> Iterator[tuple[str, str]]:
        """Yield digest and path for the files of every checkpoint whose record a commit has, but what it began with."""
        for path, blob, size in self.listed(commit, f"{SUBMISSIONS}/"):
            place = PurePosixPath(path)
            if place.name == TRAINING and size <= LIMITS[TRAINING]:
                try:
                    training = parse_record(SubmittedTraining, self("cat-file", "blob", blob), TRAINING)
                except BenchError:  # of the base, and passed over; of this request, and named by its own checks
                    continue
                begun = weights_loaded(training.row.get("plan"))
                for digest in {str(file.get("sha256")) for file in training.files.values()} - {*begun}:
                    yield digest, str(place.parent)


def _who(card: str) -> str:
    try:
        return str(parse_toml(card).get("who", ""))
    except ValueError as error:
        raise DataError(f"a card of the base is not valid TOML: {shown(error)}") from error
