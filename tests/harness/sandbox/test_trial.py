"""What surrounds a container is tried out before a model depends on it; a host's fault is said and nothing is run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from harness.engines.base import ContainerSpec, Engine, Mount, Tried, require_readable
from harness.engines.docker import DockerEngine
from harness.errors import DataError, PrerequisiteError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.sandbox.trial import prove, prove_again


class Tries:
    """An engine that is given the command and plays what came of it; by default a shell of this machine runs it."""

    isolates = True
    limits_memory = True

    def __init__(
        self, tried: Tried | None = None, *, change: Callable[[str], str] = lambda script: script, shell: str = "sh"
    ) -> None:
        self.tried, self.change, self.shell = tried, change, shell

    def try_out(self, spec: ContainerSpec, command: Sequence[str]) -> Tried:
        if self.tried is not None:
            return self.tried
        script = self.change(command[2])
        for inside, here in (("/bench/", f"{spec.root}/"), ("/tmp/line", f"{spec.root}/line"), ("/sys/", "/nowhere/")):  # noqa: S108
            script = script.replace(inside, here)
        ended = subprocess.run(
            [self.shell, *command[1:2], script, *command[3:]], capture_output=True, text=True, check=False
        )
        return Tried(ended.returncode, " ".join((ended.stdout + ended.stderr).split()))


@pytest.fixture
def spec(tmp_path: Path) -> ContainerSpec:
    """Return the container of a model that does nothing."""
    plugin = Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(Variant("v"),)), "here")
    root = tmp_path / "shards" / "trial"
    return ContainerSpec("groundbench-x", plugin, Image("i"), root, (), tmp_path / "log", Resources())


def _refused(engine: Tries, spec: ContainerSpec) -> PrerequisiteError:
    with pytest.raises(PrerequisiteError, match="containers do not work here: ") as refused:
        prove(cast("Engine", engine), spec)
    assert not spec.root.exists()
    assert refused.value.fix
    return refused.value


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_container_that_reads_and_writes_is_well(spec: ContainerSpec, tmp_path: Path, shell: str) -> None:
    """The command succeeds in any shell with every mount there, and what it was made from is gone afterwards."""
    (tmp_path / "data").touch()
    mounted = replace(spec, mounts=(Mount(tmp_path / "data", "../../data"),))
    assert prove(cast("Engine", Tries(shell=shell)), mounted)
    assert not spec.root.exists()


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("rm {}/job.json", "read its job"),
        ("rmdir {}/out", "write into its folder out/"),
        ("mkdir {}/line", "write into /tmp"),
        ("rm -r {}/cases.jsonl", "read its job"),
    ],
)
def test_the_command_says_what_it_cannot_do(spec: ContainerSpec, before: str, words: str) -> None:
    """Each step has a code of its own, whatever shell the image brings."""
    error = _refused(Tries(change=lambda script: f"{before.format(spec.root)}\n{script}"), spec)
    assert f"a container cannot {words}" in error.message


def test_a_file_of_the_data_that_cannot_be_read_is_the_hosts_fault(spec: ContainerSpec) -> None:
    """Every mount is opened."""
    error = _refused(Tries(), replace(spec, mounts=(Mount(Path("/x"), "ct/missing.nii.gz"),)))
    assert "a container cannot read the data" in error.message


def test_what_did_not_arrive_was_written_elsewhere(spec: ContainerSpec) -> None:
    """A container that succeeds in another folder of the same name proves nothing."""
    error = _refused(Tries(Tried(0)), spec)
    assert f"the daemon does not see {spec.root.parent}" in error.message
    assert "File sharing" in error.fix


def test_a_gpu_that_is_not_inside_is_said(spec: ContainerSpec) -> None:
    """An engine that ignores the request for a GPU is not given a model."""
    error = _refused(Tries(change=lambda script: script.replace("/dev/", "/nowhere/")), replace(spec, gpu_ids=("0",)))
    assert "did not add a GPU" in error.message
    assert error.lacking == "gpu"


def test_a_limit_that_is_ignored_is_said(spec: ContainerSpec, tmp_path: Path) -> None:
    """A container whose memory is not limited is not started with a stranger's code."""
    (tmp_path / "memory.max").write_text("max\n")
    engine = Tries(change=lambda script: script.replace("/sys/fs/cgroup/memory.max", f"{tmp_path}/memory.max"))
    assert "ignores the limit" in _refused(engine, spec).message


