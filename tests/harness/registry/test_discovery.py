"""Plugins are found one by one; a broken one is a row with its reason and does not affect the others."""

from __future__ import annotations

import contextlib
import importlib.metadata
import locale
import os
import shutil
import signal
import subprocess
import sys
import threading
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import Model, hookimpl
from harness.errors import PrerequisiteError, UsageError
from harness.registry import apart, discovery
from harness.registry.discovery import Registry, discover

KNOWN_ANSWER = Path(__file__).resolve().parents[3] / "plugins" / "known_answer"

DECLARATION = """
from pathlib import Path
from harness import Model, Variant, hookimpl

@hookimpl
def bench_models():
    return [Model(name={name!r}, title="T", summary="S", version="1", root=Path(__file__).parent{more})]
"""

MakePlugin = Callable[..., Path]


@pytest.fixture(autouse=True)
def entry_points(monkeypatch: pytest.MonkeyPatch) -> list[importlib.metadata.EntryPoint]:
    """Take the place of what is installed: nothing, unless a test adds to it."""
    entries: list[importlib.metadata.EntryPoint] = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: importlib.metadata.EntryPoints(entries))
    return entries


@pytest.fixture
def make(tmp_path: Path) -> MakePlugin:
    """Return a function that writes a plugin's folder and returns it."""

    def write(
        folder: str, source: str | None = None, *, name: str = "", more: str = "", dockerfile: bool = True
    ) -> Path:
        path = tmp_path / folder
        path.mkdir(parents=True)
        text = DECLARATION.format(name=name or folder.replace("_", "-"), more=more) if source is None else source
        (path / "__init__.py").write_text(text, encoding="utf-8")
        if dockerfile:
            (path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
        return path

    return write


def _reason(registry: Registry) -> str:
    assert registry.plugins == {}
    (broken,) = registry.broken
    return broken.reason


def test_folder_of_a_plugin(make: MakePlugin) -> None:
    """A folder that holds ``__init__.py`` is a plugin; its origin is its path."""
    path = make("one")
    registry = discover((path,))
    assert registry.broken == []
    plugin = registry.get("one")
    assert plugin.origin == str(path)
    assert plugin.model.root == path
    assert not plugin.granted_truth


def test_folder_of_plugins(make: MakePlugin, tmp_path: Path) -> None:
    """A folder of such folders gives them all, in the order of their names; other folders are passed over."""
    make("b")
    make("a")
    (tmp_path / "c").mkdir()
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    assert list(discover((tmp_path,)).plugins) == ["a", "b"]


def test_relative_folder(make: MakePlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path works and is kept absolute, whatever the working directory becomes."""
    make("one")
    monkeypatch.chdir(tmp_path)
    root = discover((Path("one"),)).get("one").model.root
    monkeypatch.chdir("/")
    assert root.is_dir()


def test_plugin_may_have_modules_of_its_own(make: MakePlugin) -> None:
    """Relative imports inside a plugin's folder work, and two folders with equal names do not meet."""
    plugins = [make(f"{place}/same", "from .declared import bench_models\n") for place in ("x", "y")]
    for path, name in zip(plugins, ("first", "second"), strict=True):
        (path / "declared.py").write_text(DECLARATION.format(name=name, more=""), encoding="utf-8")
    assert list(discover(tuple(plugins)).plugins) == ["first", "second"]


def test_one_model_needs_no_list_and_no_root(make: MakePlugin) -> None:
    """A model alone is returned as it is; its folder is the one of the module that declares it."""
    path = make(
        "alone",
        "from harness import Model, hookimpl\n@hookimpl\ndef bench_models():\n"
        "    return Model(name='alone', title='T', summary='S', version='1')\n",
    )
    assert discover((path,)).get("alone").model.root == path


def test_an_object_without_a_file_declares_its_root() -> None:
    """The working directory is not guessed to be the plugin's folder."""
    plugin = types.SimpleNamespace()
    plugin.bench_models = hookimpl(lambda: Model(name="alone", title="T", summary="S", version="1"))
    registry = Registry()
    registry.add("alone", "here", plugin)
    assert "root must be declared" in _reason(registry)


@pytest.mark.parametrize(("there", "said"), [(False, "does not exist"), (True, "does not contain a plugin")])
def test_folder_without_plugins(tmp_path: Path, there: bool, said: str) -> None:
    """A folder that the user named and that holds nothing is a usage error, not silence."""
    path = tmp_path / "none"
    if there:
        path.mkdir()
    with pytest.raises(UsageError, match=said):
        discover((path,))


def test_entry_point(
    make: MakePlugin, entry_points: list[importlib.metadata.EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package is found by its entry point."""
    path = make("installed_one")
    monkeypatch.syspath_prepend(str(path.parent))
    entry_points.append(importlib.metadata.EntryPoint("installed-one", "installed_one", "groundbench.plugins"))
    assert discover().get("installed-one").origin == "installed_one"


def test_entry_point_that_leads_nowhere(entry_points: list[importlib.metadata.EntryPoint]) -> None:
    """A package that is half removed is a broken row."""
    entry_points.append(importlib.metadata.EntryPoint("gone", "no_such_package", "groundbench.plugins"))
    assert "No module named 'no_such_package'" in _reason(discover())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module", "No module named 'no_such_module'; a declaration must not import heavy packages"),
        ("def (", "SyntaxError: "),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise RuntimeError('line one\\nline two')", "RuntimeError: line one line two"),
        ("", "it does not implement a hook; a plugin needs `@hookimpl def bench_models()`"),
        ("def bench_models(): return []", "it has bench_models, not marked @hookimpl"),
        ("from harness import hookimpl\n@hookimpl\ndef bench_model(): return []", "unknown hook 'bench_model'"),
        ("from harness import hookimpl\n@hookimpl\ndef bench_models(config): return []", "config"),
        ("from harness import hookimpl\n@hookimpl\ndef bench_models(): return None", "returned an empty list"),
        ("from harness import hookimpl\n@hookimpl\ndef bench_models(): return []", "returned an empty list"),
        ("from harness import hookimpl\n@hookimpl\ndef bench_models(): return [{}]", "Model objects, not dict"),
        ("from harness import hookimpl\n@hookimpl\ndef bench_models(): return 1", "TypeError: 'int' object"),
        ("from harness import hookimpl\n@hookimpl\ndef bench_models():\n    yield 1 / 0", "ZeroDivisionError: "),
        ("from harness import hookimpl\n@hookimpl\ndef bench_models(): raise SystemExit(3)", "SystemExit: 3"),
        (DECLARATION.format(name="Not A Name", more=""), "model 'Not A Name': name must be lower-case letters"),
        (DECLARATION.format(name="x", more=", colour='red'"), "unexpected keyword argument 'colour'"),
        (DECLARATION.format(name="x", more=", dockerfile='Other'"), "does not contain Other"),
    ],
)
def test_broken_plugin_is_a_row_with_its_reason(make: MakePlugin, source: str, said: str) -> None:
    """Whatever is wrong with a plugin is said in one line, and the others are there."""
    registry = discover((make("x", source), make("sound")))
    assert list(registry.plugins) == ["sound"]
    (broken,) = registry.broken
    assert said in broken.reason
    assert "\n" not in broken.reason
    with pytest.raises(PrerequisiteError, match=r"plugin 'x' .* is broken: "):
        registry.get("x")


def test_an_interrupt_of_a_plugins_own_is_its_fault(make: MakePlugin) -> None:
    """Only the user's Ctrl-C ends the command; it goes to this process, too."""
    registry = discover((make("x", "raise KeyboardInterrupt"), make("sound")))
    assert list(registry.plugins) == ["sound"]
    assert "KeyboardInterrupt" in registry.broken[0].reason


@pytest.mark.parametrize(
    "source",
    [
        "import os; os.chdir('/')",
        "import os; os.environ['HOME'] = '/nowhere'",
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "import sys; sys.stdout = sys.stderr = None",
        "import sys; sys.path.clear()",
        "import warnings; warnings.simplefilter('error')",
        "import locale; locale.setlocale(locale.LC_ALL, 'C')",
        "import harness.registry.discovery as d; d._reason = None",
        "import os; os.umask(0)",
        "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()",
        "import atexit; atexit.register(print, 'spoilt')",
    ],
)
def test_what_a_plugin_changes_touches_nobody_else(make: MakePlugin, source: str) -> None:
    """Folder, environment, signals, streams, warnings and the harness itself are as they were; the plugin is there."""
    before, threads = _state(), set(threading.enumerate())
    registry = discover((make("bad", source + "\n" + DECLARATION.format(name="bad", more="")), make("sound")))
    assert _state() == before
    assert threads.issuperset(threading.enumerate())  # one of an earlier test may end meanwhile
    assert set(registry.plugins) | {broken.name for broken in registry.broken} == {"bad", "sound"}
    assert "sound" in registry.plugins


def _state() -> tuple[object, ...]:
    """Return what code in this process could have changed."""
    umask = os.umask(0o22)
    os.umask(umask)
    return (
        Path.cwd(), dict(os.environ), signal.getsignal(signal.SIGTERM), sys.stdout, sys.stderr, tuple(sys.path),
        tuple(warnings.filters), locale.setlocale(locale.LC_ALL), discovery._reason, umask,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os; os._exit(7)", "ended its process with exit code 7"),
        ("import os; os.kill(os.getpid(), 15)", "ended its process by signal SIGTERM"),
        ("while True: pass", "did not end within"),
        ("import os, time\nif os.fork() == 0: time.sleep(5)\nelse: os._exit(0)", "ended its process with exit code 0"),
    ],
)
def test_a_plugin_that_never_answers_is_broken(
    make: MakePlugin, source: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends its process or never comes to an end is a row; the others are there."""
    monkeypatch.setattr(apart, "LIMIT_S", 0.5)
    registry = discover((make("bad", source),))
    assert said in _reason(registry)
    monkeypatch.undo()
    assert "sound" in discover((make("sound"),)).plugins


def test_only_records_are_taken_from_a_strangers_process(make: MakePlugin) -> None:
    """A class of the plugin's own would run its code here when it is read."""
    source = DECLARATION.format(name="x", more="").replace("Model(", "Own(").replace(
        "@hookimpl", "class Own(Model): pass\n\n@hookimpl"
    )  # fmt: skip
    assert "use the classes of `harness`" in _reason(discover((make("x", source),)))


def test_what_a_plugin_prints_does_not_mix_with_our_output(make: MakePlugin, capfd: pytest.CaptureFixture[str]) -> None:
    """Its words go to standard error, also those of a program that it starts."""
    make("chatty", "import os\nprint('hello')\nos.system('echo there')\n" + DECLARATION.format(name="chatty", more=""))
    make("folder_of_two/sound")
    with contextlib.redirect_stdout(sys.__stdout__), contextlib.redirect_stderr(sys.__stderr__):
        assert "chatty" in discover((make("one").parent / "chatty",)).plugins
    out, err = capfd.readouterr()
    assert (out, sorted(err.split())) == ("", ["hello", "there"])


def test_a_folder_that_was_named_wins(
    make: MakePlugin, entry_points: list[importlib.metadata.EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own copy of an installed plugin is the one that runs, and that is said; also where it is broken."""
    installed = make("installed_one", name="same")
    monkeypatch.syspath_prepend(str(installed.parent))
    entry_points.append(importlib.metadata.EntryPoint("same", "installed_one", "groundbench.plugins"))
    own = make("own", name="same")
    registry = discover((own,))
    assert registry.get("same").origin == str(own)
    assert registry.broken == []
    assert registry.notes == [f"same is the plugin from {own}, not the one of installed_one"]
    broken = make("elsewhere/same", "raise RuntimeError('no')")
    with pytest.raises(PrerequisiteError, match="RuntimeError: no"):
        discover((broken,)).get("same")


def test_one_bad_model_leaves_the_others_of_its_plugin(make: MakePlugin) -> None:
    """A plugin with several models loses only the one that cannot be."""
    source = """
from pathlib import Path
from harness import Model, hookimpl
HERE = Path(__file__).parent

@hookimpl
def bench_models():
    for name, root in (("good", HERE), ("bad", HERE / "nowhere"), ("fine", HERE)):
        yield Model(name=name, title="T", summary="S", version="1", root=root)
"""
    registry = discover((make("several", source),))
    assert list(registry.plugins) == ["good", "fine"]
    assert [(b.name, "is not a folder" in b.reason) for b in registry.broken] == [("bad", True)]


def test_name_that_is_taken(make: MakePlugin) -> None:
    """The first plugin of a name keeps it; the message for the second names the first."""
    first, second = make("first", name="same"), make("second", name="same")
    registry = discover((first, second))
    assert registry.get("same").origin == str(first)
    assert [(b.name, b.origin) for b in registry.broken] == [("same", str(second))]
    assert registry.broken[0].reason == f"the plugin from {first} already has this name"


def test_hooks_of_a_broken_plugin_do_not_reach_the_next(make: MakePlugin) -> None:
    """A misspelt hook beside a wrong one is that plugin's trouble alone."""
    both = (
        "from harness import hookimpl\n@hookimpl\ndef bench_aaa(): pass\n@hookimpl\ndef bench_models(wrong): return []"
    )
    assert list(discover((make("a", both), make("b"))).plugins) == ["b"]


def test_nobody_else_reads_the_truth(make: MakePlugin) -> None:
    """A plugin that asks for the ground truth is refused, and says why."""
    assert "only the known-answer plugins may read" in _reason(discover((make("spy", more=", reads_truth=True"),)))


@pytest.mark.parametrize("folder", ["known_answer", "known-answer", "plugins/known_answer"])
def test_a_name_does_not_open_the_truth(make: MakePlugin, folder: str) -> None:
    """A folder that is called like the known-answer plugin is still somebody else's."""
    assert "ground truth" in _reason(discover((make(folder, name="oracle", more=", reads_truth=True"),)))


def test_a_copy_does_not_open_the_truth(tmp_path: Path) -> None:
    """Not even the very files, lying elsewhere: they could be edited there."""
    shutil.copytree(KNOWN_ANSWER, tmp_path / "known_answer", ignore=shutil.ignore_patterns("__pycache__"))
    registry = discover((tmp_path / "known_answer",))
    assert registry.plugins == {}
    assert len(registry.broken) == 6


def test_an_entry_point_of_that_name_does_not_open_the_truth(
    make: MakePlugin, entry_points: list[importlib.metadata.EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that registers itself as ``known-answer`` is judged by where its code lies."""
    path = make("spy_package", name="oracle", more=", reads_truth=True")
    monkeypatch.syspath_prepend(str(path.parent))
    entry_points.append(importlib.metadata.EntryPoint("known-answer", "spy_package", "groundbench.plugins"))
    assert "ground truth" in _reason(discover())


def test_the_known_answers_are_granted_the_truth(entry_points: list[importlib.metadata.EntryPoint]) -> None:
    """The harness's own plugin, and only it, reads the ground truth; every model of it is marked."""
    entry_points.append(importlib.metadata.EntryPoint("known-answer", "plugins.known_answer", "groundbench.plugins"))
    registry = discover()
    assert registry.broken == []
    assert len(registry.plugins) == 6
    assert all(plugin.granted_truth for plugin in registry.plugins.values())


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("sond", "did you mean sound?"),
        ("zzzzzz", "see `bench list`; a plugin in your own folder also needs --plugin-dir FOLDER"),
    ],
)
def test_unknown_plugin_names_its_neighbours(make: MakePlugin, asked: str, hint: str) -> None:
    """A slip of the finger is answered with the name that was meant."""
    with pytest.raises(UsageError, match=f"no plugin is named '{asked}'") as raised:
        discover((make("sound"),)).get(asked)
    assert raised.value.fix == hint


def test_unknown_plugin_may_be_one_that_is_broken(make: MakePlugin) -> None:
    """A folder may be called otherwise than its model: what could not be loaded is named with its reason."""
    path = make("folder", more=", sumary='x'")
    with pytest.raises(UsageError, match="no plugin is named 'zzzzzz'") as raised:
        discover((path,)).get("zzzzzz")
    assert f"broken: folder ({path}): " in raised.value.fix
    assert "sumary" in raised.value.fix


def test_variant_by_name(make: MakePlugin) -> None:
    """The first variant is the default; an unknown one is answered with those that exist."""
    plugin = discover((make("one", more=", variants=(Variant('zero-shot'), Variant('tuned'))"),)).get("one")
    assert plugin.variant(None).name == "zero-shot"
    assert plugin.variant("tuned").name == "tuned"
    with pytest.raises(UsageError) as raised:
        plugin.variant("zero-shots")
    assert raised.value.fix == "did you mean zero-shot?"


def test_listing_imports_nothing_heavy() -> None:
    """Finding and declaring the plugins loads neither numpy nor docker nor pydantic."""
    code = (
        "import sys; from harness.registry.discovery import discover; discover();"
        "print(sorted({'numpy', 'nibabel', 'docker', 'torch', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_module_that_is_no_module() -> None:
    """Whatever an entry point leads to, nothing is raised and no truth is granted."""
    registry = Registry()
    registry.add("known-answer", "somewhere", types.SimpleNamespace())
    assert "it does not implement a hook" in _reason(registry)


def test_an_installed_package_with_data_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry_points: list[importlib.metadata.EntryPoint]
) -> None:
    """An entry point that names a package with a ``plugin.toml`` leads to that file."""
    package = tmp_path / "declared_as_data"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    (package / "plugin.toml").write_text(
        'name = "data"\ntitle = "T"\nsummary = "S"\nversion = "1"\nadapter = "adapter:A"\n', encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    entry_points.append(importlib.metadata.EntryPoint("data", "declared_as_data", "groundbench.plugins"))
    registry = discover()
    assert registry.broken == []
    assert registry.get("data").model.root == package
