"""What a host says of itself: every line from what it tried, and the first that fails is the reason of a refusal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.cluster import host
from harness.cluster.config import DaskCluster
from harness.cluster.host import HostAnswer, HostCheck, HostQuestion, asking, clock_check, examine, refuse_failures
from harness.engines.base import ContainerSpec, Tried
from harness.errors import DataError, PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.runs.spec import ShardSpec
from harness.sandbox.contract import Job

SUBJECTS = ["versions", "shared folder", "scratch", "engine", "GPU", "image", "container"]


class Docker:
    """An engine that plays a healthy container: it reads the job and writes its line."""

    name, isolates, limits_memory = "docker", True, True

    def __init__(self) -> None:
        self.tried: list[ContainerSpec] = []
        self.missing = self.unreadable = self.refuses = ""
        self.lacking: list[str] = []

    def describe(self) -> dict[str, Any]:
        return {"engine": "docker", "version": "28.2"}

    def base(self) -> Image | None:
        return None if self.missing else Image("sha256:0", "python:3.11")

    def obtain(self, plugin: Plugin, image: Image, *, archives: Path, log: Any) -> Image:
        if self.missing:
            raise PrerequisiteError(self.missing, fix="`bench images export`")
        return image

    def lacks(self, gpu_ids: Sequence[str]) -> list[str]:
        return self.lacking

    def require_readable(self, paths: Any) -> None:
        for path in paths:
            if str(path) == self.unreadable:
                raise DataError(f"the container's user may not read {path}", fix="chmod o+r")

    def try_out(self, spec: ContainerSpec, command: Sequence[str]) -> Tried:
        self.tried.append(spec)
        if self.refuses:
            return Tried(None, self.refuses)
        (spec.root / "out" / "line").write_text((spec.root / "job.json").read_text())
        return Tried(0)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Return the engine that answers on this host."""
    engine = Docker()
    monkeypatch.setattr(host, "choose_engine", lambda *_, **__: engine)
    monkeypatch.delenv("TMPDIR", raising=False)
    return engine


@pytest.fixture
def cluster(tmp_path: Path) -> DaskCluster:
    """Return a cluster whose shared folder and scratch exist."""
    for name in ("shared", "scratch"):
        (tmp_path / name).mkdir()
    return DaskCluster(
        name="lab",
        kind="dask",
        address="tls://gpu1:1",
        shared=tmp_path / "shared",
        scratch=str(tmp_path / "scratch"),
    )


def _shard(folder: Path, ct: Path) -> ShardSpec:
    from harness.engines.base import Mount

    plugin = Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(Variant("v"),)), "here")
    job = Job(model="m", variant="v", seed=0, devices=["cpu"], threads=1)
    return ShardSpec("r", 0, "p", folder, plugin, Image("sha256:1"), job, "docker", 0, (), (Mount(ct, "data/0"),))


def _asked(cluster: DaskCluster, **changes: Any) -> dict[str, HostCheck]:
    """Return what this host answers to a question with some things changed, by subject."""
    with asking(cluster) as question:
        text = question.model_copy(update=changes).model_dump_json()
        found = HostAnswer.model_validate_json(examine(text, cluster.shared, worker="worker 1"))
    assert list(cluster.shared.iterdir()) == []
    assert list(Path(cluster.scratch).iterdir()) == []
    return {check.subject: check for check in found.checks}


def test_a_healthy_host(cluster: DaskCluster, engine: Docker) -> None:
    """Every subject is ok, and the container had the file of the shared folder mounted."""
    checks = _asked(cluster)
    assert list(checks) == SUBJECTS
    assert {check.verdict for check in checks.values()} == {"ok"}
    (spec,) = engine.tried
    assert [mount.source.parent for mount in spec.mounts] == [cluster.shared]
    assert spec.root.is_relative_to(cluster.scratch)


