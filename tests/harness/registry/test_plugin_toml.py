"""A declaration as data: it says what Python says, with the same messages, and nothing of it is run."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness import BoxRule, Model, Params, Prompt, Resources, Source, Variant, Weights, ours, paper
from harness.registry import plugin_toml
from harness.registry.constraints import DeclarationError
from harness.registry.declaration import NOT_STATED
from harness.registry.discovery import discover
from harness.registry.origins import Stated
from harness.registry.plugin_toml import FILE, read_plugin_toml

LEAST = 'name = "one"\ntitle = "One"\nsummary = "S."\nversion = "1"\nadapter = "adapter:One"\n'

WHOLE = """
name = "whole"
title = "Whole"
summary = "Says everything."
version = "1.2"
adapter = "adapter:Whole"
dockerfile = "Dockerfile.own"
base = "torch"
licence = "MIT"
homepage = "https://example.org/whole"
citation = "Somebody, 2026"
sees = { value = "slices with memory", origin = "upstream, predict.py:3" }

[resources]
memory_gb = 2
cpus = 1.5
exec_tmp = true

[training]
gpus = 2
shm_gb = 8

[[variants]]
name = "zero-shot"
prompt = "box"
boxes = "moved"
exposure = { value = "train", origin = "upstream, issue 1" }
summary = "Out of the box."
weights = ["model.pt"]
params = { size = { value = 64, origin = "paper, section 3" }, soft = false, seed = { origin = "ours" } }
reduced = { size = 8 }
origins = { soft = "ours: because" }

[[variants]]
name = "fine-tuned"
trained = "zero-shot"
params = { epochs = { value = 3, origin = "ours" } }
reduced = { epochs = 1 }
summary = "Trained."

[[sources]]
name = "code"
git = "https://example.org/code"
commit = "1111111111111111111111111111111111111111"
licence = "MIT"
tree = "2222222222222222222222222222222222222222"
mirrors = ["https://example.org/copy"]

[[weights]]
repo = "owner/name"
file = "sub/model.pt"
gated = true

