"""The input of a shard as plain JSON: what a host that shares a folder with the driver needs, and nothing of a host.

Paths below the shared folder are relative to it, since it may be mounted elsewhere. GPUs, cores and scratch are not in
it: the host that runs it finds its own. The plugin is what an engine needs of it; it need not be installed there.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.engines.base import Mount
from harness.errors import DataError
from harness.images.build import Image
from harness.registry.declaration import Model
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.sandbox import CONTRACT_VERSION
from harness.sandbox.contract import CasePrompt, Job
from harness.sandbox.job import JobCase
from harness.scoring import SCORER_VERSION


def versions() -> dict[str, str]:
    """Return the versions that must be the same on the driver and on every host: harness, scorer, contract."""
    return {
        "groundbench": importlib.metadata.version("groundbench"),
        "scorer": str(SCORER_VERSION),
        "contract": str(CONTRACT_VERSION),
    }


@dataclass(frozen=True)
class ShardSpec:
    """The input of ``run_shard``.

    Attributes
    ----------
    run, number
        The run's id, and the number of this shard, which no other shard of the run ever has.
    plan
        Key of the run's plan.
    folder
        The run's folder, below the shared one; outcomes, figures, masks and logs are written below it.
    plugin, image, job
        The plugin, as :func:`bare` makes it, its image, and the job of its containers. The job's `threads` are those of
        the host that runs it.
    engine
        Name of the engine, never ``auto``.
    gpus
        Number of GPUs that a container gets; 0: it computes on the CPU.
    cases
        The cases, in order.
    mounts
        Files that every container of it may read in addition to its cases.
    salt
        The secret from which the names inside its containers are made; empty: they are the cases' own.
    deadline_s
        Seconds that it may take from its start on the host; None for no limit.
    versions
        Those of the driver.
    """

    run: str
    number: int
    plan: str
    folder: Path
    plugin: Plugin
    image: Image
    job: Job
    engine: str
    gpus: int
    cases: tuple[JobCase, ...]
    mounts: tuple[Mount, ...] = ()
    salt: str = field(default="", repr=False)
    deadline_s: float | None = None
    versions: Mapping[str, str] = field(default_factory=versions)

    @property
    def trains(self) -> bool:
        """Whether it is a training: one container that delivers a checkpoint, not an outcome for each case."""
        return self.job.verb == "finetune"

    def within(self, minutes: float) -> ShardSpec:
        """Return it with the time that a shard should take, at least that of a case; a training ends by itself."""
        if self.trains:
            return self
        limits = self.plugin.model.resources
        return replace(self, deadline_s=max(60 * minutes, limits.start_timeout_s + 2 * limits.case_timeout_s))

    @property
    def file(self) -> Path:
        """Its file: ``specs/<number>.json`` in the run's folder."""
        return self.folder / "specs" / f"{self.number}.json"

    def write(self, shared: Path) -> None:
        """Write its file, whole or not at all."""
        self.file.parent.mkdir(exist_ok=True)
        partial = self.file.with_name(f".{self.file.name}")
        partial.write_text(self.to_json(shared), encoding="utf-8")
        partial.replace(self.file)

    def to_json(self, shared: Path) -> str:
        """Return the shard as JSON, paths below `shared` relative to it."""
        shared = shared.resolve()
        model = self.plugin.model
        document = {
            "version": 1,
            **{name: getattr(self, name) for name in ("run", "number", "plan", "engine", "gpus", "salt", "deadline_s")},
            "versions": dict(self.versions),
            "folder": _relative(self.folder.resolve(), shared),
            "plugin": {
                **{name: getattr(model, name) for name in ("name", "title", "version", "adapter")},
                "root": _relative(model.root.resolve(), shared),
                "resources": asdict(model.resources),
            },
            "image": asdict(self.image),
            "job": self.job.model_dump(exclude={"threads"}),
            "cases": [
                {"prompt": case.prompt.model_dump(exclude_none=True), "mounts": _mounts(case.mounts, shared)}
                for case in self.cases
            ],
            "mounts": _mounts(self.mounts, shared),
        }
        return json.dumps(document, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, shared: Path) -> ShardSpec:
        """Read what :meth:`to_json` returned, with the shared folder where it is on this host.

        Raises
        ------
        DataError
            When the text is not that of a shard, or of another version.
        """
        shared = shared.resolve()
        try:
            read = _Spec.model_validate_json(text)
            job = Job(**read.job, threads=1)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(
                f"this is not a shard that this version can run: {where}: {first['msg']}",
                fix="install the same version of groundbench on every host",
            ) from error
        plugin = _bare(
            name=read.plugin.name,
            title=read.plugin.title,
            version=read.plugin.version,
            root=shared / read.plugin.root,
            adapter=read.plugin.adapter,
            resources=Resources(**read.plugin.resources),
        )
        return cls(
            run=read.run,
            number=read.number,
            plan=read.plan,
            folder=shared / read.folder,
            plugin=plugin,
            image=Image(**read.image),
            job=job,
            engine=read.engine,
            gpus=read.gpus,
            cases=tuple(JobCase(case.prompt, _mounted(case.mounts, shared)) for case in read.cases),
            mounts=_mounted(read.mounts, shared),
            salt=read.salt,
            deadline_s=read.deadline_s,
            versions=read.versions,
        )


def next_number(folder: Path) -> int:
    """Return the number of the next shard of a run, or of the next attempt at a training."""
    names = [path.name for kind in ("specs", "figures") for path in (folder / kind).glob("*.json")]
    return 1 + max((int(found[0]) for name in names if (found := re.match(r"\d+", name))), default=-1)


def bare(plugin: Plugin, resources: Resources | None = None) -> Plugin:
    """Return what an engine needs of a plugin to run its containers: name, code, adapter and limits.

    Parameters
    ----------
    plugin
        The plugin.
    resources
        The limits; None for those of predicting.
    """
    model = plugin.model
    return _bare(
        name=model.name,
        title=model.title,
        version=model.version,
        root=model.root.resolve(),
        adapter=model.adapter,
        resources=resources or model.resources,
    )


def _bare(**fields: Any) -> Plugin:
    return Plugin(Model(summary=fields["title"], **fields), "a shard")


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class _Plugin(_Read):
    name: str
    title: str
    version: str
    root: str
    adapter: str
    resources: dict[str, Any]


class _Case(_Read):
    prompt: CasePrompt
    mounts: list[tuple[str, str]]


class _Spec(_Read):
    version: Literal[1]
    run: str
    number: int
    plan: str
    folder: str
    plugin: _Plugin
    image: dict[str, Any]
    job: dict[str, Any]
    engine: str
    gpus: int
    cases: list[_Case]
    mounts: list[tuple[str, str]]
    salt: str
    deadline_s: float | None
    versions: dict[str, str]


def _relative(path: Path, shared: Path) -> str:
    return (path.relative_to(shared) if path.is_relative_to(shared) else path).as_posix()


def _mounts(mounts: tuple[Mount, ...], shared: Path) -> list[tuple[str, str]]:
    return [(_relative(mount.source, shared), mount.target) for mount in mounts]


def _mounted(mounts: list[tuple[str, str]], shared: Path) -> tuple[Mount, ...]:
    return tuple(Mount(shared / source, target) for source, target in mounts)
