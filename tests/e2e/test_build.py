"""A real image from a real source: `bench build` in a daemon, its labels, what a failure leaves, and a run on it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.images.torch import _locked
from tests.harness.images.test_context import make_wheel

if TYPE_CHECKING:
    from tests.conftest import Bench

URL = "https://example.org/upstream.git"
WEIGHTS = b"the released weights\n"
DECLARATION = """
from pathlib import Path
from harness import Model, Resources, Source, Variant, Weights, hookimpl

@hookimpl
def bench_models():
    source = Source("upstream", {url!r}, {commit!r}, "MIT", {tree!r})
    weights = Weights("a.bin", "owner/name", "a.bin", "", {digest!r}, {size}, "MIT")
    return [Model(
        name="built", title="Built", summary="Uses a source.", version="3.2.1", root=Path(__file__).parent,
        variants=(Variant("one", weights=("a.bin",)),), sources=(source,), weights=(weights,), licence="Apache-2.0",
        resources=Resources(memory_gb=0.5, cpus=1.0),
    )]
"""
DOCKERFILE = """
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}
ENV PIP_NO_INDEX=1
COPY torch/ /opt/torch/
RUN python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r /opt/torch/torch.lock
COPY sources/upstream/pkg /opt/upstream/pkg
COPY sdk/ /opt/sdk/
COPY adapter.py /opt/plugin/
ENV PYTHONPATH=/opt/sdk:/opt/plugin:/opt/upstream
USER 10001:10001
ENTRYPOINT ["python", "-m", "groundbench_sdk", "adapter:Built"]
"""
ADAPTER = """
import json, os
import numpy as np
import pkg, torch
from groundbench_sdk import Adapter

class Built(Adapter):
    def load(self, job):
        weights = {path.name: path.read_text() for path in job.weights.iterdir()}
        try:
            (job.weights / "a.bin").write_text("evil")
            weights["writable"] = True
        except OSError:
            pass
        said = {"pkg": pkg.VALUE, "link": pkg.LINKED, "torch": torch.__version__, "uid": os.getuid()}
        print(json.dumps({**said, "weights": weights, "mode": job.weights_mode}), flush=True)

    def predict(self, case):
        for finding in case.findings:
            yield finding.id, np.zeros(case.shape, bool)
"""

TORCH = """
__version__ = "9.9+cpu"
def manual_seed(seed):
    pass
"""

pytestmark = pytest.mark.docker


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """Return a bare repository with one commit of a package."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    work = tmp_path / "upstream"
    (work / "pkg").mkdir(parents=True)
    (work / "pkg" / "data.txt").write_text("linked")
    (work / "pkg" / "link.txt").symlink_to("data.txt")
    (work / "pkg" / "__init__.py").write_text(
        "from pathlib import Path\nVALUE = 42\nLINKED = (Path(__file__).parent / 'link.txt').read_text()\n"
    )
    _git(work, "init", "-q")
    _git(work, "add", "-A")
    _git(work, "commit", "-qm", "one")
    _git(tmp_path, "clone", "-q", "--bare", str(work), "mirror.git")
    return tmp_path / "mirror.git"


