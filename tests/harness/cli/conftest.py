"""A world in which everything that a plugin needs is published, and the plugin."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Bench
from tests.stand_in_web import RELEASES, Blob, Web, web

BIG = b"big weights" * 1000
DECLARATION = """
from harness import Hub, Model, Resources, Upstream, Variant, Weights, hookimpl

CODE = Upstream("owner/code", "{commit}", "MIT")
HUB = Hub("owner/name", licence="MIT", gated=True)
FREE = Hub("owner/free", licence="MIT", prefix="free--")

@hookimpl
def bench_models():
    return Model(
        name="needy", title="Needy", summary="Needs all kinds.", version="1",
        variants=(Variant("small", weights=("free--config.json",)), Variant("all")),
        sources=CODE.folders(network="{network}", training="{training}"),
        weights=(
            HUB.file("big.pt"),
            FREE.file("config.json"),
            Weights.at("https://zenodo.org/records/1/files/a.bin", "{at}", 4, licence="MIT"),
            Weights.beside("weights/b.bin", "{beside}", 6, licence="MIT"),
        ),
    )
"""


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def world(tmp_path: Path, bench: Bench) -> Iterator[Web]:
    """Run the hosts with everything that the plugin needs, and let the command reach them."""
    code = tmp_path / "served" / "owner" / "code"
    for name in ("network", "training"):
        (code / name).mkdir(parents=True)
        (code / name / "main.py").write_text(name)
    _git(code, "init", "-q", "-b", "main")
    _git(code, "add", "-A")
    _git(code, "commit", "-qm", "first")
    (tmp_path / "hosts").mkdir()
    with web(tmp_path / "hosts") as hosts:
        hosts.repositories = tmp_path / "served"
        hosts.blobs = {
            ("owner/name", "big.pt"): Blob(BIG, gated=True),
            ("owner/free", "config.json"): Blob(b"{}", large=False),
        }
        hosts.pages[f"{RELEASES}/records/1/files/a.bin"] = b"aaaa"
        bench.environment.update({**hosts.environment, "HOME": str(tmp_path)})
        yield hosts


@pytest.fixture
def needy(tmp_path: Path, world: Web) -> Path:
    """Return the folder of a plugin that needs one thing of each kind."""
    code, folder = tmp_path / "served" / "owner" / "code", tmp_path / "needy"
    (folder / "weights").mkdir(parents=True)
    trees = {name: _git(code, "rev-parse", f"HEAD:{name}") for name in ("network", "training")}
    digests = {"at": Blob(b"aaaa").sha256, "beside": Blob(b"beside").sha256}
    (folder / "__init__.py").write_text(DECLARATION.format(commit=_git(code, "rev-parse", "HEAD"), **trees, **digests))
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder
