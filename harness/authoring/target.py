"""What ``bench plugin check`` is given: a folder, a wheel, an image, or the name of a plugin that is known."""

from __future__ import annotations

import json
import re
from configparser import ConfigParser, Error
from dataclasses import replace
from pathlib import Path

from harness.authoring.new import IMAGE_NAME
from harness.errors import ModelError, PrerequisiteError, UsageError
from harness.foreign import content_of, open_zip
from harness.host.sizes import size
from harness.registry.discovery import ENTRY_POINTS, Plugin, Registry, discover

#: How the origin of a plugin begins that is an image and nothing else.
IMAGE = "the image "

_PACKING = (
    "declare what is not Python as the package's data (plugin.toml, Dockerfile, requirements.lock); "
    "setuptools leaves it out unless told, hatchling takes the whole folder"
)

#: Bytes of all files of a wheel that is unpacked.
_LARGEST = 512 * 1024 * 1024


def plugin_at(what: str, folders: tuple[Path, ...], work: Path, *, prompt: str, database: Path | None = None) -> Plugin:
    """Return the one plugin that is meant.

    Parameters
    ----------
    what
        A folder that holds it or its package, a wheel, an image (``NAME:TAG``), or the name of one that is known.
    folders
        Where names are looked for, beside what is installed.
    work
        A folder that lives as long as the plugin is used.
    prompt
        Of an image, which declares nothing.
    database
        The results database, which reading a declaration must leave as it is.

    Raises
    ------
    ModelError
        When a folder or a wheel holds no plugin that works, with the reason, or its declaration changes the database.
    UsageError
        When nothing of that name is known.
    """
    before = _state(database)
    found = _found(what, folders, work, prompt)
    if _state(database) != before:
        raise ModelError(
            f"reading the declaration of {what} changed {database}: it forges rows",
            fix="do not install it; restore the database from a copy, or see which rows `bench results verify` refuses",
        )
    return found


def _state(database: Path | None) -> list[tuple[int, int] | None]:
    """Return when a database and its log were written last, and their sizes."""
    files = [database, database.with_name(f"{database.name}-wal")] if database else []
    return [(path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else None for path in files]


def _found(what: str, folders: tuple[Path, ...], work: Path, prompt: str) -> Plugin:
    if Path(what).is_dir():
        return _only(discover((*folders, Path(what))), Path(what), what)
    if what.endswith(".whl"):
        return _unpacked(Path(what), work / "unpacked")
    if re.search("[:/@]", what) and IMAGE_NAME.fullmatch(what):
        return _around_image(what, work / "image", prompt)
    return discover(folders).get(what)


def _only(registry: Registry, folder: Path, what: str) -> Plugin:
    """Return the plugin of a folder; one that is not named is the first of several."""
    folder = folder.resolve()
    inside = [one for one in registry.plugins.values() if one.model.root.resolve().is_relative_to(folder)]
    if inside:
        return inside[0]
    broken = [one for one in registry.broken if Path(one.origin).is_relative_to(folder)]
    if not broken:
        raise UsageError(f"{what} does not contain a plugin", fix="give the folder that holds its plugin.toml")
    raise PrerequisiteError(f"the plugin in {what} is broken: {broken[0].reason}", fix="correct its declaration")


def _unpacked(wheel: Path, folder: Path) -> Plugin:
    """Return the plugin that a wheel's entry point names, unpacked."""
    try:
        with open_zip(wheel) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST:
                raise ModelError(f"{wheel} holds more than {size(_LARGEST)}", fix="weights do not belong in a wheel")
            names = archive.namelist()
            entries = next((name for name in names if name.endswith(".dist-info/entry_points.txt")), "")
            text = ""
            if entries:
                with archive.open(entries) as file:
                    text = content_of(file, most=_LARGEST).decode()
            archive.extractall(folder)
        parser = ConfigParser(delimiters=("=",), strict=False)
        parser.read_string(text)
    except (OSError, ValueError, Error) as error:
        raise UsageError(f"{wheel} is not a wheel: {error}", fix="build it again with `pip wheel`") from error
    modules = dict(parser[ENTRY_POINTS]) if parser.has_section(ENTRY_POINTS) else {}
    if not modules:
        fix = f'[project.entry-points."{ENTRY_POINTS}"] in pyproject.toml names it, as `bench plugin new` writes it'
        raise ModelError(f"{wheel.name} has no entry point in the group {ENTRY_POINTS}", fix=fix)
    package = next(iter(modules.values())).partition(":")[0]
    root = folder / package.replace(".", "/")
    if not root.is_dir():
        raise ModelError(f"{wheel.name} does not hold {package}, which its entry point names", fix=_PACKING)
    try:
        return _only(discover((root,)), root, wheel.name)
    except (UsageError, PrerequisiteError) as error:
        raise ModelError(error.message.replace(f"{root}", package), fix=_PACKING) from error


def _around_image(image: str, folder: Path, prompt: str) -> Plugin:
    """Return a plugin that is an image and nothing else."""
    name = re.sub("[^a-z0-9]+", "-", re.split("[:@]", image.rpartition("/")[2])[0].lower()).strip("-")
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(f"FROM {image}\n", encoding="utf-8")
    quoted = json.dumps(image)
    (folder / "plugin.toml").write_text(
        f"name = {json.dumps(name or 'image')}\ntitle = {quoted}\nsummary = {quoted}\n"
        f'version = "0"\n\n[[variants]]\nname = "zero-shot"\nprompt = "{prompt}"\n',
        encoding="utf-8",
    )
    return replace(_only(discover((folder,)), folder, image), origin=f"{IMAGE}{image}")
