"""Two archives of images compared file by file: what two builds of one plugin have in common, and what differs."""

from __future__ import annotations

import hashlib
import posixpath
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from harness.errors import DataError
from harness.foreign import content_of, open_tar, parse_json

_PIECE: Final = 2**20
_MAX_TEXT: Final = 8 * 2**20

#: Files of a build that differ by themselves, and why.
_REASONS: Final = (
    (r"\.pyc$", "compiled Python, which holds the time of its source"),
    (r"\.dist-info/(RECORD|direct_url\.json|INSTALLER|REQUESTED)$", "pip's record of what it installed"),
    (r"^var/(log|cache|lib/(dpkg|apt))/|^root/\.cache/|^tmp/", "a log, a cache or a list of the package manager"),
    (r"^etc/(hostname|hosts|resolv\.conf|machine-id)$", "written by the engine of the build"),
)

_KINDS: Final = {
    tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link",
    tarfile.CHRTYPE: "device", tarfile.BLKTYPE: "device", tarfile.FIFOTYPE: "pipe",
}  # fmt: skip


@dataclass(frozen=True)
class ImageFile:
    """A file of an image: its kind, SHA-256 or target, mode, owner, and time of change (whole seconds)."""

    kind: str
    content: str
    mode: int
    owner: tuple[int, int]
    seconds: int


@dataclass(frozen=True)
class ImageDifference:
    """What differs of one path (or setting) in two images, and why that is to be expected, where it is known."""

    path: str
    what: str
    reason: str = ""


@dataclass(frozen=True)
class ComparedImages:
    """The outcome of a comparison: number of paths in either image, differences, paths that differ in time alone."""

    paths: int
    differences: tuple[ImageDifference, ...]
    times: int


def compare_images(first: Path, second: Path) -> ComparedImages:
    """Compare two images in archives of ``docker save``, by what a container would see of them.

    Raises
    ------
    DataError
        When a file is not such an archive.
    """
    (one, one_settings), (two, two_settings) = _read(first), _read(second)
    found = [ImageDifference(name, what) for name, what in _of_settings(one_settings, two_settings)]
    times = 0
    for path in sorted(one.keys() | two.keys()):
        what = _what(one.get(path), two.get(path))
        if what == "time":
            times += 1
        elif what:
            found.append(
                ImageDifference(path, what, next((why for form, why in _REASONS if re.search(form, path)), ""))
            )
    return ComparedImages(len(one.keys() | two.keys()), tuple(found), times)


def _what(one: ImageFile | None, two: ImageFile | None) -> str:
    if one is None or two is None:
        return "only in the first" if two is None else "only in the second"
    if one.kind != two.kind:
        return f"{one.kind} in the first, {two.kind} in the second"
    differing = []
    if one.content != two.content:
        differing.append("target" if one.kind == "link" else "content")
    if one.mode != two.mode:
        differing.append(f"mode ({one.mode:o}, {two.mode:o})")
    if one.owner != two.owner:
        differing.append("owner ({}:{}, {}:{})".format(*one.owner, *two.owner))
    return ", ".join(differing) or ("time" if one.seconds != two.seconds else "")


def _of_settings(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what differs of the settings that a container is started with, labels one by one."""
    flat = [
        {name: value for name, value in of.items() if name != "Labels"}
        | {f"label {name}": value for name, value in (of.get("Labels") or {}).items()}
        for of in (one, two)
    ]
    names = sorted(flat[0].keys() | flat[1].keys())
    return [
        (name, "setting of the image") for name in names if (flat[0].get(name) or None) != (flat[1].get(name) or None)
    ]


def _read(path: Path) -> tuple[dict[str, ImageFile], dict[str, Any]]:
    try:
        with open_tar(path) as tar:
            (listed,) = parse_json(_text(tar, "manifest.json"))
            settings = parse_json(_text(tar, str(listed["Config"]))).get("config") or {}
            found: dict[str, ImageFile] = {}
            for name in listed["Layers"]:
                with open_tar(_file(tar, str(name))) as files:
                    _apply(files, found)
        return found, dict(settings)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not the archive of an image: {error}", fix="write it with `bench images export`", path=path
        ) from error


def _text(tar: tarfile.TarFile, name: str) -> bytes:
    return content_of(_file(tar, name), most=_MAX_TEXT)


def _file(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return file


def _apply(layer: tarfile.TarFile, found: dict[str, ImageFile]) -> None:
    """Put a layer on top of those below it; ``.wh.`` names what it removes."""
    own: dict[str, ImageFile] = {}
    for info in layer:
        path = posixpath.normpath(info.name).lstrip("/")
        folder, name = posixpath.split(path)
        if name == ".wh..wh..opq":
            _remove(found, folder, itself=False)
        elif name.startswith(".wh."):
            _remove(found, posixpath.join(folder, name.removeprefix(".wh.")), itself=True)
        elif info.islnk():  # another name of a file
            target = posixpath.normpath(info.linkname).lstrip("/")
            own[path] = own.get(target) or found[target]
        else:
            kind = _KINDS.get(info.type, "other")
            content = _digest(layer, info) if kind == "file" else info.linkname
            own[path] = ImageFile(kind, content, info.mode, (info.uid, info.gid), int(info.mtime))
    for path, file in own.items():
        if file.kind != "folder" and path in found and found[path].kind == "folder":
            _remove(found, path, itself=True)
        found[path] = file


def _remove(found: dict[str, ImageFile], path: str, *, itself: bool) -> None:
    below = f"{path}/" if path else ""
    for one in [one for one in found if one.startswith(below) or (itself and one == path)]:
        del found[one]


def _digest(layer: tarfile.TarFile, info: tarfile.TarInfo) -> str:
    digest, file = hashlib.sha256(), layer.extractfile(info)
    while file is not None and (piece := file.read(_PIECE)):
        digest.update(piece)
    return digest.hexdigest()