def test_a_shard_is_tried_with_its_image_and_its_data(cluster: DaskCluster, engine: Docker, tmp_path: Path) -> None:
    """The model's own image, and each file that its containers may read."""
    ct = tmp_path / "ct.nii.gz"
    ct.touch()
    with asking(cluster, shard=_shard(cluster.shared, ct)) as question:
        answer = HostAnswer.model_validate_json(examine(question.model_dump_json(), cluster.shared))
    assert {check.verdict for check in answer.checks} == {"ok"}
    (spec,) = engine.tried
    assert spec.image.id == "sha256:1"
    assert ct in {mount.source for mount in spec.mounts}
    engine.unreadable = str(ct)
    with asking(cluster, shard=_shard(cluster.shared, ct)) as question:
        answer = HostAnswer.model_validate_json(examine(question.model_dump_json(), cluster.shared))
    assert answer.checks[-1].verdict == "failed"
    assert str(ct) in answer.checks[-1].found


@pytest.mark.parametrize("said", ["invalid mount config: stat {}: permission denied", "statfs {}: permission denied"])
def test_a_share_that_keeps_the_engine_out_is_refused(
    cluster: DaskCluster, engine: Docker, tmp_path: Path, said: str
) -> None:
    """The worker may read a CT, and its engine's daemon may not: told before anything is recorded, with what to do."""
    ct = tmp_path / "ct.nii.gz"
    ct.touch()
    engine.refuses = said.format(ct)
    with asking(cluster, shard=_shard(cluster.shared, ct)) as question:
        answer = HostAnswer.model_validate_json(examine(question.model_dump_json(), cluster.shared))
    with pytest.raises(PrerequisiteError, match=f"nothing was recorded.*\n.*may not enter {ct}") as refused:
        refuse_failures(answer.checks, cluster.name)
    assert "no_root_squash" in refused.value.fix


def test_data_that_are_mounted_elsewhere(cluster: DaskCluster, engine: Docker, tmp_path: Path) -> None:
    """A CT that this host does not have under the driver's path; no container is tried."""
    with asking(cluster, shard=_shard(cluster.shared, tmp_path / "none" / "ct.nii.gz")) as question:
        answer = HostAnswer.model_validate_json(examine(question.model_dump_json(), cluster.shared))
    assert (answer.checks[-1].subject, answer.checks[-1].verdict) == ("container", "failed")
    assert answer.checks[-1].found == f"{tmp_path}/none/ct.nii.gz does not exist here"
    assert answer.checks[-1].fix == "mount the data here under the path that they have on the driver"
    assert engine.tried == []


def test_another_version_is_all_that_is_said(cluster: DaskCluster, engine: Docker) -> None:
    """Whatever else such a host said could mean something else."""
    checks = _asked(cluster, versions={"groundbench": "0.0.1"})
    assert list(checks) == ["versions"]
    assert "0.0.1 on the driver" in checks["versions"].found
    assert checks["versions"].verdict == "failed"


def test_another_shared_folder(cluster: DaskCluster, engine: Docker, tmp_path: Path) -> None:
    """A folder without the driver's file, or with another content of it, is another one; no container is tried."""
    (tmp_path / "other").mkdir()
    with asking(cluster) as question:
        for shared, changed in (
            (tmp_path / "other", question),
            (cluster.shared, question.model_copy(update={"secret": "x"})),
        ):
            answer = HostAnswer.model_validate_json(examine(changed.model_dump_json(), shared))
            checks = {check.subject: check for check in answer.checks}
            assert checks["shared folder"].verdict == "failed"
            assert "is not the driver's" in checks["shared folder"].found
            assert "container" not in checks
    assert engine.tried == []


