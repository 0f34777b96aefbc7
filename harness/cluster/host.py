"""What a host of a cluster can do for a run, by its own account: asked before anything is recorded of a model.

A question goes there and an answer comes back as JSON, by whatever way a backend has. Nothing raises on the host:
each check is a line with what was found and, where something is wrong, the fix.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.cluster.config import Cluster, scratch_folder
from harness.engines import choose_engine
from harness.engines.base import Engine, Mount
from harness.engines.gpus import enough, granted_gpus
from harness.engines.nvidia import Gpu
from harness.errors import BenchError, PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs.place import node, own_folder
from harness.runs.preflight import check_containers
from harness.runs.spec import ShardSpec, versions
from harness.sandbox.folder import lack_of_disk

#: Below this free space a folder for containers is worth a warning, bytes.
_COMFORTABLE_SCRATCH = 5 * 10**9

#: Seconds by which clocks may differ without a word.
_SKEW_S = 5.0

Verdict = Literal["ok", "warning", "failed"]


class HostCheck(BaseModel):
    """One line about a host.

    Attributes
    ----------
    host
        The host, with what tells its workers apart.
    subject, verdict, found, fix
        What was checked, how it is, what was found, and what to do; the fix is empty where nothing is wrong.
    """

    model_config = ConfigDict(frozen=True)

    host: str
    subject: str
    verdict: Verdict
    found: str
    fix: str = ""


class HostQuestion(BaseModel):
    """What a driver asks.

    Attributes
    ----------
    token, secret
        Name and content of a file that the driver has put into the shared folder.
    engine, scratch
        As ``clusters.toml`` has them.
    gpus, gpu_memory_mb
        GPUs that a container gets, and the memory that each must have, MiB.
    shard
        A shard of the run (:meth:`harness.runs.spec.ShardSpec.to_json`); empty to check without one.
    versions
        Those of the driver.
    """

    model_config = ConfigDict(frozen=True)

    token: str
    secret: str
    engine: str
    scratch: str
    gpus: int = 0
    gpu_memory_mb: int = 0
    shard: str = ""
    versions: Mapping[str, str]


class HostAnswer(BaseModel):
    """What a host says.

    Attributes
    ----------
    checks
        The lines.
    lacks
        What its engine cannot do for such a container; see :meth:`harness.engines.base.Engine.lacks`.
    began, ended
        The host's clock when it began and when it had finished, seconds since the epoch.
    """

    model_config = ConfigDict(frozen=True)

    checks: tuple[HostCheck, ...]
    lacks: tuple[str, ...] = ()
    began: float
    ended: float


@contextlib.contextmanager
def asking(
    cluster: Cluster, *, gpus: int = 0, gpu_memory_mb: int = 0, shard: ShardSpec | None = None
) -> Iterator[HostQuestion]:
    """Make a question, with its file in the shared folder for as long as the context lasts.

    Raises
    ------
    PrerequisiteError
        When the driver cannot write to the shared folder.
    """
    path, secret = cluster.shared / f".bench-{secrets.token_hex(8)}", secrets.token_hex(16)
    try:
        path.write_text(f"{secret}\n", encoding="ascii")
        path.chmod(0o644)  # a container's user reads it, as it reads the data
    except OSError as error:
        raise PrerequisiteError(
            f"the shared folder {cluster.shared} cannot be written here: {error.strerror}",
            fix=f"make or mount it, or correct `shared` of cluster {cluster.name!r}",
        ) from error
    try:
        yield HostQuestion(
            token=path.name,
            secret=secret,
            engine=cluster.engine,
            scratch=cluster.scratch,
            gpus=gpus,
            gpu_memory_mb=gpu_memory_mb,
            shard="" if shard is None else shard.to_json(cluster.shared),
            versions={**versions(), "Python": _python()},
        )
    finally:
        path.unlink(missing_ok=True)


def examine(text: str, shared: Path, *, worker: str = "") -> str:
    """Answer a question on the host that it was sent to.

    Parameters
    ----------
    text
        The question as JSON.
    shared
        The shared folder as this host sees it.
    worker
        What tells this worker from others of the host.
    """
    host = f"{node()} {worker}".strip()
    began = time.time()
    lacks: tuple[str, ...] = ()
    try:
        examination = _Examination(HostQuestion.model_validate_json(text), shared, host)
        checks = tuple(examination.run())
        lacks = examination.lacks
    except ValidationError as error:
        said = f"this version does not understand the driver's question: {error.errors()[0]['msg']}"
        fix = "install the same version of groundbench on every host"
        checks = (HostCheck(host=host, subject="versions", verdict="failed", found=said, fix=fix),)
    return HostAnswer(checks=checks, lacks=lacks, began=began, ended=time.time()).model_dump_json()


class _Examination:
    """Everything that one host is asked, in an order in which each check can rely on those before it."""

    def __init__(self, question: HostQuestion, shared: Path, host: str) -> None:
        self._question, self._shared, self._host = question, shared, host
        self.lacks: tuple[str, ...] = ()
        self._engine: Engine | None = None
        self._gpus: Sequence[Gpu] = ()
        self._image: tuple[Plugin, Image, Resources] | None = None
        self._shard: ShardSpec | None = None

    def run(self) -> Iterator[HostCheck]:
        same = self._checked("versions", self._versions)
        yield same
        if same.verdict == "failed":
            return
        there = self._checked("shared folder", self._shared_folder)
        scratch = self._checked("scratch", self._scratch)
        engine = self._checked("engine", self._answers)
        yield from (there, scratch, engine, self._checked("GPU", self._granted))
        if engine.verdict == "failed":
            return
        image = self._checked("image", self._obtain)
        yield image
        if "failed" not in {there.verdict, scratch.verdict, image.verdict} and self._image is not None:
            yield self._checked("container", self._contain)

    def _checked(self, subject: str, look: Callable[[], tuple[Verdict, str, str]]) -> HostCheck:
        try:
            verdict, found, fix = look()
        except BenchError as error:
            verdict, found, fix = "failed", error.message, error.fix
        except OSError as error:
            verdict, found, fix = "failed", str(error), "see the message"
        except Exception as error:  # noqa: BLE001 - whatever it is, the driver is to read it
            verdict, found, fix = "failed", f"{type(error).__name__}: {error}", "report this"
        return HostCheck(host=self._host, subject=subject, verdict=verdict, found=found, fix=fix)

    def _versions(self) -> tuple[Verdict, str, str]:
        here = {**versions(), "Python": _python()}
        asked = self._question.versions
        other = [f"{name} {here.get(name, 'unknown')} here, {asked[name]} on the driver"
                 for name in asked if here.get(name) != asked[name]]  # fmt: skip
        if other:
            return "failed", "; ".join(other), "install the same version of groundbench, and of Python, on every host"
        return "ok", ", ".join(f"{name} {version}" for name, version in here.items()), ""

    def _shared_folder(self) -> tuple[Verdict, str, str]:
        path = self._shared / self._question.token
        try:
            same = path.read_text(encoding="ascii", errors="replace").strip() == self._question.secret
        except FileNotFoundError:
            same = False
        if not same:
            return (
                "failed",
                f"{self._shared} is not the driver's shared folder: the file that the driver has put there is missing",
                "mount it here under this path, or start the worker with `--shared PATH`, where it is mounted",
            )
        if lacking := lack_of_disk(self._shared):
            return "failed", f"{self._shared}: {lacking}", "free some space in the shared folder"
        with tempfile.NamedTemporaryFile(dir=self._shared, prefix=".bench-"):
            pass
        return "ok", f"{self._shared} is the driver's, and can be written", ""

    def _scratch(self) -> tuple[Verdict, str, str]:
        folder = scratch_folder(self._question.scratch)
        if lacking := lack_of_disk(folder):
            return "failed", f"{folder}: {lacking}", "free some space there, or name another folder as `scratch`"
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".bench-") as file:
            file.write(b"x" * 2**20)
            file.flush()
            os.fsync(file.fileno())
        free = _free(folder)
        if free < _COMFORTABLE_SCRATCH:
            return "warning", f"{folder}: {free / 1e9:.1f} GB free", "masks in flight lie there until they are taken"
        return "ok", f"{folder}: {free / 1e9:.1f} GB free", ""

    def _answers(self) -> tuple[Verdict, str, str]:
        self._engine = choose_engine(self._question.engine, trusted=False)
        described = self._engine.describe()
        return "ok", f"{self._engine.name} {described.get('version', '')}".strip(), ""

    def _granted(self) -> tuple[Verdict, str, str]:
        wanted = self._question.gpus
        if wanted:
            self._gpus = enough(granted_gpus(), wanted, memory_mb=self._question.gpu_memory_mb)[:wanted]
            return "ok", ", ".join(map(str, self._gpus)), ""
        found = granted_gpus()
        if found.gpus:
            self._gpus = found.gpus[:1]
            return "ok", ", ".join(map(str, found.gpus)), ""
        return "ok", f"none: {found.problem or 'models run on the CPU'}", ""

    def _obtain(self) -> tuple[Verdict, str, str]:
        assert self._engine is not None  # noqa: S101 - without an engine nothing of this is called
        if self._question.shard:
            shard = self._shard = ShardSpec.from_json(self._question.shard, self._shared)
            said: list[str] = []
            image = self._engine.obtain(shard.plugin, shard.image, archives=self._shared / "images", log=said.append)
            self._image = shard.plugin, image, shard.plugin.model.resources
            return "ok", "; ".join([image.tag or image.id, *said]), ""
        base = self._engine.base()
        if base is None:
            return (
                "warning",
                "no image was named, and the base image is not here: no container was tried",
                "`bench cluster check NAME --plugin P` tries the image of a model",
            )
        nobody = Model("check", "Check", "Reads and writes a line.", "1", Path("/"), variants=(Variant("only"),))
        self._image = Plugin(nobody, "check"), base, Resources()
        return "ok", f"{base.tag or base.id} (the base image; --plugin tries that of a model)", ""

    def _contain(self) -> tuple[Verdict, str, str]:
        assert self._engine is not None  # noqa: S101
        assert self._image is not None  # noqa: S101
        plugin, image, resources = self._image
        mounts: tuple[Mount, ...] = ()
        files = [self._shared / self._question.token]
        if self._shard is not None:
            mounts = self._shard.mounts
            files += [mount.source for case in self._shard.cases for mount in case.mounts]
        read = [*files, *(mount.source for mount in mounts)]
        if absent := [path for path in read if _is_absent(path)]:
            more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
            fix = "mount the data here under the path that they have on the driver"
            return "failed", f"{absent[0]} does not exist here{more}", fix
        self._engine.require_readable(read)
        warnings: list[str] = []
        with own_folder(scratch_folder(self._question.scratch), "check") as folder:
            check_containers(
                self._engine,
                plugin,
                image,
                resources=resources,
                mounts=mounts,
                files=files,
                gpus=self._gpus,
                folder=folder,
                log=warnings.append,
            )
        self.lacks = tuple(self._engine.lacks([gpu.id for gpu in self._gpus]))
        if warnings or self.lacks:
            lacking = [f"the {self._engine.name} engine {lack}" for lack in self.lacks]
            return "warning", "; ".join([*warnings, *lacking]), "rows with what an engine cannot do are not ranked"
        seen = "the shared folder and the data" if self._shard is not None else "the shared folder"
        return "ok", f"a container reads {seen}{' and sees the GPU' if self._gpus else ''}", ""


def clock_check(host: str, asked: float, answer: HostAnswer, answered: float) -> HostCheck:
    """Compare a host's clock with the driver's.

    Parameters
    ----------
    host
        Its name.
    asked, answered
        The driver's clock before the question was sent and after the answer came, seconds since the epoch.
    answer
        The answer.
    """
    ahead, behind = answer.ended - answered, asked - answer.began  # at least, in seconds
    off = max(ahead, behind)
    if off > _SKEW_S:
        return HostCheck(
            host=host,
            subject="clock",
            verdict="warning",
            found=f"at least {off:.0f} s {'ahead of' if ahead > behind else 'behind'} the driver's",
            fix="set it by NTP: certificates and the age of files depend on it; no duration is measured across hosts",
        )
    return HostCheck(host=host, subject="clock", verdict="ok", found="agrees with the driver's")


def refuse_failures(checks: Sequence[HostCheck], cluster: str) -> None:
    """Raise PrerequisiteError where a check has failed, with the first failure of each host and its fix."""
    failed = {check.host: check for check in reversed(checks) if check.verdict == "failed"}
    if failed:
        lines = "\n".join(f"  {one.host}, {one.subject}: {one.found}" for one in failed.values())
        fixes = "; ".join(dict.fromkeys(one.fix for one in failed.values() if one.fix))
        raise PrerequisiteError(
            f"cluster {cluster!r} cannot run this; nothing was recorded:\n{lines}",
            fix=f"{fixes}; `bench cluster check {cluster}` shows everything",
        )


def _is_absent(path: Path) -> bool:
    """Return whether a file is not there; one that may not be looked at may be there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])
