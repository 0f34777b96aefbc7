"""The queue of rows that an organiser runs again: merged pull requests with a label, the oldest first.

It is worked off on the organiser's machine, where data, plugins and keys are; a pull request's commits never run there.
Each row is run on jittered cases; one that holds gets a signed word by a signed commit, and the pull request is told
what came of it and loses its label.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from harness.errors import DataError, PrerequisiteError, UnknownName
from harness.foreign import parse_json
from harness.status import RowLevel
from harness.submissions.pull_request import PARTS, SIGNERS
from harness.submissions.report import markdown_of
from harness.submissions.rerun import Rerun, run_again, write_verification
from harness.submissions.text_files import SUBMISSIONS, VERIFICATION, VERIFIED_BY, shown
from harness.submissions.travelled import TextFolder
from harness.submissions.verify import HeldAgainst, SubmissionCheck, verify_folder

#: Most pull requests that are asked for, most seconds of one call of git or of the host.
_MOST, _SECONDS = 200, 120

_SHOWN: Final = "number,mergedAt,files"


@dataclass(frozen=True)
class WaitingRows:
    """A pull request that waits: its number, and the text folders that it added and nobody has verified yet."""

    number: int
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class QueueKeeper:
    """Who works the queue off.

    Attributes
    ----------
    repository
        A checkout of the results repository, on its main branch.
    label
        Of the pull requests.
    by, key
        The organiser as the board's keys name them; their SSH key, which signs words and commits.
    """

    repository: Path
    label: str
    by: str
    key: Path


def waiting(repository: Path, label: str) -> list[WaitingRows]:
    """Return the merged pull requests with a label whose rows are not verified yet, the oldest first.

    Raises
    ------
    PrerequisiteError
        The host's command ``gh`` is not there, or refuses.
    """
    asked = ["gh", "pr", "list", "--state", "merged", "--label", label, "--limit", str(_MOST), "--json", _SHOWN]
    found: list[dict[str, Any]] = parse_json(_call(asked, repository))
    found.sort(key=lambda one: (str(one["mergedAt"]), int(one["number"])))
    queue = [WaitingRows(int(one["number"]), tuple(_folders(repository, one["files"]))) for one in found]
    return [one for one in queue if one.folders]


def _folders(repository: Path, files: Sequence[dict[str, Any]]) -> Iterator[Path]:
    """Yield the text folders of files; none that lies elsewhere, behind a link, or is verified."""
    places = {PurePosixPath(str(one["path"])).parent for one in files}
    root = repository.resolve()
    for place in sorted(places):
        folder = root / place
        inside = len(place.parts) == PARTS - 1 and place.parts[0] == SUBMISSIONS and folder.resolve() == folder
        if inside and folder.is_dir() and not (folder / VERIFICATION).exists():
            yield folder


def work_off(
    one: WaitingRows, organiser: QueueKeeper, rerun: Callable[[TextFolder], Rerun], log: Callable[[str], None]
) -> list[SubmissionCheck]:
    """Run the rows of a pull request again, and say there what came of them.

    Parameters
    ----------
    one, organiser
        The pull request, and who does so.
    rerun
        Returns how a row is run.
    log
        Shows a line.

    Returns
    -------
    list
        The checks that failed. A row whose plugin or data set is not here goes on waiting, and so does its label.
    """
    reports, failed, done = [], [], True
    for folder in one.folders:
        if (folder / VERIFICATION).exists():  # by an earlier pull request that names it, too
            continue
        try:
            checks, found = _answer(folder, organiser, rerun)
        except (DataError, UnknownName) as error:
            log(f"#{one.number}: {error.message}; it goes on waiting")
            done = False
            continue
        for check in checks:
            if check.outcome == "FAIL" or check.name == "run again":
                log(f"#{one.number}: {check.outcome} {check.name}: {check.found}")
        failed += _failed(checks)
        reports.append(markdown_of(checks, found))
    if reports:
        _call(["gh", "pr", "comment", str(one.number), "--body-file", "-"], organiser.repository, "\n\n".join(reports))
    if done:
        _call(["gh", "pr", "edit", str(one.number), "--remove-label", organiser.label], organiser.repository)
    return failed


def _answer(
    place: Path, organiser: QueueKeeper, rerun: Callable[[TextFolder], Rerun]
) -> tuple[list[SubmissionCheck], TextFolder | None]:
    """Verify a row and run it again; where all of it holds, commit a signed word."""
    checks, folder = verify_folder(place, HeldAgainst(signers=organiser.repository / SIGNERS))
    if folder is None or _failed(checks):
        return checks, folder
    how = rerun(folder)
    line, difference = run_again(folder, how)
    checks.append(line)
    if not _failed(checks):
        said = {"how": how.how, "tolerance": how.tolerance, "difference": difference}
        level = write_verification(folder, checks, by=organiser.by, key=organiser.key, **said)
        _commit(organiser, folder, level)
    return checks, folder


def _failed(checks: Sequence[SubmissionCheck]) -> list[SubmissionCheck]:
    return [one for one in checks if one.outcome == "FAIL"]


def _commit(organiser: QueueKeeper, folder: TextFolder, level: RowLevel) -> None:
    """Commit an organiser's word, and nothing else that may lie about, signed by their key."""
    names = [str(folder.place / name) for name in (VERIFICATION, VERIFIED_BY)]
    run = folder.record.run
    _call(["git", "add", "--", *names], organiser.repository)
    signed = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={organiser.key.absolute()}"]
    said = f"Raise {run.plugin} {run.variant} to {level}"
    _call(["git", *signed, "commit", "--quiet", "--gpg-sign", "-m", said, "--", *names], organiser.repository)


def _call(command: Sequence[str], folder: Path, given: str = "") -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, input=given, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except OSError as error:
        raise PrerequisiteError(f"{command[0]} is not installed", fix=f"install {command[0]}") from error
    except subprocess.SubprocessError as error:
        said = shown(getattr(error, "stderr", "") or error, 300)
        raise PrerequisiteError(
            f"{' '.join(command[:3])} refuses: {said}", fix="see whether it works by itself in the repository"
        ) from error
    return done.stdout
