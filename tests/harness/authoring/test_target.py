"""What is checked may be a folder, a wheel, an image or a name; what it is not is said."""

from __future__ import annotations

import contextlib
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.authoring.check import check_statically
from harness.authoring.new import NewPlugin, write_plugin
from harness.authoring.target import plugin_at
from harness.authoring.verdict import Surroundings
from harness.errors import BenchError, ModelError
from harness.registry.declaration import Prompt
from harness.sandbox.stop import Stop

EVIL = """
import os, sqlite3
from harness import Model, hookimpl

{forge}

@hookimpl
def bench_models():
    return Model("evil", "Evil", "It forges a row.", "1", adapter="adapter:MyText")
"""


@pytest.fixture
def wheel_of(tmp_path: Path) -> Callable[..., Path]:
    """Pack what ``plugin new`` writes, or a part of it, as a wheel is packed."""

    def pack(keep: Callable[[str], bool] = lambda _: True, *, entry: str = "my_text") -> Path:
        folder = write_plugin(NewPlugin("my-text"), tmp_path / "plugin")
        wheel = tmp_path / "my_text-1-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path in sorted((folder / "my_text").iterdir()):
                if keep(path.name):
                    archive.write(path, f"my_text/{path.name}")
            if entry:
                text = f"[groundbench.plugins]\nmy-text = {entry}\n"
                archive.writestr("my_text-1.dist-info/entry_points.txt", text)
        return wheel

    return pack


def _at(what: Path | str, work: Path, prompt: str = "text") -> object:
    return plugin_at(str(what), (), work, prompt=prompt)


def test_a_wheel_is_unpacked_and_read(wheel_of: Callable[..., Path], tmp_path: Path) -> None:
    """It is the plugin that its entry point names."""
    plugin = plugin_at(str(wheel_of()), (), tmp_path / "work", prompt="text")
    assert plugin.name == "my-text"
    assert plugin.model.root.is_relative_to(tmp_path / "work")


@pytest.mark.parametrize(
    ("keep", "entry", "said"),
    [
        (lambda name: name.endswith(".py"), "my_text", "my_text does not implement|it does not implement a hook"),
        (lambda name: name != "requirements.lock", "my_text", "requirements.in is not locked"),
        (lambda _: False, "my_text", "does not hold my_text"),
        (lambda _: True, "", "no entry point in the group groundbench.plugins"),
    ],
)
def test_a_wheel_that_lacks_something_says_what(
    keep: Callable[[str], bool], entry: str, said: str, wheel_of: Callable[..., Path], tmp_path: Path
) -> None:
    """Such as the data that a packing tool has left out."""
    with pytest.raises(ModelError, match=said) as raised:
        _at(wheel_of(keep, entry=entry), tmp_path / "work")
    assert raised.value.fix


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (
            'sqlite3.connect("{database}").executescript("insert into runs values (0.9)")',
            "as one does that forges rows",
        ),
        ('os.replace("{prepared}", "{database}")', "changed .*: it forges rows"),
    ],
)
def test_a_declaration_that_forges_rows_is_caught(forge: str, said: str, tmp_path: Path) -> None:
    """In Python it could try, by writing rows or by a database of its own; a plugin.toml is only read."""
    database, prepared = tmp_path / "results.db", tmp_path / "prepared.db"
    for path in (database, prepared):
        with contextlib.closing(sqlite3.connect(path)) as rows:
            rows.executescript("create table runs (dice real); insert into runs values (0.5)")
    before = database.read_bytes()
    folder = write_plugin(NewPlugin("my-text"), tmp_path / "plugin") / "my_text"
    evil = EVIL.format(forge=forge.format(database=database, prepared=prepared))
    (folder / "__init__.py").write_text(evil, encoding="utf-8")
    assert plugin_at(str(folder), (), tmp_path, prompt="text", database=database).name == "my-text"
    assert database.read_bytes() == before
    (folder / "plugin.toml").unlink()
    with pytest.raises(BenchError, match=said):
        plugin_at(str(folder), (), tmp_path, prompt="text", database=database)


def test_an_image_declares_nothing_and_is_checked_all_the_same(tmp_path: Path) -> None:
    """Its plugin is the image alone; what a declaration would say is not held against it."""
    plugin = plugin_at("registry.example/group/My_Model:1.0", (), tmp_path / "work", prompt="box")
    assert plugin.name == "my-model"
    assert plugin.model.variants[0].prompt is Prompt.BOX
    assert (plugin.model.root / "Dockerfile").read_text() == "FROM registry.example/group/My_Model:1.0\n"
    around = Surroundings(tmp_path, tmp_path, "docker", lambda _: None, Stop())
    assert {check.outcome for check in check_statically(plugin, plugin.variant(None), around)} == {"skip"}


@pytest.mark.parametrize(
    ("what", "said"),
    [("nothing-like-it", "no plugin"), ("{here}", "does not contain a plugin"), ("{here}/no.whl", "is not a wheel")],
)
def test_what_is_no_plugin_is_refused(what: str, said: str, tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(BenchError, match=said):
        _at(what.format(here=tmp_path), tmp_path / "work")
