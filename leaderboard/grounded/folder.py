"""The folder of a result: made for one report, CT and model, and never written over what is a person's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.foreign import read_json_file

#: Says what the folder was made for, and lists the files that were written into it.
MARKER = ".groundbench-ground"

#: Folder below it for what the command goes on from: steps of the report, the run's outcomes, masks and logs.
WORK = "work"

_OTHER = "give --out a folder that is new or empty"


@dataclass(frozen=True)
class Folder:
    """The folder of a result.

    Attributes
    ----------
    path
        The folder.
    made_for
        What it was made for: names and digests, by what they are of.
    """

    path: Path
    made_for: Mapping[str, str]

    @property
    def work(self) -> Path:
        """What the command goes on from."""
        return self.path / WORK

    def write(self, files: Mapping[str, bytes]) -> None:
        """Replace the files of an earlier call by `files`: relative path -> content, the last one written last.

        Raises
        ------
        UsageError
            At the place of a file is one that was not written here.
        """
        ours = self._listed()
        for name in files:
            place = self.path / name
            if name not in ours and (place.exists() or place.is_symlink()):
                raise UsageError(f"{place} is there already and was not written by this command", fix=_OTHER)
            if not place.parent.resolve().is_relative_to(self.path.resolve()):
                raise UsageError(f"{place.parent} leads out of {self.path}", fix=_OTHER)
        self.list_files({*ours, *files})  # before they are there: what is left by a command that was killed is ours
        for name, content in files.items():
            place = self.path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(place, content)
        for name in ours - files.keys():
            (self.path / name).unlink(missing_ok=True)
        self.list_files(files)

    def _listed(self) -> set[str]:
        return set(_read(self.path / MARKER)["files"])

    def list_files(self, names: Iterable[str]) -> None:
        """Note in the marker which files are ours."""
        document = {"schema": 1, "made_for": dict(self.made_for), "files": sorted(names)}
        _write(self.path / MARKER, json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n")


def open_folder(path: Path, made_for: Mapping[str, str]) -> Folder:
    """Make the folder of a result, or go on in the one that was made for the same.

    A new folder can be read by its owner only: it will hold the text of a report.

    Parameters
    ----------
    path
        Absent, empty, or made for the same.
    made_for
        As in :class:`Folder`.

    Raises
    ------
    UsageError
        When it holds anything else, or was made for something else.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder", fix=_OTHER)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Folder(path, made_for)
    marker = path / MARKER
    if not marker.is_file():
        if any(path.iterdir()):
            raise UsageError(
                f"{path} holds files that `bench ground` did not write; they are left unchanged", fix=_OTHER
            )
        folder.list_files(())
    before = _read(marker)["made_for"]
    other = [name for name, value in made_for.items() if before.get(name) != value]
    if other:
        raise UsageError(f"{path} holds the result of another {' and another '.join(other)}", fix=_OTHER)
    folder.work.mkdir(exist_ok=True)
    return folder


def _read(marker: Path) -> dict[str, Any]:
    try:
        document = read_json_file(marker)
        files = [name for name in document["files"] if ".." not in Path(name).parts and not Path(name).is_absolute()]
        return {"made_for": dict(document["made_for"]), "files": files}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{marker} is not what `bench ground` wrote there", fix=_OTHER) from error


def _write(place: Path, content: bytes) -> None:
    partial = place.with_name(f".{place.name}.partial")
    partial.write_bytes(content)
    partial.replace(place)