@pytest.mark.parametrize(
    ("tried", "words", "fix"),
    [
        (Tried(42, "cannot create out/line: Permission denied", ("seccomp", "userns")), "userns-remap", "DOCKER_HOST"),
        (Tried(42, "cannot create: Permission denied", ("rootless",)), "rootless", "system's daemon"),
        (Tried(42, "in a user namespace: cannot create: Permission denied"), "user namespaces", "DOCKER_HOST"),
        (Tried(41, "cannot open: Permission denied", ("selinux",)), "SELinux", "container_file_t"),
        (Tried(44, "cannot open: Permission denied"), "has no access", "root_squash"),
        (Tried(42, "cannot create: No space left on device"), "no room", "free some space"),
        (Tried(42, "cannot create: Disk quota exceeded"), "no room", "free some space"),
        (Tried(42, "cannot create: Read-only file system"), "read-only", "--home"),
        (Tried(41, "cannot open: No such file"), "does not see", "File sharing"),
        (Tried(139, "Segmentation fault"), "exit code 139", "docker info"),
        (Tried(None, "the daemon answers, but did not finish within 30 s"), "hangs or is overloaded", "restart"),
        (Tried(None, 'invalid mount config for type "bind": bind source path does not exist: /h/job.json'),
         "does not see", "File sharing"),
        (Tried(None, "statfs /home/a/job.json: no such file or directory"), "does not see", "run bench where"),
        (Tried(None, "write /var/lib/docker/x: no space left on device"), "disk is full", "bench clean"),
        (Tried(None, 'could not select device driver "" with capabilities: [[gpu compute]]'), "add a GPU", "nv"),
        (Tried(None, "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8"), "cuda>=12.8", "nv"),
        (Tried(None, "container-init binary not found on the host: stat catatonit"), "starts a container", "catatonit"),
        (Tried(None, "error setting rlimit type 7: operation not permitted"), "limits", "LimitNOFILE"),
        (Tried(None, "cgroups: cannot find cgroup mount destination"), "cannot limit", "cgroup v2"),
        (Tried(None, 'invalid mount config for type "bind": stat /data/a b/ct.nii.gz: permission denied'),
         "may not enter /data/a b/ct.nii.gz", "copy the data"),
        (Tried(None, "error checking path: statfs /data/ct.nii.gz: permission denied"),
         "may not enter /data/ct.nii.gz", "no_root_squash"),
        (Tried(None, "something that nobody has seen"), "something that nobody has seen", "log"),
    ],
)  # fmt: skip
def test_every_refusal_is_explained(spec: ContainerSpec, tried: Tried, words: str, fix: str) -> None:
    """The reason and the fix follow from what the container and the daemon say; unknown words are passed on."""
    error = _refused(Tries(tried), spec)
    assert words in error.message
    assert fix in error.fix
    assert error.exit_code == 3


@pytest.mark.parametrize(
    "tried",
    [
        Tried(127, "[FATAL tini (7)] exec sh failed: No such file or directory"),
        Tried(None, 'runc create failed: exec: "sh": executable file not found in $PATH: unknown'),
    ],
)
def test_an_image_without_a_shell_is_not_refused(spec: ContainerSpec, tried: Tried) -> None:
    """What cannot be tried is reported as not tried, and is not the host's fault."""
    assert not prove(cast("Engine", Tries(tried)), spec)


def test_a_failure_is_proved_to_be_the_models(spec: ContainerSpec) -> None:
    """A host that no longer works is found before a model's failure is recorded; the model's folder stays as it is."""
    spec.root.mkdir(parents=True)
    (spec.root / "kept").touch()
    prove_again(cast("Engine", Tries()), spec)
    with pytest.raises(PrerequisiteError, match="read-only"):
        prove_again(cast("Engine", Tries(Tried(42, "Read-only file system"))), spec)
    assert [path.name for path in spec.root.parent.iterdir()] == ["trial"]
    assert (spec.root / "kept").exists()


def test_a_home_that_keeps_root_out_is_told_apart_from_data(spec: ContainerSpec) -> None:
    """What lies in the container's own folder is of the home."""
    said = f'invalid mount config for type "bind": stat {spec.root}/out: permission denied'
    assert "--home on a local disk" in _refused(Tries(Tried(None, said)), spec).fix


@pytest.fixture
def shut(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that root may not enter, as shares with root_squash are: FUSE, owned by another user."""
    folder = tmp_path / "share"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no FUSE: {error}")
    try:
        options = f"fd={device},rootmode=40755,user_id=65534,group_id=65534"
        if libc.mount(b"share", os.fsencode(folder), b"fuse", 0, options.encode()):
            pytest.skip(f"cannot mount FUSE: {os.strerror(ctypes.get_errno())}")
        yield folder
        assert libc.umount2(os.fsencode(folder), 2) == 0  # detached: nobody answers for it
    finally:
        os.close(device)


def test_data_that_this_command_may_not_enter_are_refused(shut: Path) -> None:
    """Where bench itself is kept out, as root on such a share: the same refusal as for other files without a right."""
    with pytest.raises(DataError, match=f"may not read {shut}/ct.nii.gz") as refused:
        require_readable([shut / "ct.nii.gz"], 10001, 10001)
    assert "run bench as the owner of the data" in refused.value.fix


@pytest.mark.docker
def test_data_that_the_daemon_may_not_enter_are_refused(spec: ContainerSpec, shut: Path, base_image: str) -> None:
    """The true daemon, on a share that keeps root out: before a run, with the place and the reason."""
    with pytest.raises(PermissionError):
        list(shut.iterdir())
    import docker

    with contextlib.closing(docker.from_env()) as client:
        image = Image(client.images.get(base_image).id)
    spec = replace(spec, image=image, mounts=(Mount(shut / "ct.nii.gz", "tried/0"),))
    with pytest.raises(PrerequisiteError, match=f"may not enter {shut}/ct.nii.gz: NFS with root_squash") as refused:
        prove(DockerEngine(), spec)
    assert "no_root_squash" in refused.value.fix
    assert not spec.root.exists()
