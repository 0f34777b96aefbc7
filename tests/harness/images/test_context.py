"""What an image is made from: the same content gives the same bytes, and everything that matters is in the digest."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.errors import DataError, ModelError, PrerequisiteError, UsageError
from harness.images.context import BuildContext, written_dockerfile
from harness.images.torch import choose, chosen, cpu_build, cpu_requirements, cuda_build, download_wheels
from harness.registry.declaration import Model
from harness.registry.discovery import Plugin
from harness.registry.pinned import Source, Weights
from harness.upstream.sources import SourceStore
from harness.upstream.trees import LINK, TreeFile, tree_hash, write_tree


def make_wheel(folder: Path, name: str, version: str, content: str = "") -> Path:
    """Write a wheel of one module; pip installs it like any other."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": content or f"__version__ = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(zipfile.ZipInfo(file), text)
    return path


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Return a plugin with a module, a test and a source."""
    root = tmp_path / "plugin"
    (root / "tests").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\nCOPY torch/ /opt/torch/\n")
    (root / "adapter.py").write_text("pass\n")
    (root / "tests" / "test.py").write_text("left out\n")
    (tmp_path / "tree").mkdir()
    write_tree([TreeFile("pkg/a.py", 0o100644, b"x"), TreeFile("pkg/link", LINK, b"./a.py")], tmp_path / "tree")
    source = Source("upstream", "https://example.org/a", "1" * 40, "MIT", tree_hash(tmp_path / "tree"))
    return Plugin(Model("mine", "Mine", "Does.", "1", root, sources=(source,)), "test")


@pytest.fixture
def store(plugin: Plugin, tmp_path: Path) -> SourceStore:
    """Return a store that holds the plugin's source."""
    store = SourceStore(tmp_path / "home" / "sources")
    folder = store.folder(plugin.model.sources[0])
    folder.parent.mkdir(parents=True)
    shutil.copytree(tmp_path / "tree", folder, symlinks=True)
    return store


def _names(context: BuildContext, tmp_path: Path) -> dict[str, tarfile.TarInfo]:
    with context.packed(tmp_path) as file, tarfile.open(fileobj=file) as tar:
        return {member.name: member for member in tar}


def test_the_context_holds_what_the_image_is_made_from(plugin: Plugin, store: SourceStore, tmp_path: Path) -> None:
    """Own files, the SDK, sources with their links, the lock of torch; every folder has its own entry."""
    names = _names(BuildContext(plugin, store, cuda_build()), tmp_path)
    assert {"Dockerfile", "adapter.py", "sdk/groundbench_sdk/adapter.py", "torch/torch.lock"} <= set(names)
    assert names["sources/upstream/pkg/link"].linkname == "./a.py"
    assert not [name for name in names if "test.py" in name]
    folders = {str(parent) for name in names for parent in Path(name).parents if str(parent) != "."}
    assert all(names[folder].isdir() for folder in folders)


def test_the_same_content_gives_the_same_bytes(plugin: Plugin, store: SourceStore, tmp_path: Path) -> None:
    """Times, owners and the umask with which the files were written do not count."""
    context = BuildContext(plugin, store, cuda_build())
    digests = []
    for mode in (0o644, 0o600):
        (plugin.model.root / "adapter.py").chmod(mode)
        (plugin.model.root / "adapter.py").touch()
        with context.packed(tmp_path) as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    assert digests[0] == digests[1]
    assert list(tmp_path.glob("tmp*")) == []


def test_everything_that_matters_is_in_the_digest(plugin: Plugin, store: SourceStore, tmp_path: Path) -> None:
    """A file, a source's tree, the build of torch: each changes it; the sources need not be here to tell."""
    make_wheel(tmp_path / "wheels", "torch", "9.9+cpu")
    cpu = cpu_build(tmp_path / "wheels", tmp_path / "home")
    moved = dataclasses.replace(plugin.model.sources[0], tree="2" * 40)
    digests = [BuildContext(plugin, store, torch).digest() for torch in (cuda_build(), cpu)]
    other = dataclasses.replace(plugin, model=dataclasses.replace(plugin.model, sources=(moved,)))
    digests.append(BuildContext(other, SourceStore(tmp_path / "nowhere"), cpu).digest())
    (plugin.model.root / "adapter.py").write_text("pass  # changed\n")
    digests.append(BuildContext(plugin, store, cpu).digest())
    (plugin.model.root / "Dockerfile").write_text("FROM scratch\n")
    without = [BuildContext(plugin, store, torch).digest() for torch in (cuda_build(), cpu)]
    assert without[0] == without[1]
    assert len({*digests, *without}) == 5


