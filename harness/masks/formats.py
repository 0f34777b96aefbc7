"""The format of a file by its name, and the conversion of other formats to NIfTI."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

#: Suffixes of volumes that are read, whatever their letters: two-part ones first.
SUFFIXES: Final = (".nii.gz", ".seg.nrrd", ".nii", ".nrrd", ".mha")

#: Suffixes of volumes that SimpleITK converts in one line.
_ITK: Final = (".nrrd", ".nhdr", ".mha", ".mhd", ".hdr", ".img", ".dcm", ".gipl", ".mgz", ".mgh", ".nii", ".nii.gz")

#: Suffixes of archives and of compressed files, longer ones first, and the commands that unpack them.
_ARCHIVES: Final = {
    ".tar.gz": "tar -xf {name}", ".tar.bz2": "tar -xf {name}", ".tar.xz": "tar -xf {name}", ".tgz": "tar -xf {name}",
    ".tar": "tar -xf {name}", ".zip": "unzip {name}", ".7z": "7z x {name}", ".rar": "unrar x {name}",
    ".gz": "gunzip {name}", ".bz2": "bunzip2 {name}", ".xz": "unxz {name}", ".zst": "unzstd {name}",
}  # fmt: skip


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name in small letters, both parts of a known pair: ``".nii.gz"``."""
    lower = name.lower()
    pairs = (suffix for suffix in (*SUFFIXES, *_ARCHIVES) if lower.endswith(suffix))
    return next(pairs, PurePath(lower).suffix)


def stem_of(name: str) -> str:
    """Return a file's name without its suffix (:func:`suffix_of`)."""
    return name[: len(name) - len(suffix_of(name))]


def unpacking(name: str) -> str | None:
    """Return the command that unpacks an archive or a compressed file; None for other names."""
    command = _ARCHIVES.get(suffix_of(name))
    return None if command is None else command.format(name=name)


def conversion(name: str, target: str) -> str:
    """Return the command that converts a volume to NIfTI, for a message."""
    if (command := unpacking(name)) is not None:
        return command
    if suffix_of(name) in _ITK or suffix_of(name).endswith(".nrrd"):
        return f"python -c \"import SimpleITK as s; s.WriteImage(s.ReadImage('{name}'), '{target}')\""
    if suffix_of(name) in {".npy", ".npz"}:
        return "nibabel.save(nibabel.Nifti1Image(array, ct.affine), path), in the CT's array order"
    return f"masks are written as NIfTI, this one as {target}"
