"""Images that no engine can start, or that claim to be somebody else's: the model's fault, said in a sentence."""

from __future__ import annotations

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