@pytest.mark.parametrize(("kind", "argument"), [("torch", "TORCH_IMAGE"), ("slim", "SLIM_IMAGE")])
def test_a_dockerfile_may_continue_a_base_image(
    kind: str, argument: str, plugin: Plugin, store: SourceStore, tmp_path: Path
) -> None:
    """Torch then lies in that image and not in the plugin's context; both kinds have the SDK."""
    (plugin.model.root / "Dockerfile").write_text(f"ARG {argument}\nFROM ${{{argument}}}\n")
    context = BuildContext(plugin, store, cuda_build())
    base = context.base
    assert base is not None
    assert (base.kind, base.argument, base.name) == (kind, argument, f"base/{kind}")
    assert context.uses_torch == base.uses_torch == (kind == "torch")
    assert "torch/torch.lock" not in _names(context, tmp_path)
    with base.packed(tmp_path) as file, tarfile.open(fileobj=file) as tar:
        names = set(tar.getnames())
    assert {"Dockerfile", "open_up.py", "sdk/groundbench_sdk/adapter.py"} <= names
    assert ("torch/torch.lock" in names) == (kind == "torch")


def test_what_lies_in_the_base_image_is_in_the_digest(plugin: Plugin, store: SourceStore, tmp_path: Path) -> None:
    """Another build of torch is another base image, and so another image; without torch it is the same one."""
    make_wheel(tmp_path / "wheels", "torch", "9.9+cpu")
    builds = (cuda_build(), cpu_build(tmp_path / "wheels", tmp_path / "home"))
    for kind, digests in (("TORCH", 2), ("SLIM", 1)):
        (plugin.model.root / "Dockerfile").write_text(f"ARG {kind}_IMAGE\nFROM ${{{kind}_IMAGE}}\n")
        contexts = [BuildContext(plugin, store, torch) for torch in builds]
        assert len({context.base.digest() for context in contexts if context.base}) == digests
        assert len({context.digest() for context in contexts}) == digests


def test_an_image_of_another_base_is_named_as_before(plugin: Plugin, store: SourceStore) -> None:
    """The word alone does not count: only a line that begins the image."""
    (plugin.model.root / "Dockerfile").write_text("# not FROM ${TORCH_IMAGE}\nARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n")
    assert BuildContext(plugin, store, cuda_build()).base is None


def test_missing_and_changed_sources_are_refused(plugin: Plugin, store: SourceStore, tmp_path: Path) -> None:
    """A build without its source says which command brings it; a changed one is not built from."""
    with (
        pytest.raises(PrerequisiteError, match="the source upstream at 111111111111 has not been fetched") as raised,
        BuildContext(plugin, SourceStore(tmp_path / "nowhere"), cuda_build()).packed(tmp_path),
    ):
        pass
    assert "bench sources fetch --name upstream" in raised.value.fix
    (store.folder(plugin.model.sources[0]) / "pkg" / "a.py").write_text("evil")
    with (
        pytest.raises(DataError, match="was changed"),
        BuildContext(plugin, store, cuda_build()).packed(tmp_path),
    ):
        pass


@pytest.mark.parametrize("name", ["sdk", "sources", "torch"])
def test_folders_of_ours_are_refused(name: str, plugin: Plugin, store: SourceStore) -> None:
    """A plugin cannot put its own files where the harness puts the SDK, the sources or torch."""
    (plugin.model.root / name).mkdir()
    (plugin.model.root / name / "file").touch()
    with pytest.raises(ModelError, match="is in the place of the harness's own files"):
        BuildContext(plugin, store, cuda_build()).digest()


def test_the_lock_is_whole() -> None:
    """Both pinned packages are there with digests, and nothing without any."""
    lock = (cuda_build().folder / "torch.lock").read_text().replace("\\\n", "")
    rows = [line.split() for line in lock.splitlines() if line and not line.startswith("#")]
    assert {"torch==2.14.1", "torchvision==0.29.1"} <= {row[0] for row in rows}
    assert all(len(row) > 1 and row[1].startswith("--hash=sha256:") for row in rows)


def test_cpu_wheels_take_the_place_of_the_cuda_build(tmp_path: Path) -> None:
    """The lock names the wheels with their digests; of the rest only what CUDA needs is gone."""
    wheel = make_wheel(tmp_path / "wheels", "torch", "9.9+cpu")
    make_wheel(tmp_path / "wheels", "typing_extensions", "9.1")
    build = cpu_build(tmp_path / "wheels", tmp_path / "home")
    rows = (build.folder / "torch.lock").read_text().splitlines()
    assert f"torch==9.9+cpu --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" in rows
    names = [row.split("==")[0] for row in rows[1:]]
    assert len(set(names)) == len(names)
    assert {"torch", "typing-extensions", "numpy", "sympy", "filelock"} <= set(names)
    assert not [name for name in names if name.startswith(("nvidia-", "cuda-", "triton", "torchvision"))]
    assert (build.folder / "wheels" / wheel.name).read_bytes() == wheel.read_bytes()
    assert cpu_build(tmp_path / "wheels", tmp_path / "home") == build


def test_a_folder_without_torch_is_refused(tmp_path: Path) -> None:
    """The message says what fetches a wheel."""
    make_wheel(tmp_path / "wheels", "numpy", "1")
    with pytest.raises(UsageError, match="does not contain a wheel of torch"):
        cpu_build(tmp_path / "wheels", tmp_path / "home")


