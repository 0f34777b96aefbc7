"""The content of an image: a plugin's folder, the SDK, its sources, and torch where the Dockerfile uses it.

The context is the plugin's folder (without tests and caches), the SDK as ``sdk/``, each declared source as
``sources/<name>/`` and, where the Dockerfile copies it, ``torch/``. A Dockerfile may instead continue one of two base
images, which have a context of their own: SDK, environment, user and entry point, with torch or without.

The same content gives the same bytes and the same digest; sources count by their tree hash and wheels by the lock that
lists their digests, so that they need not be present to decide whether an image is up to date.

For a plugin without a Dockerfile one is written: it installs ``requirements.lock`` where there is one, and copies the
plugin's files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from harness.errors import ModelError
from harness.host.sizes import size
from harness.images.torch import LOCK, TorchBuild
from harness.registry.plugin_toml import FILE
from harness.upstream.sources import SourceStore

if TYPE_CHECKING:
    from harness.registry.declaration import Model
    from harness.registry.discovery import Plugin

#: A larger plugin folder is a mistake (weights or data inside it).
MAX_PLUGIN_BYTES = 512 * 1024 * 1024

_ROOT = Path(__file__).resolve().parents[2]
#: The folder from which the SDK is imported.
SDK_PATH = _ROOT / "containers" / "sdk"
_SDK = SDK_PATH / "groundbench_sdk"
#: What the SDK uses where it is installed, and every base image therefore has.
SDK_LOCK = _ROOT / "containers" / "base" / "sdk.lock"
#: Dockerfiles of the base images.
_IMAGES = _ROOT / "containers" / "images"
_LOCK = "requirements.lock"
#: Files of a plugin that its image does not need.
_NOT_COPIED = {FILE, "requirements.in", _LOCK}
_LEFT_OUT = {"tests", "__pycache__", "README.md", ".git"}

_IN_CONTEXT = "sdk/groundbench_sdk/"

#: Folders of the context that the harness fills.
_OURS = ("sdk", "sources", "torch")

#: A stage of a Dockerfile: its image, and its name.
_STAGE = re.compile(r"^[ \t]*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?[ \t]*$", re.MULTILINE | re.IGNORECASE)

#: A Dockerfile that continues one of our base images.
_CONTINUES = re.compile(r"^\s*FROM\s+\$\{?(TORCH|SLIM)_IMAGE\b", re.MULTILINE)

_COPIES_TORCH = re.compile(r"^\s*COPY\s+(--\S+\s+)*torch/", re.MULTILINE)


@dataclass(frozen=True)
class BaseContext:
    """Everything that a base image is made from: its Dockerfile, the SDK and, for one of them, torch.

    Attributes
    ----------
    kind
        ``"torch"`` or ``"slim"``.
    torch
        The build of torch that goes into the first of them.
    """

    kind: str
    torch: TorchBuild

    dockerfile = "Dockerfile"

    @property
    def name(self) -> str:
        """Name below ``groundbench/``; no plugin can have one with a slash."""
        return f"base/{self.kind}"

    @property
    def argument(self) -> str:
        """Build argument by which a plugin's Dockerfile continues this image."""
        return f"{self.kind.upper()}_IMAGE"

    begins_with_base = True
    stands_on = ""

    @property
    def uses_torch(self) -> bool:
        """Whether torch is in it."""
        return self.kind == "torch"

    def digest(self) -> str:
        """Return the SHA-256 (hex) of everything that goes in; wheels count by the lock that lists their digests."""
        digest = hashlib.sha256()
        for name, path in self._own_files():
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
        if self.uses_torch:
            digest.update((self.torch.folder / LOCK).read_bytes())
        return digest.hexdigest()

    def packed(self, workplace: Path) -> AbstractContextManager[IO[bytes]]:
        """Return the context as an open tar file; see :meth:`BuildContext.packed`."""
        torch = _below("torch", self.torch.folder) if self.uses_torch else ()
        return _packed(workplace, [*self._own_files(), *torch])

    def _own_files(self) -> Iterator[tuple[str, Path]]:
        yield self.dockerfile, _IMAGES / f"{self.kind}.Dockerfile"
        yield "open_up.py", _IMAGES / "open_up.py"
        yield SDK_LOCK.name, SDK_LOCK
        yield from ((f"{_IN_CONTEXT}{path.relative_to(_SDK).as_posix()}", path) for path in _sdk_files())