@pytest.fixture
def plugin(tmp_path: Path, mirror: Path) -> Path:
    """Return the folder of a plugin that needs the source, torch and weights."""
    folder = tmp_path / "built"
    folder.mkdir()
    pins = {"commit": _git(mirror, "rev-parse", "HEAD"), "tree": _git(mirror, "rev-parse", "HEAD^{tree}")}
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    (folder / "__init__.py").write_text(DECLARATION.format(url=URL, **pins, digest=digest, size=len(WEIGHTS)))
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "adapter.py").write_text(ADAPTER)
    return folder


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Return a folder of tiny wheels for everything that torch's lock names, so that no index is needed.

    What the SDK uses lies in the base image in the locked versions.
    """
    make_wheel(tmp_path / "wheels", "torch", "9.9+cpu", TORCH)
    for name, row in _locked():
        if not name.startswith(("nvidia-", "cuda-", "torch", "triton", "numpy", "typing-")):
            make_wheel(tmp_path / "wheels", name.replace("-", "_"), row.split(" ")[0].split("==")[1], "X = 1\n")
    return tmp_path / "wheels"


def _dangling() -> set[str]:
    command = ["docker", "images", "-q", "--filter", "dangling=true"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_build_and_run(
    base_image: str, bench: Bench, plugin: Path, mirror: Path, wheels: Path, make_dataset: Callable[..., Path]
) -> None:
    """From a mirror and wheels to a labelled image, and a run in the wall with its weights."""
    import docker

    here = ("--plugin-dir", plugin)
    build = ("build", *here, "--plugin", "built", "--device", "cpu", "--wheels", wheels)
    ended = bench(*build, code=3)
    assert "the source upstream" in ended.stderr
    assert "bench sources add --from PATH" in ended.stderr
    bench("sources", "add", *here, "--from", mirror)
    bench("sources", "verify", *here, "--plugin", "built")
    (image,) = bench.json(*build)["images"]
    client = docker.from_env()
    try:
        labels = client.images.get(image["tag"]).labels
        assert labels["org.groundbench.source.upstream"] == f"{URL}@{_git(mirror, 'rev-parse', 'HEAD')}"
        assert labels["org.opencontainers.image.revision"] == _git(mirror, "rev-parse", "HEAD")
        assert labels["org.opencontainers.image.version"] == "3.2.1"
        assert labels["org.groundbench.torch"].startswith("cpu-")
        assert labels["org.opencontainers.image.base.name"]
        assert labels["org.groundbench.system"]
        assert image["torch"] == "cpu"
        assert client.images.get(image["tag"]).attrs["Config"]["User"] == "10001:10001"
        (bench.home / "file").write_bytes(WEIGHTS)
        bench("weights", "add", *here, "--from", bench.home / "file")
        command = ("run", *here, "--plugin", "built", "--dataset", make_dataset(1), "--engine", "docker")
        document = bench.json(*command)
        shown = bench.json("results", "show", document["run"])
        assert shown["record"]["image"]["id"] == image["id"]
        assert shown["record"]["image"]["torch"] == "cpu"
        assert shown["record"]["image"]["system"] == labels["org.groundbench.system"]
        log = (bench.home / "runs" / document["run"] / shown["cases"][0]["log"]).read_text()
        said = json.loads(log.splitlines()[0])
        assert said.pop("uid") != 0
        assert said == {
            "pkg": 42, "link": "linked", "torch": "9.9+cpu", "weights": {"a.bin": WEIGHTS.decode()}, "mode": "pinned",
        }  # fmt: skip
        _buildkit(bench, plugin, wheels)
    finally:
        client.images.remove(image["tag"], force=True)
        client.close()


CONTINUED = """
ARG SLIM_IMAGE
FROM ${SLIM_IMAGE}
RUN python -c "import os, sysconfig; assert os.getuid() == 10001; open(sysconfig.get_path('purelib') + '/own.py', 'w')"
COPY *.py /opt/plugin/
CMD ["adapter:Built"]
"""
SMALL_ADAPTER = """
import os
import numpy as np
import own
from groundbench_sdk import Adapter

class Built(Adapter):
    def predict(self, case):
        assert os.getuid() != 0
        for finding in case.findings:
            yield finding.id, np.zeros(case.shape, bool)
"""


def test_a_dockerfile_continues_the_base_image(
    base_image: str, bench: Bench, plugin: Path, make_dataset: Callable[..., Path]
) -> None:
    """The base is built first, once, and brings SDK, user and entry point; the plugin's steps run without root."""
    import docker

    declaration = (plugin / "__init__.py").read_text().replace("sources=(source,)", "sources=()")
    (plugin / "__init__.py").write_text(declaration.replace('weights=("a.bin",)', "weights=()"))
    (plugin / "Dockerfile").write_text(CONTINUED)
    (plugin / "adapter.py").write_text(SMALL_ADAPTER)
    here = ("--plugin-dir", plugin)
    (image,) = bench.json("build", *here, "--plugin", "built")["images"]
    client = docker.from_env()
    try:
        config = client.images.get(image["tag"]).attrs["Config"]
        assert config["User"] == "10001:10001"
        assert config["Entrypoint"] == ["python", "-m", "groundbench_sdk"]
        assert config["Labels"]["org.groundbench.base"] == "slim"
        assert config["Labels"]["org.groundbench.plugin"] == "built"
        assert "org.groundbench.system" in config["Labels"]  # that of the base, which may be older than the label
        would = bench.json("clean", "--images", "--dry-run")
        bases = [tag for tag in would["images"] + would["left"] if "/base/slim:" in tag]
        document = bench.json("run", *here, "--plugin", "built", "--dataset", make_dataset(1), "--engine", "docker")
        assert document["coverage"]["ok"] == document["n_findings"]
        (plugin / "adapter.py").write_text(SMALL_ADAPTER + "# changed\n")
        again = bench("build", *here, "--plugin", "built")
        assert "groundbench/built:" in again.stderr
        assert "groundbench/base/slim:" not in again.stderr
        assert bases
    finally:
        for tag in {found for found in client.images.list(name="groundbench/built") for found in found.tags}:
            client.images.remove(tag, force=True)
        client.close()


def _buildkit(bench: Bench, plugin: Path, wheels: Path) -> None:
    """Build the same context with BuildKit, where there is a client for it."""
    programs = [shutil.which("docker", path=folder) for folder in os.get_exec_path()]
    for program in filter(None, programs):
        if _built_with(program, bench, plugin, wheels):
            return
    pytest.skip("all but BuildKit was tested: no docker client here has it")


