"""Weights and parameters of a run: mounted where the job says, part of its identity, and a reason against ranking."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Bench

RELEASED = b"released weights\n"
DECLARATION = """
from pathlib import Path
from harness import Model, Resources, Variant, Weights, hookimpl, ours

@hookimpl
def bench_models():
    pinned = Weights("a.bin", "owner/name", "deep/a.bin", "", "{digest}", {size}, "MIT")
    params = {{"width": 96, "note": "x", "rate": 1.0}}
    open_ = Weights("b.bin", "owner/name", "b.bin", "", "", 0, "none", gated=True)
    return [Model(
        name="weighty", title="Weighty", summary="Loads files.", version="1", root=Path(__file__).parent,
        variants=(
            Variant("one", weights=("a.bin",), params=params, reduced={{"width": 8}}),
            Variant("two", weights=("a.bin", "b.bin")),
            Variant("without", weights=()),
        ),
        weights=(pinned, open_), adapter="adapter:Weighty", resources=Resources(memory_gb=0.5),
        homepage="https://example.org", citation="A. Author, 2025", licence="MIT", sees=ours("2-D", "slices"),
    )]
"""
ADAPTER = """
import json
import numpy as np
from groundbench_sdk import Adapter

class Weighty(Adapter):
    def load(self, job):
        files = {}
        if job.weights.exists():
            files = {path.name: path.read_text() for path in sorted(job.weights.iterdir())}
        print(json.dumps({"mode": job.weights_mode, "files": files, "params": job.params}), flush=True)

    def predict(self, case):
        for finding in case.findings:
            yield finding.id, np.zeros(case.shape, bool)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Return the folder of a plugin that prints what it was given to load."""
    folder = tmp_path / "weighty"
    folder.mkdir()
    declared = DECLARATION.format(digest=hashlib.sha256(RELEASED).hexdigest(), size=len(RELEASED))
    (folder / "__init__.py").write_text(declared)
    (folder / "adapter.py").write_text(ADAPTER)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


@pytest.fixture
def run(bench: Bench, plugin: Path, make_dataset: Callable[..., Path]) -> Callable[..., tuple[dict, dict]]:
    """Return a function that runs the plugin and returns the run's record and what the adapter was given."""
    data = make_dataset(1)

    def call(variant: str, *options: object) -> tuple[dict, dict]:
        command = ["run", "--plugin-dir", plugin, "--plugin", "weighty", "--variant", variant, "--dataset", data]
        name = bench.json(*command, "--engine", "local", *options)["run"]
        shown = bench.json("results", "show", name)
        log = bench.home / "runs" / name / shown["cases"][0]["log"]
        return shown, json.loads(log.read_text().splitlines()[-1])

    return call


