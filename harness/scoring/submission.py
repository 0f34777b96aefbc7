"""Masks made elsewhere: a folder, or the challenge's zip archive, read in place.

Two forms are known, and may be mixed case by case: one stack for all findings (``<case>.nii.gz``, as the challenge has
it), or a folder of one mask a finding (``<case>/<finding>.nii.gz``, as the containers write them).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from harness.dataset import Case
from harness.errors import DataError, UsageError
from harness.masks import Source, ZipMember
from harness.scoring.case import CaseTask

_Key = TypeVar("_Key", bound=Hashable)

_SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Submission:
    """Where the masks of a submission are.

    Attributes
    ----------
    path
        The folder or archive.
    stacks
        Case -> its stack.
    masks
        (case, finding) -> its mask.
    strangers
        NIfTI files that belong to no case of the split, which nobody will score.
    """

    path: Path
    stacks: Mapping[str, Source]
    masks: Mapping[tuple[str, str], Source]
    strangers: tuple[str, ...]

    def task(self, case: Case, mask_flip: tuple[int, ...], *, organiser_quirks: bool = False) -> CaseTask:
        """Make the scoring task of one case; raises DataError where it has no ground truth."""
        if case.truth is None:
            raise DataError(f"{case.id} has no ground truth", fix="choose a split with masks")
        return CaseTask(
            case=case.id,
            truth=case.truth,
            shape=case.shape,
            spacing=case.spacing,
            affine=case.affine,
            findings=case.findings,
            masks={f.id: self.masks[case.id, f.id] for f in case.findings if (case.id, f.id) in self.masks},
            stack=self.stacks.get(case.id),
            root=None if zipfile.is_zipfile(self.path) else self.path,
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
        There is nothing at `path`.
    DataError
        It is neither folder nor archive, holds two files for one mask, or none for any case.
    """
    known = {case.id: {finding.id for finding in case.findings} for case in cases}
    stacks: dict[str, Source] = {}
    masks: dict[tuple[str, str], Source] = {}
    strangers = []
    for name, source in _files(path):
        if "__MACOSX" in name.parts or name.name.startswith("._"):
            continue  # what macOS leaves beside every file
        stem = next((name.name[: -len(suffix)] for suffix in _SUFFIXES if name.name.endswith(suffix)), None)
        if stem is None:
            continue
        if stem in known:
            _put(stacks, stem, source)
        elif stem in known.get(name.parent.name, ()):
            _put(masks, (name.parent.name, stem), source)
        else:
            strangers.append(str(name))
    both = sorted(stacks.keys() & {case for case, _ in masks})
    if both:
        raise DataError(f"{path} holds both a stack and single masks of {both[0]}", fix="leave one of the two")
    if not stacks and not masks:
        example = cases[0].id if cases else "<case>"
        raise DataError(
            f"{path} holds no mask of any case of this split"
            + (f"; it holds {strangers[0]} and other files" if strangers else ""),
            fix=f"name stacks {example}.nii.gz, or single masks {example}/<finding>.nii.gz",
        )
    return Submission(path, stacks, masks, tuple(strangers))


def _put(found: dict[_Key, Source], key: _Key, source: Source) -> None:
    if key in found:
        raise DataError(f"two files could be the same mask: {found[key]} and {source}", fix="leave one of the two")
    found[key] = source


def _files(path: Path) -> Iterator[tuple[PurePosixPath, Source]]:
    """Yield (name below `path`, where it is) of every file, in the order of the names."""
    if path.is_dir():
        for folder, inner, names in os.walk(path):
            inner.sort()
            for name in sorted(names):
                file = Path(folder, name)
                yield PurePosixPath(file.relative_to(path)), file
        return
    if not path.exists():
        raise UsageError(f"there is nothing at {path}", fix="give a folder of masks, or a .zip of one")
    try:
        with zipfile.ZipFile(path) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if not info.is_dir():
                    name = info.filename.replace("\\", "/")  # as some tools of Windows write it
                    yield PurePosixPath(name), ZipMember(path, info.filename)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path} is neither a folder nor a zip archive: {error}", fix="make the archive again"
        ) from error


def _size(source: Source) -> int:
    if isinstance(source, ZipMember):
        with zipfile.ZipFile(source.archive) as archive:
            return archive.getinfo(source.name).file_size
    return source.lstat().st_size
