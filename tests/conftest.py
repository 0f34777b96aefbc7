"""Fixtures of all tests: the command line with its own home, small data sets, and what a machine may lack.

Real data where it lies, a container engine where one answers; a test that needs either says why it is skipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from tests import slurm_node, sorting

ROOT = Path(__file__).resolve().parents[1]
SEAL = ROOT / "tests" / "seal"


def _load_seal() -> ModuleType:
    """Load the seal under its own name: Python may have a module ``sitecustomize`` already."""
    spec = importlib.util.spec_from_file_location("groundbench_test_seal", SEAL / "sitecustomize.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


seal = _load_seal()
#: Of this checkout: that of another one may be built anew meanwhile, and every image on it has another identity then.
BASE_TAG = f"groundbench-test-base:{hashlib.sha256(bytes(ROOT)).hexdigest()[:12]}"

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


def engine_problem() -> str:
    """Say why no container can run here; empty when one can."""
    try:
        import docker

        client = docker.from_env(timeout=20)
        client.ping()
        client.close()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason
        return f"no Docker engine answers ({type(error).__name__}); containers/dev/engine.sh starts one"
    return ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Seal a test off from the engine's daemon, the network and the GPUs, unless a marker says that it needs them.

    Around the whole test, so that fixtures that several tests share are made under the seal of the first.
    """
    if any(item.get_closest_marker(name) for name in ("docker", "network", "gpu")):
        with sorting.turn_at_the_engine(item):
            return (yield)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _seal(item.nodeid).items():
            patch.setenv(name, value)
        return (yield)


