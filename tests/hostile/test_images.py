"""Images that no engine can start, or that claim to be somebody else's: the model's fault, said in a sentence."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Bench

pytestmark = pytest.mark.docker

PLUGIN = """
from pathlib import Path
from harness import Model, Resources, hookimpl

@hookimpl
def bench_models():
    return [Model(name="strange", title="Strange", summary="Has a strange image.", version="1",
                  root=Path(__file__).parent, adapter="adapter:A", resources=Resources(memory_gb=1 / 16))]
"""

#: What the Dockerfile says, and words of the refusal. The image with a volume at / is nearly empty: the builder copies
#: all of it into the volume at every step.
IMAGES = {
    "volume-at-proc": ('VOLUME /proc/x/..\nENTRYPOINT ["true"]', "declares a volume at /proc"),
    "volume-at-root": ('FROM scratch\nCOPY Dockerfile /\nVOLUME /\nENTRYPOINT ["true"]', "declares a volume at /"),
    "volume-over-devices": ('VOLUME //dev/\nENTRYPOINT ["true"]', "declares a volume at /dev"),
    "volume-over-the-users": ('VOLUME /etc/\nENTRYPOINT ["true"]', "declares a volume at /etc"),
    "working-folder-of-a-handle": ('WORKDIR /proc/self/fd/7\nENTRYPOINT ["true"]', "declares the working folder /proc"),
    "linker-into-a-hook": ('ENV LD_PRELOAD=./hook.so\nENTRYPOINT ["true"]', "sets the variable LD_PRELOAD"),
    "nothing-to-run": ("ENTRYPOINT []\nCMD []", "does not declare a command to run"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_image_that_cannot_start(
    name: str,
    base_image: str,
    bench: Bench,
    make_dataset: Callable[..., Path],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """The run ends with 1 and names the plugin and what is wrong with its image."""
    record_property("attack", name)
    lines, words = IMAGES[name]
    folder = tmp_path / "strange"
    folder.mkdir()
    (folder / "__init__.py").write_text(PLUGIN)
    (folder / "Dockerfile").write_text(f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\n{lines}\n")
    ended = bench("run", "--plugin", "strange", "--plugin-dir", folder, "--dataset", make_dataset(1), "--engine",
                  "docker", code=1)  # fmt: skip
    assert f"the image of plugin 'strange' {words}" in ended.stderr
    record_property("outcome", f"exit 1: the image {words}")


def test_what_is_built_from_ours_is_not_ours(
    base_image: str, bench: Bench, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A second tag, an image that inherits our labels, and one that was given our tag: none is removed or used."""
    import docker

    record_property("attack", "image-under-a-tag-of-ours")
    folder = tmp_path / "strange"
    folder.mkdir()
    (folder / "__init__.py").write_text(PLUGIN)
    dockerfile = ["ARG BASE_IMAGE", "FROM ${BASE_IMAGE}", f"LABEL made-for={tmp_path}", 'ENTRYPOINT ["true"]', ""]
    (folder / "Dockerfile").write_text("\n".join(dockerfile))
    build = ("build", "--plugin", "strange", "--plugin-dir", folder)
    (ours,) = bench.json(*build)["images"]
    client = docker.from_env()
    kept = ["groundbench-test/second:1", "groundbench-test/theirs:1"]
    try:
        client.images.get(ours["tag"]).tag("groundbench-test/second", "1")
        theirs, _ = client.images.build(
            fileobj=io.BytesIO(f"FROM {ours['tag']}\nLABEL theirs=1\n".encode()), tag=kept[1], rm=True
        )
        theirs.tag(*ours["tag"].split(":"))
        (again,) = bench.json(*build)["images"]
        assert again["id"] == ours["id"]  # known by its content, whatever has its tag
        assert bench.json("clean", "--images", "--yes")["images"] == []
        client.images.get(ours["id"]).tag(*ours["tag"].split(":"))
        cleaned = bench.json("clean", "--images", "--yes")
        assert ours["tag"] in cleaned["images"]
        assert set(kept) <= set(cleaned["left"])
        assert client.images.get(kept[0]).id == ours["id"]
        assert client.images.get(kept[1]).id == theirs.id
        with pytest.raises(docker.errors.ImageNotFound):
            client.images.get(ours["tag"])
        record_property("outcome", "ours is used by its id; the second tag and the image of theirs stay")
    finally:
        for tag in kept:
            client.images.remove(tag, force=True)
        client.close()


def test_container_of_somebody_else_is_no_stray(base_image: str, bench: Bench) -> None:
    """An image made here gives its label to what a person starts from it by hand; that is not a leftover."""
    name = "groundbench-test-by-hand"
    started = subprocess.run(
        ["docker", "run", "-d", "--rm", "--name", name, "--network", "none", "--label", "org.groundbench=1",
         "--entrypoint", "sleep", base_image, "60"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert started.returncode == 0
    try:
        assert name not in bench.json("clean", "--dry-run")["containers"]
    finally:
        subprocess.run(["docker", "kill", name], check=True, capture_output=True)