def _added(bench: Bench, plugin: Path, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    bench("weights", "add", "--plugin-dir", plugin, "--from", tmp_path / name)


def test_record_says_where_the_model_comes_from(run) -> None:
    """Homepage, citation, licence and what it sees, as declared, are kept with the run; its board page shows them."""
    shown, _ = run("without")
    assert shown["record"]["model"] == {"homepage": "https://example.org", "citation": "A. Author, 2025"}
    assert shown["record"]["licences"]["code"] == "MIT"
    assert shown["record"]["sees"] == {"of": "2-D", "origin": "ours: slices"}


def test_pinned_weights_are_mounted_by_name(bench: Bench, plugin: Path, tmp_path: Path, run) -> None:
    """What was added by content reaches the adapter under its declared name, and is in plan and record."""
    _added(bench, plugin, tmp_path, "a.bin", RELEASED)
    shown, given = run("one")
    assert given["mode"] == "pinned"
    assert given["files"] == {"a.bin": RELEASED.decode()}
    assert given["params"]["width"] == 96
    digest = hashlib.sha256(RELEASED).hexdigest()
    assert shown["plan"]["weights"] == {"mode": "pinned", "files": {"a.bin": digest}}
    assert shown["record"]["weights"] == [{"name": "a.bin", "sha256": digest}]
    assert f"weights   a.bin sha256:{digest}" in bench("results", "show", shown["run"]).stdout
    assert [reason.partition(":")[0] for reason in shown["unrankable"]] == ["not isolated", "training not stated"]


def test_missing_weights_stop_the_run(bench: Bench, plugin: Path, make_dataset: Callable[..., Path]) -> None:
    """A run without its weights ends with 3, and says which command brings them."""
    command = ["run", "--plugin-dir", plugin, "--plugin", "weighty", "--dataset", make_dataset(1), "--engine", "local"]
    ended = bench(*command, code=3)
    assert "weighty one needs weights (a.bin), which have not been downloaded" in ended.stderr
    assert "`bench get --plugin weighty`" in ended.stderr


def test_nothing_to_fetch_is_said(bench: Bench) -> None:
    """A model without upstream sources, or without weights, does not end in silence."""
    assert (
        "nothing to fetch: rules does without upstream sources" in bench("sources", "fetch", "--plugin", "rules").stderr
    )
    assert (
        "nothing to fetch: rules does without released weights" in bench("weights", "fetch", "--plugin", "rules").stderr
    )


def test_all_missing_weights_are_named_at_once(bench: Bench, plugin: Path, make_dataset: Callable[..., Path]) -> None:
    """Where several files are missing, one message names them all, and one command brings them."""
    command = ["run", "--plugin-dir", plugin, "--plugin", "weighty", "--dataset", make_dataset(1), "--engine", "local"]
    ended = bench(*command, "--variant", "two", code=3)
    assert "weighty two needs weights (a.bin, b.bin; owner/name wants a log-in at the hub)" in ended.stderr
    assert "`bench get --plugin weighty`" in ended.stderr


def test_changed_weights_stop_the_run(bench: Bench, plugin: Path, tmp_path: Path, make_dataset) -> None:
    """A file of the store that is no longer what its name says is refused with 4."""
    _added(bench, plugin, tmp_path, "a.bin", RELEASED)
    (bench.home / "weights" / hashlib.sha256(RELEASED).hexdigest()).write_bytes(b"other")
    command = ["run", "--plugin-dir", plugin, "--plugin", "weighty", "--dataset", make_dataset(1), "--engine", "local"]
    assert "the weights a.bin were changed" in bench(*command, code=4).stderr


def test_unpinned_weights_run_unranked(bench: Bench, plugin: Path, tmp_path: Path, run) -> None:
    """Weights that their plugin does not pin are recorded as they came first, and never ranked."""
    _added(bench, plugin, tmp_path, "a.bin", RELEASED)
    _added(bench, plugin, tmp_path, "b.bin", b"whatever came")
    shown, given = run("two")
    assert given["files"]["b.bin"] == "whatever came"
    assert shown["plan"]["weights"]["files"]["b.bin"] == hashlib.sha256(b"whatever came").hexdigest()
    assert "weights not pinned by the plugin: b.bin" in shown["unrankable"]


def test_random_weights_load_nothing_and_shrink_the_model(run) -> None:
    """Without any weights here the true architecture runs, reduced as the variant declares, and is never ranked."""
    shown, given = run("one", "--weights", "random")
    assert given == {"mode": "random", "files": {}, "params": {"width": 8, "note": "x", "rate": 1.0}}
    assert "random weights: a smoke test of the architecture" in shown["unrankable"]
    assert "changed parameters: width=8" in shown["unrankable"]


def test_given_weights_are_taken_by_path(tmp_path: Path, run) -> None:
    """A folder with the declared names, or the file where one is declared, is mounted and never ranked."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"mine")
    for path in (folder, folder / "a.bin"):
        shown, given = run("one", "--weights", path)
        assert (given["mode"], given["files"]) == ("given", {"a.bin": "mine"})
        assert "weights given by path: not those that the plugin declares" in shown["unrankable"]


def test_what_is_loaded_is_the_runs_identity(tmp_path: Path, run) -> None:
    """Other content under the same path is another run; the same content elsewhere is the same one."""
    names = []
    for place, content in (("1", b"x"), ("2", b"y"), ("3", b"x")):
        (tmp_path / place).write_bytes(content)
        names.append(run("one", "--weights", tmp_path / place)[0]["run"])
    assert names[0] == names[2] != names[1]


@pytest.mark.parametrize(
    ("variant", "options", "code", "said"),
    [
        ("without", ["--weights", "somewhere"], 2, "weighty without does not load weights"),
        ("one", ["--weights", "/nowhere"], 3, "/nowhere does not contain the weights a.bin"),
        ("one", ["--weights", "random", "--param", "widht=1"], 2, "did you mean width?"),
        ("one", ["--weights", "random", "--param", "width"], 2, "write it as NAME=VALUE"),
        ("one", ["--weights", "random", "--param", "width=1.5"], 2, "width is a whole number"),
        ("one", ["--weights", "random", "--param", "width=true"], 2, "width is a whole number"),
        ("one", ["--weights", "random", "--param", "rate=fast"], 2, "rate is a number"),
        ("one", ["--weights", "random", "--param", "rate=NaN"], 2, "rate is a number"),
    ],
)
def test_what_does_not_fit_is_refused(bench, plugin, make_dataset, variant, options, code, said) -> None:
    """Wrong names, types and paths end before anything runs."""
    command = ["run", "--plugin-dir", plugin, "--plugin", "weighty", "--variant", variant, "--engine", "local"]
    assert said in bench(*command, "--dataset", make_dataset(1), *options, code=code).stderr


def test_parameters_are_changed_with_their_type(run) -> None:
    """A changed parameter reaches the adapter typed like the declared one, and the run says what was changed."""
    changes = ["--param", "width=16", "--param", "rate=2", "--param", "note=2"]
    shown, given = run("one", "--weights", "random", *changes)
    assert given["params"] == {"width": 16, "note": "2", "rate": 2.0}
    assert 'changed parameters: width=16, note="2", rate=2.0' in shown["unrankable"]
