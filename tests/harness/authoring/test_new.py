"""What ``bench plugin new`` writes works as it stands: it is declared, tested, packed and run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harness.authoring.new import NewPlugin, write_plugin
from harness.errors import UsageError
from harness.images.context import SDK_PATH, BuildContext
from harness.images.torch import cuda_build
from harness.registry.declaration import Prompt
from harness.registry.discovery import Plugin, discover
from harness.upstream.sources import SourceStore

ROOT = Path(__file__).resolve().parents[3]
KINDS = {
    "text": NewPlugin("my-text"),
    "box": NewPlugin("my-box", prompt="box"),
    "trainable": NewPlugin("my-trainable", trainable=True),
    "torch": NewPlugin("my-torch", prompt="box", torch=True, trainable=True),
    "another image": NewPlugin("my-image", image="docker.io/library/python:3.11-slim-bookworm"),
    "no SDK": NewPlugin("my-program", sdk=False),
    "no SDK, box, another image": NewPlugin("my-other", prompt="box", sdk=False, image="python:3.11-slim-bookworm"),
}


def _plugin(new: NewPlugin, folder: Path) -> Plugin:
    registry = discover((write_plugin(new, folder / new.name),))
    assert registry.broken == []
    return registry.get(new.name)


@pytest.mark.parametrize("new", KINDS.values(), ids=KINDS)
def test_it_is_declared(new: NewPlugin, tmp_path: Path) -> None:
    """The folder is found, says what was asked for, and states the origin of every number."""
    model = _plugin(new, tmp_path).model
    assert {variant.prompt for variant in model.variants} == {Prompt(new.prompt)}
    assert [variant.fine_tuned for variant in model.variants] == [False, True][: 1 + new.trainable]
    assert model.licence == "Apache-2.0"
    assert all(origin for variant in model.variants for origin in variant.origins.values())
    context = BuildContext(Plugin(model, "test"), SourceStore(tmp_path), cuda_build())
    assert context.uses_torch is new.torch
    assert (context.base is None) is bool(new.image)


@pytest.mark.parametrize("new", KINDS.values(), ids=KINDS)
def test_it_reads_as_we_write(new: NewPlugin, tmp_path: Path) -> None:
    """No line is too long, nothing is unused, and the formatter would change nothing."""
    folder = write_plugin(new, tmp_path / new.name)
    code = ["--line-length", "120", "--no-cache", str(folder)]
    for command in (["check", "--select", "E,F,I,W,UP,B,SIM", *code], ["format", "--check", *code]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "{{" not in text.replace("${{ vars", "")
            assert text.endswith("\n")
            assert not text.endswith("\n\n")
            assert path.suffix == ".lock" or max(map(len, text.splitlines())) <= 120, path


@pytest.mark.costly
@pytest.mark.parametrize("kind", ["text", "box", "trainable"])
def test_its_own_test_passes(kind: str, tmp_path: Path) -> None:
    """The test runs the adapter through the files of the contract; the mask is not where nothing was asked for."""
    folder = write_plugin(KINDS[kind], tmp_path / "plugin")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SDK_PATH)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.costly
def test_its_wheel_holds_what_its_image_copies(tmp_path: Path) -> None:
    """Packed by its own pyproject.toml, nothing is dropped, and no name of ours is in it."""
    new = KINDS["no SDK"]
    folder = write_plugin(new, tmp_path / "plugin")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*command, str(folder)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
        (entry,) = (name for name in packed.namelist() if name.endswith("entry_points.txt"))
        assert packed.read(entry).decode() == "[groundbench.plugins]\nmy-program = my_program\n"
    assert names == {f"my_program/{path.name}" for path in (folder / "my_program").iterdir()}


@pytest.mark.costly
@pytest.mark.parametrize("kind", ["text", "trainable"])
def test_it_scores_above_zero(kind: str, tmp_path: Path) -> None:
    """Its command runs on the phantom at once, every finding is answered, and some are found."""
    new = KINDS[kind]
    folder = write_plugin(new, tmp_path / "plugin")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    bench = [sys.executable, "-m", "harness", "--home", str(tmp_path / "home")]
    phantom = [*bench, "data", "phantom", str(tmp_path / "phantom"), "--cases", "5", "--size", "small"]
    subprocess.run(phantom, check=True, capture_output=True, env=environment, cwd=ROOT)
    run = [*bench, "run", "--plugin-dir", str(folder), "--plugin", new.name, "--dataset", str(tmp_path / "phantom")]
    run += ["--engine", "local", "--json"]
    for variant in ["zero-shot", "fine-tuned"][: 1 + new.trainable]:
        done = subprocess.run(
            [*run, "--variant", variant], check=False, capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        assert set(shown["coverage"]) == {"ok"}
        assert shown["metrics"]["dice"]["all"]["value"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "My-Model"}, "lower-case letters"),
        ({"name": "../evil"}, "lower-case letters"),
        ({"name": "plugins"}, "another one's name"),
        ({"name": "json"}, "another one's name"),
        ({"name": "class"}, "another one's name"),
        ({"name": "3d-unet"}, "another one's name"),
        ({"name": "one", "trainable": True, "sdk": False}, "--trainable needs the SDK"),
        ({"name": "one", "torch": True, "image": "x"}, "--torch is a base image of ours"),
        ({"name": "one", "image": "x\nRUN evil"}, "not the name of an image"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], said: str) -> None:
    """With the reason, and before anything is written."""
    with pytest.raises(UsageError, match=said):
        NewPlugin(**options)  # type: ignore[arg-type]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder that holds something stays as it is; nothing is left beside it."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not empty"):
        write_plugin(NewPlugin("one"), tmp_path / "one")
    assert [path.name for path in tmp_path.rglob("*")] == ["one", "mine.txt"]
    (tmp_path / "two").mkdir()
    assert write_plugin(NewPlugin("two"), tmp_path / "two") == tmp_path / "two"