def _built_with(program: str, bench: Bench, plugin: Path, wheels: Path) -> bool:
    """Return whether this client has BuildKit; when it has, the build must succeed."""
    from harness.images.context import BuildContext
    from harness.images.torch import cpu_build
    from harness.registry.discovery import discover
    from harness.upstream.sources import SourceStore

    found = discover((plugin,)).get("built")
    context = BuildContext(found, SourceStore(bench.home / "sources"), cpu_build(wheels, bench.home))
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    options = ["--build-arg", f"BASE_IMAGE={bench.environment['BENCH_BASE_IMAGE']}", "--network", "host"]
    with context.packed(bench.home) as packed:
        ended = subprocess.run(
            [program, "build", "-q", *options, "-t", "groundbench-test-buildkit", "-"],
            stdin=packed, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if "buildx" in ended.stderr:
        return False
    assert ended.returncode == 0, ended.stderr
    subprocess.run([program, "rmi", "-f", "groundbench-test-buildkit"], capture_output=True, check=True)
    return True


def test_a_failed_build_is_explained_and_goes_on(base_image: str, bench: Bench, plugin: Path, mirror: Path) -> None:
    """The last lines, what they mean, the log; finished steps keep a name until the next build is done."""
    import docker

    here = ("--plugin-dir", plugin)
    bench("sources", "add", *here, "--from", mirror)
    lines = ["ARG BASE_IMAGE", "FROM ${BASE_IMAGE}", "RUN touch /opt/step", "COPY adaptor.py /opt/plugin/"]
    (plugin / "Dockerfile").write_text("\n".join(lines))
    before = _dangling()
    ended = bench("build", *here, "--plugin", "built", code=1)
    assert "the image of plugin 'built' could not be built" in ended.stderr
    assert "adaptor.py" in ended.stderr
    assert "the Dockerfile copies a file that the context does not contain" in ended.stderr
    assert "adaptor.py" in (bench.home / "images" / "built.log").read_text()
    assert _dangling() <= before
    assert "groundbench/built:unfinished" in bench.json("clean", "--images", "--dry-run")["images"]
    (plugin / "Dockerfile").write_text("\n".join(lines).replace("adaptor", "adapter"))
    (image,) = bench.json("build", *here, "--plugin", "built")["images"]
    client = docker.from_env()
    try:
        assert image["torch"] == ""
        assert "Using cache" in (bench.home / "images" / "built.log").read_text()
        assert client.images.list(name="groundbench/built:unfinished") == []
    finally:
        client.images.remove(image["tag"], force=True)
        client.close()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--device", "cpu"], 2, "--device cpu needs a CPU build of torch, from one place"),
        (["--wheels", "."], 2, "--wheels and --torch-index need --device cpu"),
        (["--device", "cpu", "--wheels", "."], 2, "does not contain a wheel of torch"),
        (["--plugin", "nobody"], 2, "no plugin is named 'nobody'"),
    ],
)
def test_what_does_not_fit_is_refused(bench: Bench, plugin: Path, options: list[Any], code: int, said: str) -> None:
    """Options that contradict each other end before anything is built."""
    assert said in bench("build", "--plugin-dir", plugin, "--plugin", "built", *options, code=code).stderr


def test_a_full_engine_disk_is_refused(
    bench: Bench, plugin: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both numbers are in the message, and nothing was begun."""
    from harness.engines.docker import DockerEngine
    from harness.errors import PrerequisiteError
    from harness.images import build as images
    from harness.registry.discovery import discover

    monkeypatch.setattr(images, "_ROOM", 10**18)
    monkeypatch.setattr("harness.images.torch._CUDA_BYTES", 10**18)
    engine = DockerEngine()
    with pytest.raises(PrerequisiteError, match=r"about 1000000000 GB are needed in .*, [\d.]+ GB are free"):
        engine.prepare(discover((plugin,)).get("built"), home=bench.home, gpus=False, log=print)
    engine.client.close()


def test_ctrl_c_ends_a_build_at_once(
    base_image: str, bench: Bench, plugin: Path, mirror: Path, make_dataset: Callable[..., Path]
) -> None:
    """Nothing is in flight while an image is built: the first Ctrl-C ends the run, and the builder's container."""
    import docker

    here = ("--plugin-dir", plugin)
    bench("sources", "add", *here, "--from", mirror)
    steps = ["ARG BASE_IMAGE", "FROM ${BASE_IMAGE}", "RUN touch /opt/step", "RUN echo sleeping && sleep 1234"]
    (plugin / "Dockerfile").write_text("\n".join(steps))
    options = ("--dataset", make_dataset(1), "--engine", "docker", "--weights", "random")
    process = bench.popen("run", *here, "--plugin", "built", *options)
    assert process.stderr is not None
    for line in process.stderr:
        if "sleep 1234" in line:
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    client = docker.from_env()
    try:
        deadline = time.monotonic() + 30
        while found := [
            c
            for c in client.containers.list(all=True, ignore_removed=True)
            if "sleep 1234" in str(c.attrs["Config"]["Cmd"])
        ]:
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        client.images.remove("groundbench/built:unfinished")
    finally:
        client.close()