@dataclass(frozen=True)
class BuildContext:
    """Everything that an image of a plugin is made from.

    Attributes
    ----------
    plugin
        The plugin.
    sources
        The store of its sources; they are needed only when the context is packed.
    torch
        The build of torch in ``torch/`` or in the base image; without effect where the Dockerfile uses neither.
    """

    plugin: Plugin
    sources: SourceStore
    torch: TorchBuild

    @property
    def name(self) -> str:
        """Name of the image below ``groundbench/``."""
        return self.plugin.name

    @property
    def dockerfile(self) -> str:
        """Name of the Dockerfile in the context."""
        return self.plugin.model.dockerfile

    @property
    def base(self) -> BaseContext | None:
        """The base image that the Dockerfile continues; None where it begins from another one."""
        found = _CONTINUES.search(self._text)
        return BaseContext(found[1].lower(), self.torch) if found else None

    @property
    def begins_with_base(self) -> bool:
        """Whether every stage of the Dockerfile begins with ``BASE_IMAGE``, so that the image is known to be on it."""
        stages = re.findall(r"^\s*FROM\s+(.*?)\s*$", self._text, re.MULTILINE | re.IGNORECASE)
        return bool(stages) and all(
            re.fullmatch(r"\$(BASE_IMAGE|\{BASE_IMAGE\})( +AS +\S+)?", stage, re.IGNORECASE) for stage in stages
        )

    @property
    def stands_on(self) -> str:
        """Name of the image that the Dockerfile's last stage begins with; empty where a variable or a stage says it."""
        stages = _STAGE.findall(self._text)
        image = stages[-1][0] if stages else ""
        return "" if "$" in image or image.lower() in {name.lower() for _, name in stages[:-1]} else image

    @property
    def uses_torch(self) -> bool:
        """Whether the Dockerfile copies ``torch/`` or continues the image that holds it."""
        return _COPIES_TORCH.search(self._text) is not None or (self.base is not None and self.base.uses_torch)

    @property
    def cuda(self) -> bool:
        """Whether the CUDA build of torch is in it."""
        return self.uses_torch and self.torch.device == "cuda"

    def digest(self) -> str:
        """Return the SHA-256 (hex) of everything that goes in."""
        digest = hashlib.sha256(code_digest(self.plugin).encode())
        if self.base is not None:
            digest.update(self.base.digest().encode())
        elif self.uses_torch:
            digest.update((self.torch.folder / LOCK).read_bytes())
        return digest.hexdigest()

    def packed(self, workplace: Path) -> AbstractContextManager[IO[bytes]]:
        """Return the context as an open tar file; an unnamed file in the folder `workplace`, gone when closed.

        Raises
        ------
        PrerequisiteError
            When a source has not been fetched.
        DataError
            When a source was changed.
        """
        return _packed(workplace, self._context_files())

    @property
    def _text(self) -> str:
        model = self.plugin.model
        if not model.has_dockerfile:
            return written_dockerfile(model)
        return (model.root / self.dockerfile).read_text(encoding="utf-8", errors="replace")

    def _context_files(self) -> Iterator[tuple[str, Path | bytes]]:
        yield from plugin_files(self.plugin)
        if not self.plugin.model.has_dockerfile:
            yield self.dockerfile, self._text.encode()
        for source in self.plugin.model.sources:
            yield from _below(f"sources/{source.name}", self.sources.check(source))
        if self.uses_torch and self.base is None:
            yield from _below("torch", self.torch.folder)


def written_dockerfile(model: Model) -> str:
    """Return the Dockerfile of a model that has none: its base image, its locked packages, its files, its adapter."""
    image = f"{model.base.upper()}_IMAGE"
    lines = [f"ARG {image}", f"FROM ${{{image}}}", ""]
    if (model.root / _LOCK).exists():
        only = " --no-deps" if model.base == "torch" else ""  # torch's own packages are there
        install = f"python -m pip install --no-cache-dir --require-hashes --only-binary :all:{only} -r /opt/{_LOCK}"
        lines += [f"COPY {_LOCK} /opt/", f"RUN {install}", ""]
    mounted = {file.local for file in model.weights}
    inside = (path for path in _files(model.root) if path not in mounted)
    for name in sorted({path.relative_to(model.root).parts[0] for path in inside} - _NOT_COPIED):
        to = f"/opt/plugin/{name}/" if (model.root / name).is_dir() else "/opt/plugin/"
        lines.append(f"COPY {json.dumps([name, to])}")
    return "\n".join([*lines, f"CMD {json.dumps([model.adapter])}", ""])


