"""From a plugin's folder to an image: a deterministic build context, a content digest, labels, a kept log.

The context is the plugin's folder (without tests and caches) plus the SDK as ``sdk/``. Its digest names the image, so
an unchanged plugin is never built twice and a changed one never served from before the change.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from harness.errors import EntrantError, PrerequisiteError

if TYPE_CHECKING:
    from docker import DockerClient

    from harness.registry import Plugin

DEFAULT_BASE = "python:3.11-slim-bookworm"

#: Label of everything that groundbench makes in an engine; `bench clean` and the reaper go by it.
LABEL = "org.groundbench"

#: A larger build context is a mistake (weights or data inside the plugin's folder).
MAX_CONTEXT_BYTES = 512 * 1024 * 1024

_SDK = Path(__file__).resolve().parents[1] / "containers" / "sdk"
_LEFT_OUT = {"tests", "__pycache__", "README.md", ".git"}

#: Characters of a builder's output that are kept; what comes after is dropped, the last lines excepted.
MAX_BUILD_LOG = 8 * 1024 * 1024
_LAST_LINES = 8
_LINE = 300


@dataclass(frozen=True)
class Image:
    """A built image, or the plugin's own code for an engine without images.

    Attributes
    ----------
    id
        Content identity: ``sha256:…`` of the engine, or ``local:…`` of the code.
    tag
        Name in the engine; empty without one.
    size
        Bytes, where known.
    """

    id: str
    tag: str = ""
    size: int | None = None


def context_files(plugin: Plugin) -> Iterator[tuple[str, Path]]:
    """Yield (name in the context, file) of everything an image of `plugin` is made from, in a fixed order.

    Raises
    ------
    EntrantError
        When the folder holds a link or something that is no regular file, or is too large.
    """
    total = 0
    for prefix, root in (("", plugin.model.root), ("sdk/", _SDK)):
        for path in _files(root):
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode):
                raise EntrantError(
                    f"plugin {plugin.name!r}: {path} is a link or a special file",
                    fix="a build context holds regular files only; copy what the image needs into the plugin's folder",
                )
            total += path.stat().st_size
            if total > MAX_CONTEXT_BYTES:
                raise EntrantError(
                    f"plugin {plugin.name!r}: its folder holds more than {MAX_CONTEXT_BYTES // 2**20} MiB",
                    fix="weights and data do not belong there: declare weights, they are mounted",
                )
            yield prefix + path.relative_to(root).as_posix(), path


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith("."))
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*names, *links]):
            if name not in _LEFT_OUT and not name.endswith(".pyc") and not name.startswith("."):
                yield Path(folder) / name


def code_digest(plugin: Plugin) -> str:
    """Return the SHA-256 (hex) over names and contents of everything an image of `plugin` is made from."""
    digest = hashlib.sha256()
    for name, path in context_files(plugin):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def _context(plugin: Plugin) -> IO[bytes]:
    """Pack the build context: the same files give the same bytes, so that the builder's cache holds."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=1) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, path in context_files(plugin):
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            info.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            with path.open("rb") as file:
                tar.addfile(info, file)
    packed.seek(0)
    return packed


def ensure_image(
    client: DockerClient,
    plugin: Plugin,
    *,
    log: Path,
    base: str = DEFAULT_BASE,
    tell: Callable[[str], None] = lambda _: None,
) -> Image:
    """Return the image of `plugin`, building it when its content has changed.

    Parameters
    ----------
    client
        A connected Docker client.
    plugin
        What to build.
    log
        File that receives what the builder says, up to a bound, and in any case its last lines.
    base
        Value of the build argument ``BASE_IMAGE``.
    tell
        Called with one line for every step of the build.

    Raises
    ------
    EntrantError
        When the build fails, with the last lines and the log's path.
    PrerequisiteError
        When the engine itself refuses (no disk, no base image and no network).
    """
    import docker.errors

    try:
        base_id = client.images.get(base).id
    except docker.errors.ImageNotFound:
        base_id = ""
    digest = hashlib.sha256(f"{code_digest(plugin)} {base} {base_id}".encode()).hexdigest()
    tag = f"groundbench/{plugin.name}:{digest[:16]}"
    try:
        found = client.images.get(tag)
    except docker.errors.ImageNotFound:
        tell(f"building {tag}")
        _build(client, plugin, tag=tag, base=base, log=log, tell=tell)
        found = client.images.get(tag)
    return Image(id=str(found.id), tag=tag, size=int(found.attrs["Size"]))


def _build(
    client: DockerClient, plugin: Plugin, *, tag: str, base: str, log: Path, tell: Callable[[str], None]
) -> None:
    import docker.errors
    import requests

    log.parent.mkdir(parents=True, exist_ok=True)
    failure = ""
    said = BuildLog()
    try:
        with said.kept_in(log), _context(plugin) as context:
            for event in client.api.build(
                fileobj=context,
                custom_context=True,
                encoding="gzip",
                dockerfile=plugin.model.dockerfile,
                tag=tag,
                rm=True,
                forcerm=True,
                decode=True,
                buildargs={"BASE_IMAGE": base},
                labels={
                    LABEL: "1",
                    f"{LABEL}.plugin": plugin.name,
                    "org.opencontainers.image.title": plugin.model.title,
                    "org.opencontainers.image.version": plugin.model.version,
                    "org.opencontainers.image.licenses": plugin.model.licence,
                },
            ):
                text = _event_text(event)
                said.add(text)
                if text.startswith("Step "):
                    tell(text.splitlines()[0])
                failure = str(event.get("error", failure))
    except docker.errors.APIError as error:
        raise PrerequisiteError(
            f"the engine refused to build {plugin.name!r}: {error.explanation or error}", fix=f"see {log}"
        ) from error
    except (requests.exceptions.RequestException, OSError) as error:
        raise PrerequisiteError(
            f"the build of {plugin.name!r} broke off: {error}", fix="check that the engine runs and the disk has space"
        ) from error
    if failure:
        raise EntrantError(
            "\n".join(
                [f"the image of plugin {plugin.name!r} could not be built:", *(f"  {line}" for line in said.tail)]
            ),
            fix=f"the log is {log}",
        )


class BuildLog:
    """What a builder says: the beginning in a file, the last lines in memory and, of a long log, in the file too.

    A build runs a stranger's commands, which may print without end.
    """

    def __init__(self) -> None:
        self.tail: deque[str] = deque(maxlen=_LAST_LINES)  #: the last lines, safe to show
        self._room = MAX_BUILD_LOG
        self._file: IO[str] | None = None

    @contextmanager
    def kept_in(self, path: Path) -> Iterator[None]:
        """Write to `path`, which is made anew, for as long as the context lasts."""
        with path.open("w", encoding="utf-8") as self._file:
            try:
                yield
            finally:
                if self._room <= 0:
                    rest = "".join(f"{line}\n" for line in self.tail)
                    self._file.write(f"\n[... more was said; the last lines follow ...]\n{rest}")

    def add(self, text: str) -> None:
        """Take one piece of output."""
        if self._file is not None and self._room > 0:
            self._file.write(text[: self._room])
            self._room -= len(text)
        lines = [line for line in text[-_LAST_LINES * _LINE :].splitlines() if line.strip()]
        self.tail.extend("".join(c for c in line if c.isprintable())[:_LINE] for line in lines)


def _event_text(event: dict[str, Any]) -> str:
    if "stream" in event:
        return str(event["stream"])
    if "error" in event:
        return f"{event['error']}\n"
    if "status" in event:
        return f"{event['status']} {event.get('id', '')} {event.get('progress', '')}\n"
    return ""
