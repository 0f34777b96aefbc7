"""An image is known by what it was built from and on, whatever its base is called in this engine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.images.build import context_of
from harness.images.context import BuildContext
from harness.images.identity import CONTEXT_LABEL, PLUGIN_LABEL, imported_tag, recognise, tag_of
from harness.images.own import OwnImages
from harness.registry.discovery import discover

BASE = "python:3.11-slim-bookworm"


class Images:
    """The images of an engine."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}

    def add(self, tag: str, layers: list[str], *, created: str = "1", **labels: str) -> Any:
        """Add an image of these layers; its id says which they are."""
        attrs = {"RootFS": {"Layers": layers}, "Created": created}
        image = SimpleNamespace(id=f"id of {'+'.join(layers)}", tags=[tag], attrs=attrs, labels=labels)
        self.known[tag] = image
        return image

    def get(self, name: str) -> Any:
        """Return an image as the client does."""
        from docker.errors import ImageNotFound

        if name not in self.known:
            raise ImageNotFound(name)
        return self.known[name]

    def list(self, filters: dict[str, str]) -> list[Any]:
        """Return those with the label; with a list of them Podman would return none."""
        name, value = filters["label"].split("=", 1)
        return [image for image in self.known.values() if image.labels.get(name) == value]


@pytest.fixture
def context(tmp_path: Path) -> BuildContext:
    """Return the context of a model that continues one of our base images."""
    return context_of(discover(()).get("oracle"), tmp_path, gpus=False)


def _labels(context: BuildContext) -> dict[str, str]:
    return {CONTEXT_LABEL: context.digest(), PLUGIN_LABEL: context.name}


def _found(images: Images, context: BuildContext) -> Any:
    return recognise(cast("Any", SimpleNamespace(images=images)), context, BASE)


def test_what_was_built_here_is_known_by_its_tag(context: BuildContext) -> None:
    """With its labels; with another base under the same name it is another tag."""
    images = Images()
    images.add(BASE, ["base"])
    tag = tag_of(cast("Any", SimpleNamespace(images=images)), context, BASE)
    built = images.add(tag, ["base", "ours"], **_labels(context))
    assert _found(images, context) is built
    images.add(BASE, ["new base"])
    assert _found(images, context) is None


def test_a_tag_alone_proves_nothing(context: BuildContext, tmp_path: Path) -> None:
    """Under our tag: without labels, of another context, on another base, or with another id than it had here."""
    for forged in (
        {"layers": ["base", "theirs"]},
        {"layers": ["base", "theirs"], CONTEXT_LABEL: "0" * 64, PLUGIN_LABEL: context.name},
        {"layers": ["theirs", "ours"], **_labels(context)},
    ):
        images = Images()
        images.add(BASE, ["base"])
        images.add(tag_of(cast("Any", SimpleNamespace(images=images)), context, BASE), **cast("Any", forged))
        assert _found(images, context) is None
    images = Images()
    images.add(BASE, ["base"])
    client = cast("Any", SimpleNamespace(images=images))
    tag, own = tag_of(client, context, BASE), OwnImages(tmp_path / "images")
    built = images.add(tag, ["base", "ours"], **_labels(context))
    own.note(tag, built.id, made=True)
    assert recognise(client, context, BASE, own) is built
    images.add(tag, ["base", "ours", "theirs"], **_labels(context))  # built from ours, whose labels it inherits
    assert recognise(client, context, BASE, own) is None


def test_what_came_without_its_base_is_known(context: BuildContext) -> None:
    """The engine has never seen the base, or has it under the same name with another id."""
    images = Images()
    came = images.add("groundbench/oracle:of-elsewhere", ["base", "ours"], **_labels(context))
    assert _found(images, context) is came
    images.add(BASE, ["base"])
    assert _found(images, context) is came


def test_what_stands_on_another_base_is_built_anew(context: BuildContext) -> None:
    """A base that was pulled anew changes the image; an import by name decides otherwise."""
    images = Images()
    came = images.add("groundbench/oracle:of-elsewhere", ["base", "ours"], **_labels(context))
    images.add(BASE, ["new base"])
    assert _found(images, context) is None
    built = images.add(
        tag_of(cast("Any", SimpleNamespace(images=images)), context, BASE), ["new base", "ours"], **_labels(context)
    )
    assert _found(images, context) is built
    images.known[imported_tag(context.name, context.digest())] = came
    assert _found(images, context) is came


@pytest.mark.parametrize("change", [{CONTEXT_LABEL: "0" * 64}, {PLUGIN_LABEL: "shifted"}])
def test_another_context_or_model_is_not_taken(change: dict[str, str], context: BuildContext) -> None:
    """Two models of one folder share their files; either has its own image."""
    images = Images()
    images.add("groundbench/x:1", ["base", "ours"], **(_labels(context) | change))
    assert _found(images, context) is None


def test_the_newest_is_taken(context: BuildContext) -> None:
    """Several of one context, on bases that nobody knows here."""
    images = Images()
    images.add("a", ["old base", "ours"], created="2025", **_labels(context))
    new = images.add("b", ["base", "ours"], created="2026", **_labels(context))
    assert _found(images, context) is new


@pytest.mark.parametrize(
    ("dockerfile", "stands_on"),
    [
        ("FROM ubuntu:24.04\nRUN x\n", "ubuntu:24.04"),
        ("FROM --platform=linux/amd64 scratch\n", "scratch"),
        ("FROM gcc AS Build\nFROM other@sha256:ab as x\n", "other@sha256:ab"),
        ("FROM gcc AS Build\nFROM build\n", ""),
        ("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n", ""),
        ("ARG SLIM_IMAGE\nFROM $SLIM_IMAGE\n", ""),
    ],
)
def test_a_dockerfile_names_the_image_that_it_stands_on(dockerfile: str, stands_on: str, tmp_path: Path) -> None:
    """That of its last stage, unless a variable or an earlier stage does."""
    assert _own(dockerfile, tmp_path).stands_on == stands_on


def _own(dockerfile: str, folder: Path) -> BuildContext:
    (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    (folder / "plugin.toml").write_text('name = "own"\ntitle = "O"\nsummary = "S"\nversion = "1"\n', encoding="utf-8")
    return context_of(discover((folder,)).get("own"), folder / "home", gpus=False)


def test_what_stands_on_an_image_of_its_own_is_known(tmp_path: Path) -> None:
    """It is not built again each time for not standing on ours; where its image was made anew, it is."""
    context, images = _own("FROM mine:1\nCOPY x y\n", tmp_path), Images()
    client = cast("Any", SimpleNamespace(images=images))
    images.add(BASE, ["base"])
    images.add("mine:1", ["theirs"])
    built = images.add(tag_of(client, context, BASE), ["theirs", "more"], **_labels(context))
    assert _found(images, context) is built
    images.add("mine:1", ["theirs"]).id = "another entry point"
    assert _found(images, context) is None
    del images.known["mine:1"]  # it came without it
    assert _found(images, context) is built