[[weights]]
url = "https://example.org/files/more%20text.bin?x=1"
name = "more.bin"
sha256 = "3333333333333333333333333333333333333333333333333333333333333333"
size = 7
licence = "CC0-1.0"
"""


def _plugin(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder


def _fault(tmp_path: Path, text: str) -> str:
    with pytest.raises(DeclarationError) as caught:
        read_plugin_toml(_plugin(tmp_path, text))
    return str(caught.value)


def test_it_says_everything_that_python_says(tmp_path: Path) -> None:
    """The same model as one that is written in Python, field by field."""
    zero_shot = Variant(
        "zero-shot",
        Params(size=paper(64, "section 3"), soft=ours(False, "because"), seed=ours(None)),
        prompt=Prompt.BOX,
        boxes=BoxRule.MOVED,
        exposure=Stated("train", "upstream, issue 1"),
        summary="Out of the box.",
        weights=("model.pt",),
        reduced={"size": 8},
    )
    expected = Model(
        name="whole",
        title="Whole",
        summary="Says everything.",
        version="1.2",
        root=tmp_path,
        adapter="adapter:Whole",
        dockerfile="Dockerfile.own",
        base="torch",
        licence="MIT",
        homepage="https://example.org/whole",
        citation="Somebody, 2026",
        sees=Stated("slices with memory", "upstream, predict.py:3"),
        resources=Resources(memory_gb=2, cpus=1.5, exec_tmp=True),
        training=Resources(gpus=2, shm_gb=8),
        variants=(zero_shot, zero_shot.trained(Params(epochs=ours(3)), reduced={"epochs": 1}, summary="Trained.")),
        sources=(
            Source(
                "code", "https://example.org/code", "1" * 40, "MIT", "2" * 40, mirrors=("https://example.org/copy",)
            ),
        ),
        weights=(
            Weights("model.pt", repo="owner/name", file="sub/model.pt", gated=True),
            Weights.at("https://example.org/x", "3" * 64, 7, licence="CC0-1.0", name="more.bin"),
        ),
    )
    found = read_plugin_toml(_plugin(tmp_path, WHOLE))
    (first, second), (model, more) = found.weights, expected.weights
    assert first == model
    assert second.url.endswith("more%20text.bin?x=1")
    assert (second.name, second.sha256, second.size) == (more.name, more.sha256, more.size)
    assert found.variants == expected.variants
    fields = ("resources", "training", "sources", "root", "adapter", "dockerfile", "base", "licence", "citation")
    for field in (*fields, "sees"):
        assert getattr(found, field) == getattr(expected, field), field


def test_what_is_not_said_is_as_in_python(tmp_path: Path) -> None:
    """Nothing is claimed for an author who is silent."""
    found = read_plugin_toml(_plugin(tmp_path, LEAST))
    assert found == Model(name="one", title="One", summary="S.", version="1", adapter="adapter:One", root=tmp_path)
    assert found.variants[0].exposure == found.sees == NOT_STATED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('nmae = "x"\n' + LEAST, "nmae is not a key of a declaration; did you mean name"),
        (LEAST + "[resourcess]\n", "resourcess is not a key of a declaration; did you mean resources"),
        (LEAST + "[resources]\nmemory_mb = 100\n", "resources.memory_mb is not a key"),
        (LEAST + "[resources]\nmemory_gb = 0\n", "resources.memory_gb must be a number from 0.0625 to"),
        (LEAST + "reads_truth = true\n", "reads_truth is not a key"),
        (LEAST + 'root = "/"\n', "root is not a key"),
        (LEAST + 'variants = "zero-shot"\n', "variants must be an array of tables, [[variants]], not 'zero-shot'"),
        (LEAST + "variants = [3]\n", "variants 1 must be a table, not 3"),
        (LEAST + "[[variants]]\nparams = { a = 1 }\n", "variants 1: name is missing"),
        (LEAST + '[[variants]]\nname = "a"\n[[variants]]\nnaem = "b"\n', "variants 2: naem is not a key"),
        (
            LEAST + '[[variants]]\nname = "a"\nprompt = "txt"\n',
            "prompt must be one of the Prompt values ('text', 'structured-text', 'box'), not 'txt'",
        ),
        (LEAST + 'sees = "3-D"\n', "sees must be {"),
        (LEAST + 'sees = { value = "3D", origin = "ours" }\n', "sees must be one of '2-D', 'slices with memory'"),
        (LEAST + '[[variants]]\nname = "a"\nexposure = "none"\n', "variants 1: exposure must be {"),
        (
            LEAST + '[[variants]]\nname = "a"\nexposure = { value = "none" }\n',
            "exposure must be one of 'none', 'train'",
        ),
        (LEAST + '[[variants]]\nname = "a"\nexposure = { vaule = "none" }\n', "did you mean value"),
        (LEAST + '[[variants]]\nname = "a"\nparams = { b = [1] }\n', "parameter 'b' must be text, a finite number"),
        (LEAST + '[[variants]]\nname = "a"\nparams = { b = nan }\n', "parameter 'b' must be text, a finite number"),
        (LEAST + '[[variants]]\nname = "a"\nparams = 3\n', "params must be a dict, not 3"),
        (LEAST + '[[variants]]\nname = "a"\ntrained = "b"\n', "trained must be the name of a variant above it"),
        (LEAST + '[[variants]]\nname = "a"\norigins = 3\nparams = { b = 1 }\n', "origins must be a dict of texts"),
        (LEAST + '[[variants]]\nname = "a"\n[[variants]]\ntrained = "a"\nparams = ""\n', "params must be a table"),
        (LEAST + '[[variants]]\nname = "a"\n[[variants]]\ntrained = "a"\nreduced = 0\n', "reduced must be a table"),
        (LEAST + f'[[variants]]\nname = "a"\nparams = {{ b = {"9" * 400} }}\n', "a number has more than 64 bits"),
        (LEAST + f"[resources]\ncpus = {'9' * 400}\n", "a number has more than 64 bits"),
        (LEAST + 'sees = { value = "3-D", origin = [1] }\n', "sees must be one of"),
        (LEAST + '[[variants]]\nname = "a"\nexposure = { value = "none", origin = 1 }\n', "exposure must be one of"),
        (LEAST + 'licence = "MIT\\u0000"\n', "licence must be one line of text"),
        (LEAST + f'citation = "{"x" * 2000}"\n', "citation must be one line of text, at most 1,000"),
        (LEAST + '[[weights]]\nrepo = "a/b"\n', "weights 1: name is missing"),
        (LEAST + '[[weights]]\nfile = "a.pt"\n', "needs sha256 and size"),
        (LEAST + '[[sources]]\nname = "a"\n', "sources 1: git is missing"),
        ('name = "one"\n', "title is missing"),
        (LEAST.replace("one", "x" * 9000, 1), "name must be lower-case letters"),
        (LEAST.replace("one", "\u043ene", 1), "name must be lower-case letters"),
        (LEAST + "name = 'two'\n", "plugin.toml is not valid TOML"),
        (LEAST + f"x = {'[' * 5000}\n", "it is nested more than 64 levels deep"),
        (LEAST + f"x = {'9' * 5000}\n", "plugin.toml is not valid TOML"),
        ("#" * (256 * 1024 + 1), "plugin.toml has more than 262 kB"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, said: str) -> None:
    """Each with its place in the file, in a line or two; a misspelt key is never ignored."""
    fault = _fault(tmp_path, text)
    assert said in fault
    assert len(fault) < 600


#: Values of every type that TOML has, and neighbours of what is allowed.
VALUES = (
    "true",
    "-1",
    "9" * 400,
    "1e308",
    "nan",
    '""',
    '"\\u0000"',
    '"\\u202e"',
    "[]",
    "[[]]",
    "[{}]",
    "{}",
    "07:32:00",
)


def _changed(value: object, new: str) -> Iterator[str]:
    """Yield a document, or a part of it, with one of its values replaced, and with a key too much in one table."""
    if isinstance(value, dict):
        written = {key: _written(one) for key, one in value.items()}
        yield _table({**written, "naem": new})
        for key, one in value.items():
            yield _table({**written, key: new})
            yield from (_table({**written, key: other}) for other in _changed(one, new))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            for other in (new, *_changed(one, new)):
                yield f"[{', '.join([*map(_written, value[:place]), other, *map(_written, value[place + 1 :])])}]"


def _written(value: object) -> str:
    if isinstance(value, dict):
        return _table({key: _written(one) for key, one in value.items()})
    return f"[{', '.join(map(_written, value))}]" if isinstance(value, list) else json.dumps(value)


def _table(values: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key} = {one}" for key, one in values.items()) + "}"


@pytest.mark.parametrize("new", VALUES)
def test_any_value_at_any_place_is_taken_or_refused(new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends in an error of Python, and no fault is a long or a commanding text."""
    documents = list(_changed(tomllib.loads(WHOLE), new))
    assert len(documents) > 80
    for document in documents:
        monkeypatch.setattr(plugin_toml, "_tables", lambda _, of=document: tomllib.loads(f"of = {of}")["of"])
        try:
            read_plugin_toml(tmp_path)
        except DeclarationError as fault:
            assert len(str(fault)) < 1000, document  # noqa: PT017
            assert str(fault).isprintable(), document  # noqa: PT017