def plugin_files(plugin: Plugin) -> Iterator[tuple[str, Path]]:
    """Yield (name in the context, file) of the plugin's own files and the SDK's, in a fixed order; no declared weights.

    Raises
    ------
    ModelError
        When the folder contains a link or an item that is not a regular file, is too large, or uses a reserved name.
    """
    total = 0
    mounted = {file.local for file in plugin.model.weights}
    own = plugin.model.root
    for prefix, root, files in (("", own, _files(own)), (_IN_CONTEXT, _SDK, _sdk_files())):
        for path in files:
            if path in mounted:
                continue
            name = prefix + path.relative_to(root).as_posix()
            if not prefix and name.split("/")[0] in _OURS:
                raise ModelError(
                    f"plugin {plugin.name!r}: {path} is in the place of the harness's own files",
                    fix=f"rename that folder: {', '.join(_OURS)} are filled by the harness",
                )
            if not stat.S_ISREG(path.lstat().st_mode):
                raise ModelError(
                    f"plugin {plugin.name!r}: {path} is a link or a special file",
                    fix="a build context contains regular files only; copy the files into the plugin's folder",
                )
            total += path.stat().st_size
            if total > MAX_PLUGIN_BYTES:
                raise ModelError(
                    f"plugin {plugin.name!r}: its folder contains more than {size(MAX_PLUGIN_BYTES)}",
                    fix="move data out of it; weights beside the plugin are left out where they are declared",
                )
            yield name, path


def code_digest(plugin: Plugin) -> str:
    """Return the SHA-256 (hex) over names and contents of a plugin's files and the SDK's, and its sources' trees."""
    digest = hashlib.sha256()
    for name, path in plugin_files(plugin):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name}\0{content}\n".encode())
    if not plugin.model.has_dockerfile:
        digest.update(f"{plugin.model.dockerfile}\0{written_dockerfile(plugin.model)}\n".encode())
    for source in plugin.model.sources:
        digest.update(f"sources/{source.name}\0{source.tree}\n".encode())
    return digest.hexdigest()


def content_of(plugin: Plugin) -> dict[str, str]:
    """Return what a plugin is made of, for its record: the digest of its code, and of its lock where it has one."""
    lock = plugin.model.root / _LOCK
    locked = {"lock": hashlib.sha256(lock.read_bytes()).hexdigest()} if lock.is_file() else {}
    return {"plugin": code_digest(plugin), **locked}


@contextmanager
def _packed(workplace: Path, files: Iterable[tuple[str, Path | bytes]]) -> Iterator[IO[bytes]]:
    workplace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=workplace) as packed:
        with tarfile.open(fileobj=packed, mode="w") as tar:  # noqa: TID251 - writes
            folders: set[str] = set()
            for name, path in files:
                _add(tar, name, path, folders)
        packed.seek(0)
        yield packed


def _sdk_files() -> Iterator[Path]:
    """Yield the files of the SDK that an image needs; a plugin's tests run outside of it."""
    return (path for path in _files(_SDK) if path.name != "testing.py")


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT and not name.startswith("."))
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*names, *links]):
            if name not in _LEFT_OUT and not name.endswith(".pyc") and not name.startswith("."):
                yield Path(folder) / name


def _below(name: str, root: Path) -> Iterator[tuple[str, Path]]:
    """Yield everything below `root`, links as links: the content was checked when it was stored."""
    for parent, folders, files in os.walk(root):
        links = [folder for folder in folders if (Path(parent) / folder).is_symlink()]
        folders.sort()
        for path in sorted(Path(parent) / file for file in [*files, *links]):
            yield f"{name}/{path.relative_to(root).as_posix()}", path


def _add(tar: tarfile.TarFile, name: str, path: Path | bytes, folders: set[str]) -> None:
    """Add one file or link, or a file's content, without metadata that differs between machines."""
    for parent in reversed(PurePosixPath(name).parents[:-1]):
        # Explicitly: without an entry for a folder the classic builder never uses its cache.
        if str(parent) not in folders:
            folders.add(str(parent))
            info = tarfile.TarInfo(str(parent))
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
    info = tarfile.TarInfo(name)
    if isinstance(path, bytes):
        info.size, info.mode = len(path), 0o644
        tar.addfile(info, io.BytesIO(path))
        return
    if path.is_symlink():
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)  # noqa: PTH115 - a Path would normalise it
        tar.addfile(info)
        return
    info.size = path.stat().st_size
    info.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    with path.open("rb") as file:
        tar.addfile(info, file)
