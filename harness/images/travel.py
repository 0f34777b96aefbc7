"""Images on their way between engines with a daemon: saved as archives, and loaded where they are absent."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, PrerequisiteError
from harness.images.archive import ImageRecord, check_archive, one_on_this_host, records, write_archive
from harness.images.build import Image
from harness.images.identity import CONTEXT_LABEL, PLUGIN_LABEL, carrying, get, layers_of

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image as EngineImage

#: Seconds that an engine may need to load or save an image of many gigabytes.
_PATIENCE_S = 3600.0


def send_image(client: DockerClient, image: Image, folder: Path, *, title: str) -> ImageRecord:
    """Write an image of an engine as an archive and its record.

    Parameters
    ----------
    client, title
        A connected client of the engine, and what it is called in a sentence.
    image
        The image.
    folder
        Where both files go.

    Raises
    ------
    PrerequisiteError
        When the engine does not have it, or breaks off.
    DataError
        When it is not an image that groundbench has built.
    """
    found = get(client, image.id)
    if found is None:
        raise PrerequisiteError(
            f"{title} does not have the image {image.tag or image.id}", fix="build it: `bench build`"
        )
    if CONTEXT_LABEL not in (found.labels or {}):
        raise PrerequisiteError(
            f"{image.tag or image.id} was built by an earlier version of groundbench and does not carry what it was "
            "built from",
            fix=f"`docker image rm {image.tag or image.id}`, then the same command: it is built again, mostly from "
            "layers that are there, and as another image its runs begin anew",
        )
    with _patient(client, f"{title} did not hand out {image.tag or image.id}"):
        return write_archive(client.api.get_image(image.tag or image.id), folder, image_id=image.id)


def load_image(
    client: DockerClient, record: ImageRecord, folder: Path, *, title: str, log: Callable[[str], None]
) -> EngineImage:
    """Return the engine's image of a record, loading its archive where it does not have it.

    Parameters
    ----------
    client, title
        A connected client of the engine, and what it is called in a sentence.
    record, folder
        What is wanted, and where its archive is.
    log
        Called before what takes long.

    Raises
    ------
    DataError
        When the archive is damaged, or not what its record says.
    PrerequisiteError
        When the engine's disk is too small, or it refuses.
    """
    with one_on_this_host(record, log):
        found = _known(client, record)
        if found is not None:
            return found
        archive = check_archive(record, folder)
        _require_room(client, record, title)
        log(f"loading {archive.name} ({record.size / 1e9:.1f} GB)")
        with _patient(client, f"{title} did not load {archive}"), archive.open("rb") as file:
            for event in client.api.load_image(file, quiet=True) or ():
                if "error" in event:
                    raise PrerequisiteError(f"{title} did not load {archive}: {event['error']}", fix="see its log")
        found = _known(client, record)
    if found is None:
        raise DataError(
            f"{title} loaded {archive}, but does not have the image of its record",
            fix="export the image again",
            path=archive,
        )
    return found


def obtain_image(
    client: DockerClient, plugin: str, image: Image, archives: Path, *, title: str, log: Callable[[str], None]
) -> Image:
    """Return an image that was prepared elsewhere as this engine knows it, loading it from an archive where needed.

    Parameters
    ----------
    client, title
        A connected client of the engine, and what it is called in a sentence.
    plugin, image
        The model's name, and its image where the run was planned.
    archives
        Folder with archives.
    log
        Called before what takes long.

    Raises
    ------
    PrerequisiteError
        When it is neither in the engine nor among the archives.
    DataError
        When its archive is damaged.
    """
    if get(client, image.id) is not None:
        return image
    record = wanted_record(plugin, image, archives)
    found = load_image(client, record, archives, title=title, log=log)
    return replace(image, id=str(found.id), tag=next(iter(found.tags), ""))


def wanted_record(plugin: str, image: Image, archives: Path) -> ImageRecord:
    """Return the record of an image that was prepared elsewhere.

    Raises
    ------
    PrerequisiteError
        When there is none among the archives.
    """
    for record in records(archives) if archives.is_dir() else ():
        if record.plugin == plugin and image.id in (record.config, record.image_id):
            return record
    raise PrerequisiteError(
        f"this machine does not have the image of {plugin!r} ({image.tag or image.id}), nor is its archive in "
        f"{archives}; no image is built here",
        fix=f"`bench images export --plugin {plugin} {archives}` where the image was built",
        lacking="engine",
    )


def _known(client: DockerClient, record: ImageRecord) -> EngineImage | None:
    """Return the engine's image with the content of a record: by its digest, else by its labels and layers."""
    if (found := get(client, record.config)) is not None:
        return found
    # Other stores name an image by another digest; what it consists of has the same digests in all of them.
    labelled = carrying(client, {CONTEXT_LABEL: record.context, PLUGIN_LABEL: record.plugin})
    return next((image for image in labelled if tuple(layers_of(image)) == record.layers), None)


@contextmanager
def _patient(client: DockerClient, what: str) -> Iterator[None]:
    """Give the engine more time for its answers; a failure of its own is told as `what`."""
    import docker.errors
    import requests

    before, client.api.timeout = client.api.timeout, _PATIENCE_S
    try:
        yield
    except (requests.exceptions.RequestException, docker.errors.DockerException) as error:
        said = " ".join(str(getattr(error, "explanation", None) or error).split())
        raise PrerequisiteError(f"{what}: {said}", fix="see its log and the space on its disk") from error
    finally:
        client.api.timeout = before


def _require_room(client: DockerClient, record: ImageRecord, title: str) -> None:
    root = str(client.info().get("DockerRootDir", ""))
    if Path(root).is_dir() and (free := shutil.disk_usage(root).free) < record.size:
        raise PrerequisiteError(
            f"the disk of {title} is too full for the image of {record.plugin!r}: {record.size / 1e9:.1f} GB are "
            f"needed in {root}, {free / 1e9:.1f} GB are free",
            fix="`bench clean --images` removes images that were built here",
            lacking="disk",
        )