def _seal(test: str) -> dict[str, str]:
    """Return the environment that seals this process and every Python that it starts."""
    path = [str(SEAL), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {seal.SEALED: test, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests group by group."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return sorting.group_of(nodeid.split("::", maxsplit=1)[0])

    return ByGroup(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test-fast` leaves out; skip what needs an engine where none answers, with the reason."""
    for item in items:
        if sorting.is_costly(item):
            item.add_marker("costly")
    needing = [item for item in items if "docker" in item.keywords]
    problem = engine_problem() if needing else ""
    if problem:
        for item in needing:
            item.add_marker(pytest.mark.skip(reason=problem))
    queued = [item for item in items if "slurm" in item.keywords]
    lacking = slurm_node.problem() if queued else ""
    if lacking and not os.environ.get("BENCH_REQUIRE_SLURM"):  # with it, a Slurm that is missing is a failure
        for item in queued:
            item.add_marker(pytest.mark.skip(reason=lacking))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real CTs, masks and texts; a test that wants them is skipped, with the reason, where they are not."""
    folder = Path(os.environ.get("GROUNDBENCH_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set GROUNDBENCH_REAL_DATA")
    return folder


class Process(NamedTuple):
    """A process of this machine, from /proc: what ``ps`` prints is cut at the width of a terminal."""

    pid: int
    parent: int
    command: str


def _seal_of_the_test() -> dict[str, str]:
    """Return the seal of the test that runs; a command line outlives the test that it was made for."""
    return {name: os.environ[name] for name in (seal.SEALED, "PYTHONPATH") if name in os.environ}


def processes() -> list[Process]:
    """List the processes of this machine with their whole command lines; one that ends meanwhile is left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name of the program is in brackets and may itself contain brackets and blanks.
            state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
            if state != "Z":
                found.append(Process(int(folder.name), int(parent), command))
    return found


@dataclass
class Bench:
    """The command line with its own home."""

    home: Path
    environment: dict[str, str]
    #: The program that Python runs; a test that shortens a time-out or turns the clock gives its own program.
    program: tuple[str, ...] = ("-m", "harness")

    def popen(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """Start a command and return its process."""
        return subprocess.Popen(
            [sys.executable, *self.program, "--home", str(self.home), *map(str, arguments)],
            cwd=ROOT,
            env=self.environment | _seal_of_the_test(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def __call__(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command, check its exit code and that it shows no traceback."""
        process = self.popen(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"exit {process.returncode}, expected {code}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def json(self, *arguments: object, code: int = 0) -> Any:
        """Run a command with --json and return its document."""
        return json.loads(self(*arguments, "--json", code=code).stdout)


@pytest.fixture(scope="session")
def new_bench() -> Callable[[Path], Bench]:
    """Return a function that makes a command line with its own home, for runs that several tests look at."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    environment.pop(seal.SEALED, None)
    return lambda home: Bench(home, {**environment, "BENCH_BASE_IMAGE": BASE_TAG})


@pytest.fixture
def bench(tmp_path: Path, new_bench: Callable[[Path], Bench]) -> Bench:
    """Return the command line with an empty home."""
    return new_bench(tmp_path / "home")


@pytest.fixture(scope="session")
def base_image() -> str:
    """Build, once, a base image that holds what the SDK needs, so that the images of tests are two layers each."""
    import docker

    client = docker.from_env(timeout=120)
    # Two processes that build at once would make two images, and the tag would move below the first.
    with (Path(tempfile.gettempdir()) / f"{BASE_TAG.replace(':', '-')}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            client.images.build(
                path=str(ROOT / "plugins" / "known_answer"),
                dockerfile=str(ROOT / "tests" / "e2e" / "plugins" / "base.Dockerfile"),
                tag=BASE_TAG,
                rm=True,
                forcerm=True,
            )
        finally:
            client.close()
    return BASE_TAG


#: Settings of Podman on a machine without systemd whose cgroups may be of the first version.
_PODMAN = {
    "storage.conf": '[storage]\ndriver = "overlay"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/store"\n',
    "containers.conf": """[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
tmp_dir = "{folder}/libpod"
""",
}


def require_or_skip(problem: str) -> None:
    """Skip a test for what the machine lacks; where engines are required, as in CI, that is a failure."""
    if problem and os.environ.get("BENCH_REQUIRE_ENGINES"):
        pytest.fail(problem)
    if problem:
        pytest.skip(problem)


@pytest.fixture(scope="session")
def podman(base_image: str) -> Iterator[str]:
    """Start Podman's service with storage of its own, and the tests' base image in it; return its address."""
    lacking = [name for name in ("podman", "catatonit", "runc") if not shutil.which(name, path="/usr/bin:/usr/sbin")]
    require_or_skip(f"{', '.join(lacking)} not installed" if lacking else "")
    require_or_skip("" if os.getuid() == 0 else "Podman with limits needs root where cgroups are not delegated")
    # Not below pytest's folder: its storage is a mount, which has to go before the folder can.
    folder = Path(tempfile.mkdtemp(prefix="groundbench-podman-"))
    for name, text in _PODMAN.items():
        (folder / name).write_text(text.format(folder=folder))
    environment = {
        **os.environ,
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
    }
    socket = folder / "service"
    service = None
    try:
        saved = folder / "base.tar"
        save_image(base_image, saved)
        subprocess.run(["/usr/bin/podman", "load", "-q", "-i", saved], env=environment, check=True, capture_output=True)
        with (folder / "log").open("w") as log:
            command = ["/usr/bin/podman", "system", "service", "--time=0", f"unix://{socket}"]
            service = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not socket.exists():
            if service.poll() is not None or time.monotonic() > deadline:
                pytest.fail((folder / "log").read_text())
            time.sleep(0.05)
        yield f"unix://{socket}"
    finally:
        if service is not None:
            service.terminate()
            service.wait(30)
        subprocess.run(["umount", "-l", folder / "store" / "overlay"], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def apptainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder for PATH with a stand-in for Apptainer, which bubblewrap carries out."""
    lacking = [name for name in ("bwrap", "setpriv") if not shutil.which(name, path="/usr/bin")]
    require_or_skip(f"{', '.join(lacking)} not installed" if lacking else "")
    folder = tmp_path_factory.mktemp("apptainer")
    store = folder / secrets.token_hex(4)
    store.mkdir()
    program = folder / "bin" / "apptainer"
    program.parent.mkdir()
    stand_in = ROOT / "tests" / "standins" / "apptainer.py"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in} {store} "$@"\n')
    program.chmod(0o755)
    yield program.parent
    # What a stand-in that was killed could not remove.
    for place in (Path(tempfile.gettempdir()), Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*")):
        for left in place.glob(f"apptainer-{store.name}-*"):
            with contextlib.suppress(OSError):
                left.rmdir()


def save_image(image: str, path: Path) -> None:
    """Write an image of the Docker daemon to a file."""
    import docker

    client = docker.from_env(timeout=120)
    try:
        with path.open("wb") as file:
            for chunk in client.images.get(image).save(named=image):
                file.write(chunk)
    finally:
        client.close()


#: The CPU build of torch that containers of the tests compute with.
TORCH = "torch==2.13.0"


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home in which ``tiny`` was built for the CPU."""
    return tmp_path_factory.mktemp("tiny") / "home"


@pytest.fixture(scope="session")
def tiny_image(tiny_home: Path, new_bench: Callable[[Path], Bench], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the image of ``tiny``, with the CPU wheel of torch that pip finds; needs an index of CPU builds.

    pip has to be pointed to such an index where its own has CUDA builds only: ``PIP_INDEX_URL``, or pip's
    configuration.
    """
    wheels = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--dest", str(wheels), TORCH], check=True, capture_output=True, text=True)
    (wheel,) = wheels.iterdir()
    if wheel.stat().st_size > 400 * 2**20:
        pytest.skip(f"{wheel.name} is not a CPU build; point pip to an index that has one")
    bench = new_bench(tiny_home)
    bench.environment.pop("BENCH_BASE_IMAGE", None)
    (built,) = bench.json("build", "--plugin", "tiny", "--device", "cpu", "--wheels", wheels)["images"]
    return str(built["tag"])


@pytest.fixture(scope="session")
def _slurm_node() -> Iterator[slurm_node.SlurmNode]:
    """Start a Slurm of one node for this session, and end it with all that its jobs left."""
    assert not slurm_node.problem(), slurm_node.problem()
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # a socket's path is short
    node = slurm_node.SlurmNode(folder)
    try:
        node.start()
        yield node
    finally:
        node.stop()
        shutil.rmtree(folder)


@pytest.fixture
def slurm(_slurm_node: slurm_node.SlurmNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[slurm_node.SlurmNode]:
    """Return a Slurm of one node with two stand-in GPUs and no jobs; this process and its commands find it."""
    for name, value in _slurm_node.environment.items():
        monkeypatch.setenv(name, value)
    yield _slurm_node
    _slurm_node.clear()


def write_dataset(folder: Path, cases: int, shape: tuple[int, int, int] = (24, 20, 16)) -> Path:
    """Write a data set of noise with box-shaped findings; every case is in the test split and has two findings."""
    import nibabel as nib
    import numpy as np

    (folder / "ct").mkdir(parents=True)
    (folder / "seg").mkdir()
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    entries = []
    for number in range(1, cases + 1):
        name = f"toy_{number}_a_1.nii.gz"
        random = np.random.default_rng(number)
        volume = random.normal(-800, 60, shape).astype(np.int16)
        truth = np.zeros((2, *shape), np.uint8)
        truth[0, 2:8, 3:9, 4:10] = 1
        truth[1, 10:14, 5:9, 2:6] = 1
        truth[1, 16:20, 5:9, 8:12] = 2
        nib.save(nib.Nifti1Image(volume, affine), folder / "ct" / name)
        nib.save(nib.Nifti1Image(truth, np.eye(4)), folder / "seg" / name)
        entries.append(
            {
                "name": name,
                "findings": {"0": "A box in the right lung", "1": "Two boxes in the left lung"},
                "entity_counts": {"0": 1, "1": 2},
                "shape": list(shape),
                "pixels": {str(f): int((truth[f] > 0).sum()) for f in range(2)},
                "categories": {"0": "2d", "1": "1c"},
                "protocol": "protocol1",
            }
        )
    (folder / "dataset.json").write_text(json.dumps({"train": [], "val": [], "test": entries}))
    return folder


@pytest.fixture(scope="session")
def dataset_writer() -> Callable[..., Path]:
    """Return `write_dataset`, for runs that several tests look at."""
    return write_dataset


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small data set."""

    def make(cases: int = 3, name: str = "toy", **options: Any) -> Path:
        return write_dataset(tmp_path / name, cases, **options)

    return make


_SPLITS = {"train": 4, "val": 1, "test": 2}
_TEXTS = {"0": "A box in the right lung", "1": "Two boxes in the left lung"}


def write_splits(folder: Path, names: Callable[[int], str] = lambda n: f"toy_{n}_a_1") -> Path:
    """Write a data set whose findings have a value each in the CT, so that what was learnt answers exactly."""
    import nibabel as nib
    import numpy as np

    (folder / "ct").mkdir(parents=True)
    (folder / "seg").mkdir()
    index: dict[str, list[dict[str, object]]] = {split: [] for split in _SPLITS}
    number = 0
    for split, count in _SPLITS.items():
        for _ in range(count):
            number += 1
            name, shape = f"{names(number)}.nii.gz", (12, 10, 8)
            volume = np.random.default_rng(number).normal(-800, 60, shape).astype(np.int16)
            truth = np.zeros((2, *shape), np.uint8)
            truth[0, 2:5, 3:6, number % 4 : 4 + number % 4] = 1
            truth[1, 7:9, 5:9, 2:6] = 1
            volume[truth[0] > 0], volume[truth[1] > 0] = 100, -200
            nib.save(nib.Nifti1Image(volume, np.diag([-2.0, -2.0, 3.0, 1.0])), folder / "ct" / name)
            nib.save(nib.Nifti1Image(truth, np.eye(4)), folder / "seg" / name)
            index[split].append({"name": name, "findings": _TEXTS, "categories": {"0": "2d", "1": "1c"}})
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="session")
def splits_writer() -> Callable[..., Path]:
    """Return `write_splits`, for what is trained."""
    return write_splits


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 300 MiB; a tmpfs would count as the container's memory."""
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder, image = tmp_path / "small", tmp_path / "image"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(300 * 2**20)
    for command in (["mkfs.ext4", "-q", "-m", "0", image], ["mount", "-o", "loop", image, folder]):
        ended = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        if ended.returncode:
            pytest.skip(f"cannot make a small file system here: {ended.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what every attack and every fault came to, and how many were withstood."""
    for kind in ("attack", "fault"):
        rows = sorted(_outcomes(terminalreporter, kind))
        if rows:
            terminalreporter.section(f"{kind}s")
            width = max(len(name) for name, _, _ in rows)
            for name, outcome, _ in rows:
                terminalreporter.write_line(f"{name:<{width}}  {outcome}")
            withstood = sum(good for _, _, good in rows)
            terminalreporter.write_line(f"{len(rows)} {kind}s, {withstood} withstood, {len(rows) - withstood} not")


def _outcomes(reporter: pytest.TerminalReporter, kind: str) -> Iterator[tuple[str, str, bool]]:
    """Yield (name, outcome, withstood) from the properties that tests recorded with ``record_property``."""
    for result in ("passed", "failed", "error", "xfailed"):
        for report in reporter.stats.get(result, []):
            properties = dict(getattr(report, "user_properties", ()))  # an error while collecting has none
            if kind in properties:
                outcome = properties.get("outcome", "") if result == "passed" else f"NOT WITHSTOOD ({result})"
                yield properties[kind], outcome, result == "passed"
