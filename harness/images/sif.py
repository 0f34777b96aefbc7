"""An image as Apptainer's single file, made once from an archive and kept with the archive's record."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.errors import PrerequisiteError
from harness.images.archive import ImageRecord, check_archive, one_on_this_host, write_record

#: Seconds for one conversion: a CUDA image takes minutes.
_PATIENCE_S = 3600.0

#: Characters of the program's last words that are shown.
_SAID = 500


def sif_of(record: ImageRecord, folder: Path) -> Path:
    """Return the path of a record's ``.sif`` file in a folder."""
    return folder / f"{record.stem}.sif"


def make_sif(program: str, record: ImageRecord, archives: Path, folder: Path, log: Callable[[str], None]) -> Path:
    """Return the ``.sif`` file of a record, making it from its archive where it does not exist.

    Parameters
    ----------
    program
        The program ``apptainer``.
    record, archives
        The image, and the folder of its archive.
    folder
        Where the file goes, and a copy of the record.
    log
        Called before what takes long.

    Raises
    ------
    DataError
        When the archive is damaged, or not what its record says.
    PrerequisiteError
        When the disk is too small, or the program fails.
    """
    made = sif_of(record, folder)
    with one_on_this_host(record, log):
        if not made.exists():
            folder.mkdir(parents=True, exist_ok=True)
            archive = check_archive(record, archives)
            _require_room(record, folder)
            log(f"making {made.name} of {archive.name} ({record.size / 1e9:.1f} GB)")
            with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as work:
                _convert(program, archive.resolve(), Path(work) / "image.sif", Path(work))
                (Path(work) / "image.sif").replace(made)
        if folder != archives:
            write_record(record, folder)
    return made


def _convert(program: str, archive: Path, target: Path, work: Path) -> None:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "APPTAINER_TMPDIR": str(work),
        "APPTAINER_CACHEDIR": str(work / "cache"),
    }
    command = [program, "build", str(target), f"docker-archive:{archive}"]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PrerequisiteError(
            f"Apptainer did not make an image of {archive}: {error}", fix="see its message"
        ) from error
    if ended.returncode or not target.exists():
        said = " ".join(ended.stderr.split())[-_SAID:]
        raise PrerequisiteError(
            f"Apptainer did not make an image of {archive}: {said or f'exit code {ended.returncode}'}",
            fix="free space on the disk, or see Apptainer's documentation of `build`",
        )


def _require_room(record: ImageRecord, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    needed = 2 * record.size  # its unpacked layers, then the file
    if free < needed:
        raise PrerequisiteError(
            f"the disk of {folder} is too full for the image of {record.plugin!r}: up to {needed / 1e9:.1f} GB are "
            f"needed, {free / 1e9:.1f} GB are free",
            fix="free some space, or choose another folder",
            lacking="disk",
        )
