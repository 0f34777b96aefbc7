"""Two images compared file by file: what differs is named, with its reason where that is known."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.errors import DataError
from harness.images.compare import ImageDifference, compare_images

#: Path -> content (a folder, a link to it, or bytes), and what of the header is not as usual.
Tree = dict[str, tuple[Any, dict[str, Any]]]


def _tar(tree: Tree) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, (content, header) in tree.items():
            info = tarfile.TarInfo(path)
            info.mode, info.mtime = 0o644, 1_000
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            for name, value in header.items():
                setattr(info, name, value)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return packed.getvalue()


def _image(path: Path, *layers: Tree, **settings: Any) -> Path:
    config = json.dumps({"config": settings}).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    files = {f"{number}/layer.tar": _tar(tree) for number, tree in enumerate(layers)}
    manifest = json.dumps([{"Config": name, "Layers": list(files)}]).encode()
    contents = {**files, name: config, "manifest.json": manifest}
    path.write_bytes(_tar({name: (content, {}) for name, content in contents.items()}))
    return path


BASE: Tree = {"app": (None, {}), "app/a.py": (b"a", {}), "app/b.py": (b"b", {}), "app/gone": (b"c", {})}


def test_the_same_files_at_other_times_are_the_same(tmp_path: Path) -> None:
    """However they are spread over layers; what a later layer removes is not there."""
    one = _image(tmp_path / "1.tar", BASE, {"app/.wh.gone": (b"", {})}, Env=["A=1"])
    later = {path: (content, {"mtime": 2_000}) for path, (content, _) in BASE.items() if path != "app/gone"}
    two = _image(tmp_path / "2.tar", later, {"app": (None, {}), "app/a.py": (b"a", {"mtime": 3_000})}, Env=["A=1"])
    found = compare_images(one, two)
    assert (found.paths, found.differences, found.times) == (3, (), 2)
    opaque = _image(tmp_path / "3.tar", BASE, {"app/.wh..wh..opq": (b"", {}), "app/b.py": (b"b", {})}, Env=["A=1"])
    assert [one.path for one in compare_images(opaque, two).differences] == ["app/a.py"]


@pytest.mark.parametrize(
    ("path", "content", "header", "what"),
    [
        ("app/a.py", b"x", {}, "content"),
        ("app/a.py", b"a", {"mode": 0o4755}, "mode (644, 4755)"),
        ("app/a.py", b"a", {"uid": 7}, "owner (0:0, 7:0)"),
        ("app/a.py", "b.py", {}, "file in the first, link in the second"),
        ("app/new", b"", {}, "only in the second"),
        ("app/.wh.b.py", b"", {}, "only in the first"),
        ("app/a.py", "", {"type": tarfile.LNKTYPE, "linkname": "app/b.py"}, "content"),
    ],
)
def test_every_difference_is_named(path: str, content: Any, header: dict[str, Any], what: str, tmp_path: Path) -> None:
    """By content, mode, owner and kind; a second name of another file is that file's content."""
    one, two = _image(tmp_path / "1.tar", BASE), _image(tmp_path / "2.tar", BASE, {path: (content, header)})
    assert [each.what for each in compare_images(one, two).differences] == [what]


def test_the_command_says_what_differs_and_why(tmp_path: Path) -> None:
    """In words and as JSON, with exit code 4; settings and labels are compared, too."""
    packages = "usr/lib/python3/site-packages/"
    trees: list[Tree] = [
        {f"{packages}x.pyc": (mark, {}), f"{packages}x-1.dist-info/RECORD": (mark, {}), "etc/odd": (mark, {})}
        for mark in (b"1", b"2")
    ]
    one, two = (
        _image(tmp_path / f"{n}.tar", tree, Labels={"context": str(n)}, Cmd=["x"]) for n, tree in enumerate(trees)
    )
    assert compare_images(one, two).differences == (
        ImageDifference("label context", "setting of the image"),
        ImageDifference("etc/odd", "content"),
        ImageDifference(f"{packages}x-1.dist-info/RECORD", "content", "pip's record of what it installed"),
        ImageDifference(f"{packages}x.pyc", "content", "compiled Python, which holds the time of its source"),
    )
    home = ["--home", str(tmp_path / "home")]
    same = CliRunner().invoke(cli, [*home, "images", "compare", str(one), str(one)])
    assert (same.exit_code, same.output) == (
        0, "3 paths: 0 differences, 0 of them without a known reason; 0 paths with another time alone\n",
    )  # fmt: skip
    said = CliRunner().invoke(cli, [*home, "images", "compare", str(one), str(two)])
    assert said.exit_code == 4
    assert "3 paths: 4 differences, 2 of them without a known reason" in said.output
    document = CliRunner().invoke(cli, [*home, "images", "compare", str(one), str(two), "--json"])
    assert document.exit_code == 4
    assert json.loads(document.output)["differences"][1] == {"path": "etc/odd", "what": "content", "reason": ""}


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    """A text, an archive without a list, a layer that is not there."""
    (tmp_path / "text").write_bytes(b"nothing")
    (tmp_path / "bare").write_bytes(_tar({"a": (b"", {})}))
    manifest = json.dumps([{"Config": "c", "Layers": ["none"]}]).encode()
    (tmp_path / "short").write_bytes(_tar({"manifest.json": (manifest, {}), "c": (b"{}", {})}))
    for name in ("text", "bare", "short"):
        with pytest.raises(DataError, match="is not the archive of an image"):
            compare_images(tmp_path / name, tmp_path / name)


@pytest.mark.docker
def test_two_builds_without_a_cache(base_image: str, tmp_path: Path) -> None:
    """Only what holds the moment of the build differs, and it is named."""
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3.11-slim-bookworm\nRUN mkdir /app && echo pass > /app/a.py && python -m compileall -q /app "
        "&& date +%N > /app/moment\n"
    )
    archives = []
    for number in (1, 2):
        tag = f"groundbench-test/twice:{number}"
        subprocess.run(["docker", "build", "-q", "--no-cache", "-t", tag, tmp_path], check=True, capture_output=True)
        archives.append(tmp_path / f"{number}.tar")
        subprocess.run(["docker", "save", "-o", archives[-1], tag], check=True)
        subprocess.run(["docker", "rmi", tag], check=True, capture_output=True)
    found = compare_images(*archives)
    assert {one.path: one.what for one in found.differences if not one.reason} == {"app/moment": "content"}
    assert found.paths > 1_000
