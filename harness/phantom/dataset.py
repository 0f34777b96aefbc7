"""A data set of phantoms on disk, in the layout of ReXGroundingCT."""

from __future__ import annotations

import contextlib
import errno
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.dataset.layout import NOTES
from harness.errors import PrerequisiteError, UnknownName, UsageError
from harness.foreign import read_json_file
from harness.phantom.case import make_case
from harness.phantom.grid import SIZES, Size
from harness.phantom.nifti import write_case, write_json

#: File that records the options of a data set; where it exists, another phantom may replace the folder.
RECIPE = "phantom.json"

#: It contains no patient's data; the phantom has the licence of the code that draws it.
LICENCE = "Apache-2.0"
TERMS = {
    "licence_url": "https://www.apache.org/licenses/LICENSE-2.0",
    "authors": "The groundbench authors",
    **dict.fromkeys(("scores", "texts", "images", "masks", "derived", "commercial"), "yes"),
    "gated": "no",
}

#: Version of the phantom: raised when the same options no longer make the same bytes.
VERSION = 2

Progress = Callable[[int, int, str], None]


def make_dataset(
    out: Path, *, cases: int, size: Size, seed: int, force: bool = False, progress: Progress | None = None
) -> Path:
    """Make a data set of phantoms; the same options make the same bytes.

    Parameters
    ----------
    out
        Folder to make. It appears complete or not at all: everything is written beside it and renamed last.
    cases
        How many; case i is the same whatever the number. Of each twenty the first four are test, the rest train and
        val in the proportion 3:1, and four test cases show all 14 categories between them.
    size
        ``"small"`` (about 96 x 80 x 64 voxels) or ``"full"`` (512 x 512 x 300 and more).
    seed
        0 or more.
    force
        Replace `out` if it contains an earlier phantom.
    progress
        Called before each case with its index, the number of cases and its name.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    UsageError
        Where an option is invalid, or `out` contains other files, which are never replaced.
    PrerequisiteError
        Where the disk is full or the folder is not writable.
    """
    if cases < 1:
        raise UsageError(f"a data set of {cases} cases is empty", fix="ask for 1 case or more")
    if seed < 0:
        raise UsageError(f"the seed {seed} is negative", fix="give a whole number from 0")
    if size not in SIZES:
        raise UnknownName("phantom size", size, SIZES)
    with _explained(out):
        _check_free(out, force=force)
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = out.parent / f".{out.name}.{uuid.uuid4().hex[:8]}.partial"
        try:
            _write(beside, cases, size, seed, progress)
            _swap(beside, out)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return out


def _write(root: Path, cases: int, size: Size, seed: int, progress: Progress | None) -> None:
    for folder in ("ct", "seg", "anatomy"):
        (root / folder).mkdir(parents=True)
    splits: dict[str, list[dict[str, object]]] = {"train": [], "val": [], "test": []}
    for number in range(cases):
        if progress:
            progress(number, cases, f"case {number + 1}")
        case = make_case(seed, number, size)
        write_case(case, root)
        splits[case.plan.split].append(case.entry())
    write_json(root / "dataset.json", splits)
    write_json(root / NOTES, {"licence": LICENCE, "terms": TERMS})
    write_json(root / RECIPE, {"version": VERSION, "cases": cases, "size": size, "seed": seed})


def _check_free(out: Path, *, force: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not out.is_symlink():
        if not any(out.iterdir()):
            return
        if _is_phantom(out):
            if force:
                return
            raise UsageError(
                f"{out} already contains a phantom", fix="add --force to replace it, or name another folder"
            )
    raise UsageError(
        f"{out} exists and is not a phantom data set; it is left alone", fix="name a new or an empty folder"
    )


def _is_phantom(folder: Path) -> bool:
    """Return whether a folder was made here and contains nothing else."""
    try:
        recipe = read_json_file(folder / RECIPE)
    except (OSError, ValueError):
        return False
    known = {"ct", "seg", "anatomy", "dataset.json", NOTES, RECIPE}
    return isinstance(recipe, dict) and "version" in recipe and {path.name for path in folder.iterdir()} <= known


def _swap(fresh: Path, out: Path) -> None:
    """Put the finished folder in its place; an earlier one is removed only when the new one is complete."""
    if out.exists():
        old = fresh.with_suffix(".old")
        out.rename(old)
        try:
            fresh.rename(out)
        except OSError:
            old.rename(out)
            raise
        shutil.rmtree(old)
    else:
        fresh.rename(out)


@contextlib.contextmanager
def _explained(out: Path) -> Iterator[None]:
    """Convert errors of the operating system to errors with a fix."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message, fix = (
                f"the disk of {out.parent} is full; nothing was left behind",
                "free some space, or make fewer cases",
            )
        elif isinstance(error, PermissionError) or error.errno == errno.EROFS:
            message, fix = f"{out.parent} may not be written to", "name a folder where you may write"
        else:
            message, fix = f"{out} could not be made: {error.strerror or error}", "name another folder"
        raise PrerequisiteError(message, fix=fix) from error
