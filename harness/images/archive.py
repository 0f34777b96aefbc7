"""Images as files: written by one engine, read by others, and recognised by the digest of their configuration.

An archive is what ``docker save`` writes, with a record beside it. The configuration of an image names the digests of
its layers, so that its own digest is the identity of the content; the ids that engines show are that digest in one
store and another in the next. Nothing of an archive is believed before it was compared with its record, and nothing of
the record before the engine has loaded what it names.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import DataError, PrerequisiteError
from harness.foreign import content_of, open_tar, parse_json
from harness.host.sizes import size
from harness.images.identity import CONTEXT_LABEL, PLUGIN_LABEL, TORCH_LABEL

#: Bytes of an archive's list of contents, and of the configuration of its image; either has a few thousand.
_MAX_TEXT = 8 * 2**20

#: Names of records; other files in their folder have others.
_NAME = re.compile(r"[a-z0-9-]+-[0-9a-f]{16}\.json")

_Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class ImageRecord(BaseModel):
    """What is in an archive.

    Attributes
    ----------
    plugin
        Name of the model.
    config
        Digest of the image's configuration: the identity of its content.
    image_id
        The id that it had in the engine that wrote it.
    context
        Digest of the context that it was built from (hex).
    device
        The build of torch in it, ``"cuda"`` or ``"cpu"``; empty without torch.
    layers
        Digests of its unpacked layers, the lowest first.
    created
        When it was built.
    platform
        What it runs on, such as ``linux/amd64``.
    size
        Bytes of the archive.
    command, entrypoint, folder, environment
        What the image runs, in which folder, and the variables that it sets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    plugin: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    config: _Digest
    image_id: _Digest
    context: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    device: Literal["", "cpu", "cuda"]
    layers: tuple[_Digest, ...]
    created: str
    platform: str
    size: Annotated[int, Field(gt=0)]
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    folder: str = ""
    environment: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """Name of its files without their suffix."""
        return f"{self.plugin}-{self.config.removeprefix('sha256:')[:16]}"


def write_archive(chunks: Iterable[bytes], folder: Path, *, image_id: str) -> ImageRecord:
    """Write what an engine saves of an image as an archive, and its record.

    Parameters
    ----------
    chunks
        The bytes of ``docker save``.
    folder
        Where both files go.
    image_id
        The engine's id of the image.

    Raises
    ------
    DataError
        When these bytes are not an image that groundbench has built.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as work:
        partial = Path(work) / "image.tar"
        with partial.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        record = _inspect(partial, image_id)
        partial.replace(archive_of(record, folder))
    write_record(record, folder)
    return record


def written(image_id: str, folder: Path) -> ImageRecord | None:
    """Return the record of an image whose archive is in a folder; None where it has to be written."""
    for record in records(folder):
        archive = archive_of(record, folder)
        if record.image_id == image_id and archive.is_file() and archive.stat().st_size == record.size:
            return record
    return None


def write_record(record: ImageRecord, folder: Path) -> None:
    """Write the record of an image beside its file; the record comes last, so that it never stands without it."""
    path = folder / f"{record.stem}.json"
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(record.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def archive_of(record: ImageRecord, folder: Path) -> Path:
    """Return the path of the archive of a record in a folder."""
    return folder / f"{record.stem}.tar"


def records(folder: Path) -> list[ImageRecord]:
    """Return the records in a folder, the newest image first; other files are left alone.

    Raises
    ------
    DataError
        When a file with the name of a record is not one.
    """
    found = []
    for path in sorted(path for path in folder.glob("*.json") if _NAME.fullmatch(path.name)):
        try:
            record = ImageRecord.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            raise DataError(
                f"{path} is not the record of an image: {_first(error)}",
                fix="remove it, or export the image again",
                path=path,
            ) from error
        if record.stem == path.stem:
            found.append(record)
    return sorted(found, key=lambda record: record.created, reverse=True)


def check_archive(record: ImageRecord, folder: Path) -> Path:
    """Return the path of a record's archive after comparing the image in it with the record.

    Raises
    ------
    DataError
        When the archive is missing, cut short, or holds another image.
    """
    path = archive_of(record, folder)
    fix = f"copy {path.name} again, or export the image again"
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix=fix, path=path) from error
    if size != record.size:
        raise DataError(f"{path} has {size:,} bytes, its record says {record.size:,}", fix=fix, path=path)
    inside = _inspect(path, record.image_id)
    if inside != record:
        differing = [name for name, value in inside if value != getattr(record, name)]
        raise DataError(f"{path} holds another image than its record says: {', '.join(differing)}", fix=fix, path=path)
    return path


@contextlib.contextmanager
def one_on_this_host(record: ImageRecord, log: Callable[[str], None]) -> Iterator[None]:
    """Hold an image for this process of this host and user while it is made available; others wait.

    Raises
    ------
    PrerequisiteError
        When the folder of locks belongs to somebody else.
    """
    folder = Path(tempfile.gettempdir()) / f"groundbench-images-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o170022 != 0o040000:
        raise PrerequisiteError(
            f"{folder} is not a folder that only this user can write to",
            fix="have it removed, or set TMPDIR to a folder of yours",
        )
    with (folder / record.stem).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"waiting for another process that makes the image of {record.plugin} available")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _inspect(path: Path, image_id: str) -> ImageRecord:
    """Return the record of the one image in an archive, read from the archive itself."""
    try:
        with open_tar(path) as tar:
            listed = parse_json(_text(tar, "manifest.json"))
            if len(listed) != 1:
                raise DataError(f"{path} holds {len(listed)} images, not one", fix="export each by itself", path=path)
            raw = _text(tar, str(listed[0]["Config"]))
        config = parse_json(raw)
        about: dict[str, Any] = config.get("config") or {}
        labels = about.get("Labels") or {}
        return ImageRecord.model_validate(
            {
                "schema": 1,
                "plugin": labels.get(PLUGIN_LABEL),
                "config": f"sha256:{hashlib.sha256(raw).hexdigest()}",
                "image_id": image_id,
                "context": labels.get(CONTEXT_LABEL),
                "device": str(labels.get(TORCH_LABEL, "")).partition("-")[0],
                "layers": config["rootfs"]["diff_ids"],
                "created": str(config.get("created", "")),
                "platform": f"{config.get('os', '')}/{config.get('architecture', '')}",
                "size": path.stat().st_size,
                "command": about.get("Cmd") or (),
                "entrypoint": about.get("Entrypoint") or (),
                "folder": str(about.get("WorkingDir") or ""),
                "environment": about.get("Env") or (),
            }
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path.name} is not the archive of an image that groundbench built: {_first(error)}",
            fix="write it with `bench images export`",
            path=path,
        ) from error


def _text(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.getmember(name)
    file = tar.extractfile(member) if member.isreg() and member.size <= _MAX_TEXT else None
    if file is None:
        raise ValueError(f"{name} is not a file of at most {size(_MAX_TEXT)}")
    return content_of(file, most=_MAX_TEXT)


def _first(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    return str(error)