def test_scratch(cluster: DaskCluster, engine: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not exist, or is full, is told with what to do."""
    missing = _asked(cluster, scratch="/nowhere/at/all")["scratch"]
    assert (missing.verdict, "is not a folder" in missing.found) == ("failed", True)
    monkeypatch.setattr(host, "lack_of_disk", lambda folder: "the disk is full" if "scratch" in str(folder) else "")
    full = _asked(cluster)["scratch"]
    assert (full.verdict, full.found) == ("failed", f"{cluster.scratch}: the disk is full")


def test_an_image_that_is_lacking(cluster: DaskCluster, engine: Docker, tmp_path: Path) -> None:
    """A worker never builds: what it cannot import is refused, and no container is tried."""
    engine.missing = "this machine does not have the image of 'm'"
    with asking(cluster, shard=_shard(cluster.shared, tmp_path)) as question:
        answer = HostAnswer.model_validate_json(examine(question.model_dump_json(), cluster.shared))
    assert (answer.checks[-1].subject, answer.checks[-1].verdict) == ("image", "failed")
    assert answer.checks[-1].found == engine.missing
    assert _asked(cluster)["image"].verdict == "warning"  # without a model only the base image is missing


def test_an_engine_that_does_not_answer(cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised becomes a line, a fault of ours too."""

    def refuse(name: str, *, trusted: bool) -> None:
        raise PrerequisiteError("no daemon", fix="start it")

    monkeypatch.setattr(host, "choose_engine", refuse)
    assert (_asked(cluster)["engine"].found, _asked(cluster)["engine"].fix) == ("no daemon", "start it")
    monkeypatch.setattr(host, "choose_engine", lambda *_, **__: 1 / 0)
    assert "ZeroDivisionError" in _asked(cluster)["engine"].found


def test_gpus_that_the_host_does_not_have(cluster: DaskCluster, engine: Docker) -> None:
    """As many as a container gets, or the reason."""
    assert _asked(cluster, gpus=2)["GPU"].verdict == "failed"
    assert "2 GPUs requested" in _asked(cluster, gpus=2)["GPU"].found


def test_what_an_engine_cannot_do_is_told_to_the_run(cluster: DaskCluster, engine: Docker) -> None:
    """A row with any of it is not ranked."""
    engine.lacking = ["does not limit memory"]
    with asking(cluster) as question:
        answer = HostAnswer.model_validate_json(examine(question.model_dump_json(), cluster.shared))
    assert answer.lacks == ("does not limit memory",)
    assert (answer.checks[-1].verdict, "does not limit memory" in answer.checks[-1].found) == ("warning", True)


@pytest.mark.parametrize("text", ["", "{}", "null", '{"token": 1}'])
def test_a_question_that_is_none(tmp_path: Path, text: str) -> None:
    """That of another version is answered all the same."""
    (check,) = HostAnswer.model_validate_json(examine(text, tmp_path)).checks
    assert (check.subject, check.verdict) == ("versions", "failed")


def test_a_shared_folder_that_the_driver_cannot_write(cluster: DaskCluster) -> None:
    """Nothing is asked then."""
    with (
        pytest.raises(PrerequisiteError, match="cannot be written here"),
        asking(cluster.model_copy(update={"shared": cluster.shared / "none"})),
    ):
        pass


@pytest.mark.parametrize(
    ("offset", "waited", "said"),
    [(0, 0, "ok"), (3, 0, "ok"), (60, 0, "ahead of"), (-60, 0, "behind"), (60, 90, "ok"), (120, 90, "ahead of")],
)
def test_clocks(offset: float, waited: float, said: str) -> None:
    """Only what is certain is told: an answer that was long on its way says little of the clock."""
    asked = time.time()
    answer = HostAnswer(checks=(), began=asked + offset, ended=asked + offset)
    check = clock_check("gpu1", asked, answer, asked + waited)
    assert said in (check.verdict if said == "ok" else check.found)


def test_failures_are_refused_with_the_first_of_each_host() -> None:
    """Warnings are not."""
    fine = HostCheck(host="a", subject="engine", verdict="ok", found="docker")
    weak = HostCheck(host="a", subject="scratch", verdict="warning", found="little", fix="more")
    refuse_failures([fine, weak], "lab")
    broken = [HostCheck(host="b", subject=subject, verdict="failed", found=subject, fix="f") for subject in ("x", "y")]
    with pytest.raises(PrerequisiteError, match="b, x: x") as raised:
        refuse_failures([fine, weak, *broken], "lab")
    assert "y" not in raised.value.message.splitlines()[-1]
    assert raised.value.fix == "f; `bench cluster check lab` shows everything"


def test_the_question_travels_as_text(cluster: DaskCluster) -> None:
    """What is read is what was written, and its file is gone afterwards."""
    with asking(cluster, gpus=1, gpu_memory_mb=2) as question:
        assert HostQuestion.model_validate_json(question.model_dump_json()) == question
        assert [path.name for path in cluster.shared.iterdir()] == [question.token]
    assert list(cluster.shared.iterdir()) == []
