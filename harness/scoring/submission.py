"""Masks made elsewhere: a folder, or the challenge's zip archive, read in place.

Two forms are known, and may be mixed case by case: one stack for all findings (``<case>.nii.gz``, the challenge's
form), or a folder of one mask per finding (``<case>/<finding>.nii.gz``, the containers' form).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from harness.dataset import Case
from harness.errors import DataError, UsageError
from harness.foreign import open_zip
from harness.masks import Source, ZipMember
from harness.masks.formats import SUFFIXES, conversion, stem_of, suffix_of, unpacking
from harness.scoring.case import CaseTask

_Key = TypeVar("_Key", bound=Hashable)

#: Suffixes of masks that nothing needs to be said about.
_USUAL = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Submission:
    """The files of a submission.

    Attributes
    ----------
    path
        The folder or archive.
    stacks
        Case -> its stack.
    masks
        (case, finding) -> its mask.
    strangers
        Volumes that belong to no case of the split, which are not scored.
    holds
        What else is there, in words: ``"3 .npz files (a.npz)"``; and which masks are not ``.nii.gz``.
    """

    path: Path
    stacks: Mapping[str, Source]
    masks: Mapping[tuple[str, str], Source]
    strangers: tuple[str, ...]
    holds: tuple[str, ...] = ()

    def task(
        self, case: Case, mask_flip: tuple[int, ...], *, organiser_quirks: bool = False, blind: bool = False
    ) -> CaseTask:
        """Make the scoring task of one case; raises DataError where it has no ground truth, unless `blind`."""
        if case.truth is None and not blind:
            raise DataError(f"{case.id} has no ground truth", fix="choose a split with masks")
        return CaseTask(
            case=case.id,
            truth=None if blind else case.truth,
            shape=case.shape,
            spacing=case.spacing,
            affine=case.affine,
            findings=case.findings,
            masks={f.id: self.masks[case.id, f.id] for f in case.findings if (case.id, f.id) in self.masks},
            stack=self.stacks.get(case.id),
            root=self.path if self.path.is_dir() else None,
            mask_flip=mask_flip,
            organiser_quirks=organiser_quirks,
        )

    def nbytes(self, case: Case) -> int:
        """Return the size of a case's files, to begin with the largest."""
        sources = [self.stacks.get(case.id), *(self.masks.get((case.id, f.id)) for f in case.findings)]
        return sum(_size(source) for source in sources if source is not None)


def open_submission(path: Path, cases: Sequence[Case]) -> Submission:
    """Find the masks of a split in a folder or a zip archive.

    Parameters
    ----------
    path
        Folder or archive; the masks may lie below further folders.
    cases
        The cases of the split.

    Raises
    ------
    UsageError
        `path` does not exist.
    DataError
        It is neither folder nor archive, contains two files for one mask, or no mask of the split.
    """
    known = {case.id: {finding.id for finding in case.findings} for case in cases}
    stacks: dict[str, Source] = {}
    masks: dict[tuple[str, str], Source] = {}
    strangers: list[str] = []
    others: dict[str, list[str]] = {}
    of_macos: list[str] = []
    unusual: dict[str, list[str]] = {}
    for name, source in _files(path, known):
        if "__MACOSX" in name.parts or name.name.startswith("._"):
            of_macos.append(str(name))  # what macOS leaves beside every file
            continue
        suffix, stem = suffix_of(name.name), stem_of(name.name)
        if suffix not in SUFFIXES:
            others.setdefault(suffix or name.name, []).append(str(name))
            continue
        if stem in known:
            _put(stacks, stem, source)
        elif stem in known.get(name.parent.name, ()):
            _put(masks, (name.parent.name, stem), source)
        else:
            strangers.append(str(name))
            continue
        if not name.name.endswith(_USUAL):
            unusual.setdefault(name.name[len(stem) :], []).append(str(name))
    both = sorted(stacks.keys() & {case for case, _ in masks})
    if both:
        raise DataError(f"{path} contains both a stack and single masks of {both[0]}", fix="keep one of the two")
    if not stacks and not masks:
        raise _nothing_of(path, cases, strangers, others, of_macos)
    holds = [f"{_files_of(kind, names)}: read as masks by what they hold" for kind, names in unusual.items()]
    holds += [f"{_files_of(kind, names)}: not read" for kind, names in others.items()]
    return Submission(path, stacks, masks, tuple(strangers), tuple(holds))


