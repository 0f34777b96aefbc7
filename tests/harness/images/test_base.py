"""An image says what it was built on: as far as the engine knew it, and never what its Dockerfile claims."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.images.base import DIGEST_LABEL, NAME_LABEL, SYSTEM_LABEL, base_labels, base_of, inherited, system_of
from harness.images.context import BuildContext
from harness.images.torch import cuda_build
from harness.registry.declaration import Model
from harness.registry.discovery import Plugin
from harness.upstream.sources import SourceStore

BASE = "python:3.11-slim-bookworm"
DIGEST = "sha256:" + "a" * 64


class Engine:
    """An engine with one image, whose containers hold a file that states its system."""

    def __init__(self, release: bytes, digests: tuple[str, ...] = ()) -> None:
        attrs = {"RepoDigests": list(digests)}
        self.images, self.api = self, self
        self._found = SimpleNamespace(id="sha256:1", attrs=attrs, labels={})
        self._release = release
        self.left: list[str] = []

    def get(self, name: str) -> Any:
        from docker.errors import ImageNotFound

        if name not in (BASE, f"python@{DIGEST}"):
            raise ImageNotFound(name)
        return self._found

    def create_container(self, image: str, command: list[str]) -> dict[str, str]:
        assert (image, command) == ("sha256:1", ["true"])
        self.left.append("c")
        return {"Id": "c"}

    def get_archive(self, container: str, path: str) -> tuple[list[bytes], dict[str, str]]:
        from docker.errors import NotFound

        if not self._release:
            raise NotFound(path)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            member = tarfile.TarInfo("os-release")
            if self._release == b"link":
                member.type, member.linkname = tarfile.SYMTYPE, "../elsewhere"
                archive.addfile(member)
                return [packed.getvalue()], {}
            if self._release == b"nothing":
                return [], {}
            member.size = len(self._release)
            archive.addfile(member, io.BytesIO(self._release))
        return [packed.getvalue()], {}

    def remove_container(self, container: str, **_: bool) -> None:
        self.left.remove(container)


def _labels(engine: Engine, base: str) -> dict[str, str]:
    return base_labels(cast("Any", engine), base)


DEBIAN = b'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'


def test_the_digest_is_that_of_the_name_itself() -> None:
    """An image may be known by several names; the digest under another registry's name may be another manifest's."""
    engine = Engine(DEBIAN, (f"host.example/copy@sha256:{'b' * 64}", f"python@{DIGEST}"))
    labels = _labels(engine, BASE)
    assert labels == {NAME_LABEL: BASE, DIGEST_LABEL: DIGEST, SYSTEM_LABEL: "Debian GNU/Linux 12 (bookworm)"}
    image = cast("Any", SimpleNamespace(labels=labels))
    assert (base_of(image), system_of(image)) == (f"{BASE}@{DIGEST}", "Debian GNU/Linux 12 (bookworm)")
    assert engine.left == []


@pytest.mark.parametrize("name", ["localhost/python", "host.example/python", "docker.io/other/python"])
def test_a_digest_under_another_name_is_not_the_bases(name: str) -> None:
    """Podman names what was loaded from a file with a digest of its own; the default registry has two spellings."""
    assert _labels(Engine(DEBIAN, (f"{name}@sha256:{'b' * 64}",)), BASE)[DIGEST_LABEL] == ""
    assert _labels(Engine(DEBIAN, (f"docker.io/library/python@{DIGEST}",)), BASE)[DIGEST_LABEL] == DIGEST


def test_a_base_that_is_pinned_is_named_once() -> None:
    """``name@sha256:…`` is a name already."""
    labels = _labels(Engine(DEBIAN, (f"python@{DIGEST}",)), f"python@{DIGEST}")
    assert labels[DIGEST_LABEL] == DIGEST
    assert base_of(cast("Any", SimpleNamespace(labels=labels))) == f"python@{DIGEST}"


@pytest.mark.parametrize(
    ("release", "system"),
    [
        (b"", ""),
        (b"NAME=x\n", ""),
        (b"link", ""),
        (b"nothing", ""),
        (b"PRETTY_NAME=Alpine\n", "Alpine"),
        (b"PRETTY_NAME='A B'\n", "A B"),
        (b'PRETTY_NAME="\x1b[2J"\n', ""),
        (b'PRETTY_NAME="' + b"x" * 70_000 + b'"\n', ""),
    ],
)
def test_a_system_is_what_its_file_states(release: bytes, system: str) -> None:
    """No file, no name, a link, nothing, control characters, a file without end: unknown, and no container is left."""
    engine = Engine(release)
    assert _labels(engine, BASE)[SYSTEM_LABEL] == system
    assert engine.left == []


def test_what_is_not_known_is_empty_and_no_dockerfile_fills_it() -> None:
    """Made here and never pulled; not in this engine; an image that begins elsewhere. Every label is set in each."""
    assert _labels(Engine(DEBIAN), BASE)[DIGEST_LABEL] == ""
    assert _labels(Engine(DEBIAN), "other:1") == {NAME_LABEL: "other:1", DIGEST_LABEL: "", SYSTEM_LABEL: ""}
    assert set(_labels(Engine(DEBIAN), "").values()) == {""}
    assert set(inherited(cast("Any", Engine(DEBIAN)), BASE).values()) == {""}
    assert base_of(cast("Any", SimpleNamespace(labels=None))) == ""


@pytest.mark.parametrize(
    ("dockerfile", "on_base"),
    [
        ("ARG BASE_IMAGE=a\nFROM ${BASE_IMAGE}\n", True),
        ("ARG BASE_IMAGE=a\nFROM $BASE_IMAGE AS b\nRUN x\nfrom ${BASE_IMAGE}\n", True),
        ("ARG BASE_IMAGE=a\nFROM ${BASE_IMAGE} AS b\nFROM other:1\nCOPY --from=b /a /a\n", False),
        ("ARG BASE_IMAGE=a\nFROM nvidia/cuda:13\n", False),
        ("ARG SLIM_IMAGE\nFROM ${SLIM_IMAGE}\n", False),
        ("FROM ${BASE_IMAGE}:x\n", False),
    ],
)
def test_a_dockerfile_that_begins_elsewhere_is_not_said_to_be_on_the_base(
    dockerfile: str, *, on_base: bool, tmp_path: Path
) -> None:
    """The build argument is given to every Dockerfile; whether it is used is read from its stages."""
    (tmp_path / "Dockerfile").write_text(dockerfile)
    plugin = Plugin(Model("mine", "Mine", "Does.", "1", tmp_path), "test")
    assert BuildContext(plugin, SourceStore(tmp_path), cuda_build()).begins_with_base is on_base
