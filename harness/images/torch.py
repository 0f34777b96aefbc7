"""The torch layer that images share: the locked CUDA build, or CPU wheels in its place.

A Dockerfile that copies ``torch/`` and installs ``torch/torch.lock`` gets either: a folder whose lock is the whole CUDA
environment, or one whose lock names the CPU wheels beside it in ``torch/wheels/``. Everything else that torch
needs comes from the same lock, and every file has its digest in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, PrerequisiteError, UsageError
from harness.foreign import read_json_file

if TYPE_CHECKING:
    from harness.registry.discovery import Plugin

#: Name of the lock in the folder that becomes ``torch/``.
LOCK = "torch.lock"

_BASE = Path(__file__).resolve().parents[2] / "containers" / "base"

#: Packages of the lock that only the CUDA build needs.
_CUDA_ONLY = re.compile(r"(cuda|nvidia)-|(torch|torchvision|triton)$")

#: The Python and the machine that the lock was made for.
_TARGET = ("--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64")

#: Disk used during the build of an image, bytes: the CUDA wheels, their unpacked content, and working space.
_CUDA_BYTES, _CPU_BYTES = 10 * 10**9, 2 * 10**9


@dataclass(frozen=True)
class TorchBuild:
    """One build of torch.

    Attributes
    ----------
    device
        ``"cuda"`` or ``"cpu"``: the device it computes on.
    folder
        The content of ``torch/`` in a build context: a lock and, for the CPU, wheels.
    """

    device: str
    folder: Path

    @property
    def key(self) -> str:
        """SHA-256 (hex) of the lock."""
        return hashlib.sha256((self.folder / LOCK).read_bytes()).hexdigest()

    @property
    def bytes_needed(self) -> int:
        """Free disk that building its layer needs."""
        return _CUDA_BYTES if self.device == "cuda" else _CPU_BYTES


def cuda_build() -> TorchBuild:
    """Return the locked CUDA build."""
    return TorchBuild("cuda", _BASE)


def cuda_of_torch() -> str:
    """Return the version of CUDA that the locked CUDA build is made for, such as ``13.0``."""
    version = next(text.partition("==")[2] for name, text in _locked() if name == "nvidia-cuda-runtime")
    return ".".join(version.split(".")[:2])


def cpu_build(wheels: Path, home: Path) -> TorchBuild:
    """Store the wheels of a folder below the home, with a lock that lists them.

    Parameters
    ----------
    wheels
        Folder with a wheel of torch for the CPU and, where plugins need it, of torchvision. A wheel takes the place of
        the lock's package of its name.
    home
        Its ``wheels/`` is written to; the files are linked where they can be, and copied otherwise.

    Raises
    ------
    UsageError
        When the folder does not contain a wheel of torch.
    """
    found = {_package(path): path for path in sorted(wheels.glob("*.whl"))}
    if "torch" not in {name for name, _ in found}:
        raise UsageError(
            f"{wheels} does not contain a wheel of torch",
            fix="`pip download torch==VERSION --no-deps --dest FOLDER` from an index of CPU builds fetches one",
        )
    names = {name for name, _ in found}
    lines = ["--find-links ./wheels"]
    for (name, version), path in found.items():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{name}=={version} --hash=sha256:{digest}")
    others = [text for name, text in _locked() if name not in names and not _CUDA_ONLY.match(name)]
    lock = "\n".join([*lines, *others]) + "\n"
    folder = home / "wheels" / hashlib.sha256(lock.encode()).hexdigest()[:16]
    if not folder.is_dir():
        _keep(folder, lock, list(found.values()))
    return TorchBuild("cpu", folder)


def download_wheels(index: str, requirements: list[str], folder: Path) -> None:
    """Download wheels of the CPU build from a package index, with pip.

    Parameters
    ----------
    index
        Address of the index.
    requirements
        E.g. ``["torch==2.14.1+cpu"]``.
    folder
        Receives the files.

    Raises
    ------
    PrerequisiteError
        When pip fails, with its message.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", *_TARGET, "--index-url", index, "--dest", str(folder), *requirements]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = " ".join(ended.stderr.split())[-500:]
        raise PrerequisiteError(
            f"{', '.join(requirements)} could not be downloaded from {index}: {said}",
            fix="check that it has that version for Python 3.11, or download the wheel elsewhere and use --wheels",
        )


def cpu_requirements() -> list[str]:
    """Return the requirements for ``--torch-index``: the CPU builds of the lock's torch and torchvision."""
    pinned = {name: text.split(" ")[0] for name, text in _locked()}
    return [f"{pinned[name]}+cpu" for name in ("torch", "torchvision")]


@contextmanager
def choose(plugin: Plugin, build: TorchBuild, home: Path) -> Iterator[None]:
    """Store the build of torch for CPU runs of `plugin`, unless the code within the context fails."""
    path = _choice(plugin, home)
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    _remember(path, "" if build.device == "cuda" else json.dumps({"device": "cpu", "wheels": build.folder.name}) + "\n")
    try:
        yield
    except BaseException:
        _remember(path, before)
        raise


def chosen(plugin: Plugin, home: Path, *, gpus: bool) -> TorchBuild:
    """Return the build that a run of `plugin` uses: without GPUs the one that ``bench build`` chose, else CUDA.

    Raises
    ------
    DataError
        When the chosen build is missing.
    """
    path = _choice(plugin, home)
    if gpus or not path.is_file():
        return cuda_build()
    try:
        folder = home / "wheels" / str(read_json_file(path)["wheels"])
        if (folder / LOCK).is_file():
            return TorchBuild("cpu", folder)
    except (ValueError, KeyError, TypeError):
        pass
    raise DataError(
        f"{path} names a CPU build of torch that is missing",
        fix=f"build again: `bench build --plugin {plugin.name}` for CUDA, with --device cpu and --wheels for the CPU",
    )


def _remember(path: Path, choice: str) -> None:
    if not choice:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(choice, encoding="utf-8")
    partial.replace(path)


def _choice(plugin: Plugin, home: Path) -> Path:
    return home / "images" / f"{plugin.name}.json"


def _keep(folder: Path, lock: str, wheels: list[Path]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as work:
        made = Path(work) / folder.name
        (made / "wheels").mkdir(parents=True)
        (made / LOCK).write_text(lock, encoding="utf-8")
        for wheel in wheels:
            target = made / "wheels" / wheel.name
            try:
                target.hardlink_to(wheel.resolve())
            except OSError:  # another disk
                shutil.copyfile(wheel, target)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was faster
                raise


def _locked() -> list[tuple[str, str]]:
    """Return (name, requirement with its digests, on one line) of every package of the CUDA lock."""
    text = (_BASE / LOCK).read_text(encoding="utf-8").replace("\\\n", "")
    rows = [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(row.partition("==")[0], row) for row in rows]


def _package(wheel: Path) -> tuple[str, str]:
    """Return name and version of a wheel (PEP 427: ``name-version-…``, PEP 503: names in one spelling)."""
    name, _, rest = wheel.name.partition("-")
    return re.sub(r"[-_.]+", "-", name).lower(), rest.partition("-")[0]