def _nothing_of(
    path: Path,
    cases: Sequence[Case],
    strangers: Sequence[str],
    others: Mapping[str, Sequence[str]],
    of_macos: Sequence[str],
) -> DataError:
    """Say what is there in place of masks, and how to come from it to masks."""
    example = cases[0].id if cases else "<case>"
    fix = f"name stacks {example}.nii.gz, or single masks {example}/<finding>.nii.gz"
    found = [f"{_number(strangers, 'volume')} of other names ({strangers[0]})"] if strangers else []
    found += [_files_of(kind, names) for kind, names in others.items()]
    found += [f"{_number(of_macos, 'side file')} of macOS ({of_macos[0]})"] if of_macos else []
    archive = next((name for names in others.values() for name in names if unpacking(name)), None)
    if archive is not None:
        fix = f"unpack it first, only {path.name} itself may be an archive: {unpacking(archive)}"
    elif strangers:
        fix = _fix_of_a_stranger(fix, PurePosixPath(strangers[0]), cases)
    elif others:
        first = next(iter(others.values()))[0]
        fix = f"{fix}; {conversion(first, f'{example}.nii.gz')}"
    what = f"it contains {', '.join(found)}" if found else "it is empty"
    return DataError(f"{path} does not contain a mask of any case of this split: {what}", fix=fix)


def _fix_of_a_stranger(fix: str, name: PurePosixPath, cases: Sequence[Case]) -> str:
    """Say which mask a volume of another name may be: one of a known case, or that of a case with a like name."""
    lower = {case.id.lower(): case for case in cases}
    if (case := lower.get(name.parent.name.lower())) is not None:
        return f"{fix}; the findings of {case.id} are {', '.join(finding.id for finding in case.findings)}"
    near = difflib.get_close_matches(stem_of(name.name).lower(), lower, n=1)
    return f"{fix}; is {name} that of case {lower[near[0]].id}?" if near else fix


def _files_of(kind: str, names: Sequence[str]) -> str:
    return f"{_number(names, f'{kind} file')} ({names[0]}{', …' if len(names) > 1 else ''})"


def _number(names: Sequence[str], noun: str) -> str:
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"


def _put(found: dict[_Key, Source], key: _Key, source: Source) -> None:
    if key in found:
        raise DataError(f"two files could be the same mask: {found[key]} and {source}", fix="keep one of the two")
    found[key] = source


def _files(path: Path, known: Mapping[str, Collection[str]]) -> Iterator[tuple[PurePosixPath, Source]]:
    """Yield (name below `path`, where it is) of every file, in the order of the names.

    No link is followed: what lies behind a linked folder is named, so far as it can be a mask, and refused when it is
    opened, as a linked file is.
    """
    if path.is_dir():
        yield from _files_in_folder(path, known)
    elif path.exists():
        yield from _files_in_archive(path)
    else:
        raise UsageError(f"there is nothing at {path}", fix="give a folder of masks, or a .zip of one")


def _files_in_folder(path: Path, known: Mapping[str, Collection[str]]) -> Iterator[tuple[PurePosixPath, Source]]:
    for folder, inner, names in os.walk(path):
        inner.sort()
        below = PurePosixPath(Path(folder).relative_to(path))
        for name in sorted(names):
            here = Path(folder, name)
            if name in known and here.is_symlink():  # a case's folder that is not there
                yield from ((below / behind, Path(folder, behind)) for behind in _behind(name, here, known))
            else:
                yield below / name, here
        for name in inner:
            if Path(folder, name).is_symlink():
                for behind in _behind(name, Path(folder, name), known):
                    yield below / behind, Path(folder, behind)


def _files_in_archive(path: Path) -> Iterator[tuple[PurePosixPath, Source]]:
    try:
        with open_zip(path) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if not info.is_dir():
                    name = info.filename.replace("\\", "/")  # as some tools of Windows write it
                    yield PurePosixPath(name), ZipMember(path, info.filename, info.file_size)
    except ValueError as error:
        command = unpacking(path.name)
        raise DataError(
            f"{path} is neither a folder nor a zip archive: {error}",
            fix=f"unpack it and give the folder: {command}" if command else "give a folder of masks, or a .zip of one",
        ) from error


def _behind(name: str, link: Path, known: Mapping[str, Collection[str]]) -> Iterator[str]:
    """Name the masks that a linked folder stands for: those of a case, or of the cases that it directly holds."""
    if name in known:
        yield from (f"{name}/{finding}.nii.gz" for finding in known[name])
        return
    try:
        inside = sorted(entry.name for entry in os.scandir(link))
    except OSError:
        return  # it leads nowhere
    for entry in inside:
        if entry in known:
            yield from (f"{name}/{entry}/{finding}.nii.gz" for finding in known[entry])
        elif suffix_of(entry) in SUFFIXES and stem_of(entry) in known:
            yield f"{name}/{entry}"


def _size(source: Source) -> int:
    if isinstance(source, ZipMember):
        return source.size
    try:
        return source.lstat().st_size
    except OSError:
        return 0  # behind a link that leads nowhere; opening it says so