def test_not_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, links and folders are refused in words, and a pipe is not waited for."""
    _plugin(tmp_path, LEAST)
    (tmp_path / FILE).write_bytes(b"\xff")
    with pytest.raises(DeclarationError, match="not valid TOML"):
        read_plugin_toml(tmp_path)
    (tmp_path / FILE).unlink()
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(DeclarationError, match="a link or a special file"):
        read_plugin_toml(tmp_path)


def test_a_folder_with_the_file_is_never_imported(tmp_path: Path) -> None:
    """What Python lies beside it is the model's own affair."""
    folder = _plugin(tmp_path / "one", LEAST)
    (folder / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    (folder / "adapter.py").write_text("", encoding="utf-8")
    plugin = discover((folder,)).get("one")
    assert (plugin.origin, plugin.model.root) == (str(folder), folder)
    assert not (tmp_path / "ran").exists()


def test_a_fault_is_a_broken_row(tmp_path: Path) -> None:
    """The plugin is shown with its reason, and the file is not passed over for the Python beside it."""
    folder = _plugin(tmp_path / "my_one", LEAST + "oops = 1\n")
    (folder / "__init__.py").write_text("", encoding="utf-8")
    registry = discover((tmp_path,))
    (broken,) = registry.broken
    assert (broken.name, broken.origin) == ("my-one", str(folder))
    assert "oops is not a key" in broken.reason


@pytest.mark.parametrize(
    ("more", "files", "said"),
    [
        ("", (), ""),
        ("", ("requirements.in", "requirements.lock"), ""),
        ("", ("requirements.in",), "its requirements.in is not locked"),
        ('dockerfile = "Own"\n', (), "does not contain Own"),
    ],
)
def test_what_a_folder_without_a_dockerfile_needs(tmp_path: Path, more: str, files: tuple[str, ...], said: str) -> None:
    """One can be written for an adapter and locked requirements, and for nothing else."""
    folder = _plugin(tmp_path, LEAST + more)
    for name in files:
        (folder / name).write_text("", encoding="utf-8")
    registry = discover((folder,))
    assert [said in broken.reason for broken in registry.broken] == ([True] if said else [])


def test_no_dockerfile_without_an_adapter(tmp_path: Path) -> None:
    """There is nothing that the image could start."""
    (broken,) = discover((_plugin(tmp_path, LEAST.replace('adapter = "adapter:One"', "")),)).broken
    assert "no adapter is declared for which one could be written" in broken.reason