def test_runs_use_the_build_that_was_chosen(plugin: Plugin, tmp_path: Path) -> None:
    """The CPU build counts for runs without GPUs until the CUDA one is built again; when it is gone the fix is said."""
    home = tmp_path / "home"
    assert chosen(plugin, home, gpus=False) == cuda_build()
    make_wheel(tmp_path / "wheels", "torch", "9.9+cpu")
    cpu = cpu_build(tmp_path / "wheels", home)
    with pytest.raises(RuntimeError), choose(plugin, cpu, home):
        raise RuntimeError
    assert chosen(plugin, home, gpus=False) == cuda_build()
    with choose(plugin, cpu, home):
        pass
    assert chosen(plugin, home, gpus=False) == cpu
    with pytest.raises(RuntimeError), choose(plugin, cuda_build(), home):
        raise RuntimeError
    assert chosen(plugin, home, gpus=False) == cpu
    assert chosen(plugin, home, gpus=True) == cuda_build()
    shutil.rmtree(cpu.folder)
    with pytest.raises(DataError, match="names a CPU build of torch that is missing"):
        chosen(plugin, home, gpus=False)
    with choose(plugin, cuda_build(), home):
        pass
    assert chosen(plugin, home, gpus=False) == cuda_build()


@pytest.mark.costly
def test_an_index_gives_the_wheels(tmp_path: Path) -> None:
    """A simple index on this machine delivers the locked versions' CPU builds to pip."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("this Python has no pip")
    for requirement in cpu_requirements():
        name, version = requirement.split("==")
        make_wheel(tmp_path / "simple" / name, name, version)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "simple"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            index = f"http://127.0.0.1:{server.server_port}/"
            download_wheels(index, cpu_requirements(), tmp_path / "got")
            with pytest.raises(PrerequisiteError, match=r"torch==1\.0\+cpu could not be downloaded from"):
                download_wheels(index, ["torch==1.0+cpu"], tmp_path / "got")
        finally:
            server.shutdown()
            thread.join()
    assert cpu_build(tmp_path / "got", tmp_path / "home").device == "cpu"


def test_weights_beside_the_plugin_are_not_part_of_the_image(
    plugin: Plugin, store: SourceStore, tmp_path: Path
) -> None:
    """They are mounted: their content changes neither the context nor its digest, and may be larger than a plugin."""
    beside = Weights.beside("weights.bin", "a" * 64, 5, licence="MIT")
    declared = dataclasses.replace(plugin, model=dataclasses.replace(plugin.model, weights=(beside,)))
    before = BuildContext(declared, store, cuda_build()).digest()
    (plugin.model.root / "weights.bin").write_bytes(b"large")
    context = BuildContext(declared, store, cuda_build())
    assert context.digest() == before
    assert "weights.bin" not in _names(context, tmp_path)
    assert "weights.bin" in _names(BuildContext(plugin, store, cuda_build()), tmp_path)


def test_a_plugin_without_a_dockerfile_gets_one(tmp_path: Path) -> None:
    """It continues the base image, installs the lock, copies the plugin's files, and is part of the identity."""
    root = tmp_path / "plugin"
    (root / "words").mkdir(parents=True)
    for name in ("adapter.py", "a file.json", "words/de.txt", "plugin.toml", "requirements.in", "model.pt"):
        (root / name).write_text(name)
    (root / "requirements.lock").write_text("numpy==2.4.6 --hash=sha256:0\n")
    weights = Weights.beside("model.pt", "0" * 64, 8, licence="MIT")
    model = Model("mine", "Mine", "Does.", "1", root, adapter="adapter:Mine", weights=(weights,))

    def context(model: Model) -> BuildContext:
        return BuildContext(Plugin(model, "test"), SourceStore(tmp_path / "sources"), cuda_build())

    slim = context(model)
    assert slim.base is not None
    assert slim.base.kind == "slim"
    with slim.packed(tmp_path) as packed, tarfile.open(fileobj=packed) as tar:
        written = tar.extractfile("Dockerfile")
        assert written is not None
        lines = written.read().decode().splitlines()
        assert "model.pt" not in tar.getnames()
    assert lines == [
        "ARG SLIM_IMAGE",
        "FROM ${SLIM_IMAGE}",
        "",
        "COPY requirements.lock /opt/",
        "RUN python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r /opt/requirements.lock",
        "",
        'COPY ["a file.json", "/opt/plugin/"]',
        'COPY ["adapter.py", "/opt/plugin/"]',
        'COPY ["words", "/opt/plugin/words/"]',
        'CMD ["adapter:Mine"]',
    ]
    torch = context(dataclasses.replace(model, base="torch"))
    assert torch.uses_torch
    assert (
        len({slim.digest(), torch.digest(), context(dataclasses.replace(model, adapter="adapter:Other")).digest()}) == 3
    )
    (root / "requirements.lock").unlink()
    assert "pip" not in written_dockerfile(model)
    (root / "Dockerfile").write_text("FROM scratch\n")
    assert slim.base is None, "an own one wins"
