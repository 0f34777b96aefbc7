"""A run on other hosts is planned from content: the image from archives, weights and checkpoints as copies."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import DataError, PrerequisiteError, UsageError
from harness.images.build import Image
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs import remote
from harness.runs.remote import _each, _shared_checkpoint, _shared_weights, find_image
from harness.runs.run_weights import Loaded

if TYPE_CHECKING:
    from harness.runs.checkpoint import Checkpoint
    from harness.runs.plan import RunRequest

PLUGIN = Plugin(Model("m", "M", "A model.", "1", Path("/"), variants=(Variant("v"),)), "here")


def _loaded(path: Path, content: bytes = b"weights") -> Loaded:
    return Loaded("pinned", ((path.name, path, hashlib.sha256(content).hexdigest()),))


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the model's build context a digest without reading anything."""
    digest = {True: "c" * 64, False: "d" * 64}
    monkeypatch.setattr(remote, "context_of", lambda *_, gpus: SimpleNamespace(digest=lambda: digest[gpus]))


def _record(plugin: str, context: str, number: int) -> Any:
    return SimpleNamespace(plugin=plugin, context=context, config=f"sha256:{number}", device="cpu")


@pytest.mark.usefixtures("context")
def test_an_image_is_found_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's, of the code and the build of torch that are asked for; the newest of several. No engine is asked."""
    found = [
        _record("other", "c" * 64, 0),
        _record("m", "d" * 64, 1),
        _record("m", "c" * 64, 2),
        _record("m", "c" * 64, 3),
    ]
    monkeypatch.setattr(remote, "records", lambda _: found)
    monkeypatch.setattr(remote, "answering_engine", lambda: pytest.fail("an engine was asked"))
    image = find_image(PLUGIN, tmp_path, home=tmp_path, gpus=True, log=print)
    assert (image.id, image.device) == ("sha256:2", "cpu")
    assert find_image(PLUGIN, tmp_path, home=tmp_path, gpus=False, log=print).id == "sha256:1"


@pytest.mark.usefixtures("context")
def test_an_image_that_is_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an engine here the command for a machine with one is told; with one it is built and written."""

    def refuse() -> None:
        raise PrerequisiteError("no daemon", fix="start it")

    monkeypatch.setattr(remote, "answering_engine", refuse)
    with pytest.raises(PrerequisiteError, match="no engine answers here") as raised:
        find_image(PLUGIN, tmp_path / "images", home=tmp_path, gpus=False, log=print)
    assert raised.value.fix.startswith(f"`bench images export --plugin m --device cpu {tmp_path / 'images'}`")

    class Engine:
        def prepare(self, plugin: Plugin, **_: Any) -> Image:
            return Image("sha256:here", "groundbench/m:1", 5, "cpu")

        def export(self, image: Image, folder: Path) -> Any:
            assert folder == tmp_path / "images"
            return SimpleNamespace(config="sha256:content")

    monkeypatch.setattr(remote, "answering_engine", Engine)
    image = find_image(PLUGIN, tmp_path / "images", home=tmp_path, gpus=False, log=print)
    assert image == Image("sha256:content", "groundbench/m:1", 5, "cpu")


def test_weights_are_copied_once_and_checked(tmp_path: Path) -> None:
    """What hosts do not see lies in the shared folder by its digest; the run's identity stays the same."""
    home, shared = tmp_path / "home", tmp_path / "shared"
    home.mkdir()
    (home / "w.pt").write_bytes(b"weights")
    loaded, said = _loaded(home / "w.pt"), list[str]()
    there = _shared_weights(loaded, shared, said.append)
    (_, path, digest) = there.files[0]
    assert path == shared / "weights" / digest / "w.pt"
    assert (path.read_bytes(), path.stat().st_mode & 0o444) == (b"weights", 0o444)
    assert there.identity == loaded.identity
    assert _shared_weights(loaded, shared, said.append) == there
    assert len(said) == 1
    (shared / "x.pt").write_bytes(b"weights")
    inside = _loaded(shared / "x.pt")
    assert _shared_weights(inside, shared, said.append) == inside
    with pytest.raises(DataError, match="changed while it was copied"):
        _shared_weights(_loaded(home / "w.pt", b"other"), shared, said.append)
    assert not list(shared.glob("weights/*/.partial-*"))


def test_a_checkpoint_is_copied_whole(tmp_path: Path) -> None:
    """By its digest, and once."""
    folder, shared = tmp_path / "home" / "checkpoint", tmp_path / "shared"
    folder.mkdir(parents=True)
    shared.mkdir()
    (folder / "model.pt").write_bytes(b"trained")
    checkpoint = cast("Checkpoint", _Checkpoint(folder))
    there = _shared_checkpoint(checkpoint, shared, print)
    assert there.folder == shared / "checkpoints" / "5"
    assert (there.folder / "model.pt").read_bytes() == b"trained"
    assert _shared_checkpoint(checkpoint, shared, lambda _: pytest.fail("copied again")) == there
    assert _shared_checkpoint(there, shared, print) is there
    assert [path.name for path in (shared / "checkpoints").iterdir()] == ["5"]


def _Checkpoint(folder: Path) -> Any:  # noqa: N802 - stands for the class
    from harness.runs.checkpoint import Checkpoint

    return Checkpoint("k", folder, "5", {})


@pytest.mark.parametrize(("asked", "needed", "each"), [(0, 2, 0), (2, 2, 2), (4, 1, 1)])
def test_gpus_of_a_container(asked: int, needed: int, each: int) -> None:
    """As the model declares; without --gpus it computes on the CPU."""
    model = replace(PLUGIN.model, resources=Resources(gpus=needed))
    request = cast("RunRequest", SimpleNamespace(gpus=asked, gpus_each=max(1, model.resources.gpus)))
    assert _each(request) == each


def test_fewer_gpus_than_a_container_needs() -> None:
    """Planned without any GPU here, and refused all the same."""
    with pytest.raises(UsageError, match="needs 2 GPUs, 1 requested"):
        _each(cast("RunRequest", SimpleNamespace(gpus=1, gpus_each=2)))
