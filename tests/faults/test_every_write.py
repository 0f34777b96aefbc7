"""A command that is killed at any of its writes: what says that it is done is whole, and the same command heals all."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Bench

pytestmark = pytest.mark.costly

#: Every write of a command is a run of it, so the usual suite kills at a few, and the slow one at each.
STRIDES = [pytest.param(1, marks=pytest.mark.slow), 5]

PLUGINS = Path(__file__).resolve().parents[1] / "e2e" / "plugins"

#: Ends the process silently after its n-th write: a commit, or a file that got its content, its name or its end.
_KILLED = """
import os, pathlib, sys
from contextlib import contextmanager
from harness.store.database import Store

left, me = int(sys.argv.pop(1)), os.getpid()

def written(what):
    global left
    if os.getpid() == me:
        left -= 1
        if left == 0:
            os.write(2, f"KILLED after {what}".encode())
            os.kill(me, 9)

commit = Store.write

@contextmanager
def write(self, **options):
    with commit(self, **options) as db:
        yield db
    written("commit")

Store.write = write
for name in ("rename", "replace", "write_text", "write_bytes", "symlink_to"):
    def wrapped(self, *args, _original=getattr(pathlib.Path, name), _name=name, **options):
        ended = _original(self, *args, **options)
        written(f"{_name} {self.name}")
        return ended
    setattr(pathlib.Path, name, wrapped)

from harness.cli import main
if __name__ == "__main__":
    main()
"""


def _killed(bench: Bench, command: list[object], at: int) -> str:
    """Run a command that is killed after its write number `at`; return after what, or nothing where it ended."""
    program = ("-c", _KILLED, str(at))
    process = replace(bench, program=program).popen(*command)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, -9), err
    return err.partition("KILLED after ")[2] if process.returncode else ""


def _rows(home: Path) -> dict[str, list[Any]]:
    """Return everything of the database that must not depend on what happened on the way."""
    asked = {
        "runs": "select id, state, n_cases, n_findings, rankable from runs order by 1",
        "cases": "select run, [case], ordinal, status, scored from cases order by 1, 2",
        "findings": "select run, [case], finding, status, dice, mask_sha256 from findings order by 1, 2, 3",
        "metrics": "select * from metrics order by 1, 2, 3, 4",
        "trainings": "select key, state, sha256 from trainings order by 1",
        "training": "select key, step, steps, epoch, losses, val_dice from training order by 1, 2",
    }
    if not (home / "results.db").is_file():
        return {name: [] for name in asked}
    with closing(sqlite3.connect(home / "results.db")) as db:
        known = {row[0] for row in db.execute("select name from sqlite_master")}
        return {name: db.execute(query).fetchall() if name in known else [] for name, query in asked.items()}


def _done_is_whole(now: dict[str, list[Any]], good: dict[str, list[Any]]) -> bool:
    """Return whether what says that it is done has everything that the undisturbed row has."""
    done = any(row[1] == "done" for row in now["runs"])
    trained = any(row[1] == "done" for row in now["trainings"])
    whole = all(now[table] == good[table] for table in ("cases", "findings", "metrics"))
    return (not done or whole) and (not trained or now["training"] == good["training"])


def _files(home: Path) -> dict[str, bytes | str]:
    """Return every file and link below a home that has its last name, with what it holds."""
    found: dict[str, bytes | str] = {}
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if "/." in f"/{name}" or "/partial/" in f"/{name}" or name.endswith((".partial", ".tag", ".jsonl")):
            continue
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def _trials(bench: Bench, command: list[object], stride: int = 1) -> Iterator[tuple[str, Bench]]:
    """Kill a command at each of its writes, each in its own home; yield where that was."""
    at = 1
    while True:
        trial = replace(bench, home=bench.home.with_name(f"killed-{at}"))
        if bench.home.with_name("before").is_dir():
            shutil.copytree(bench.home.with_name("before"), trial.home, symlinks=True)
        where = _killed(trial, command, at)
        if not where:
            break
        yield f"write {at}, {where}", trial
        shutil.rmtree(trial.home, ignore_errors=True)
        at += stride
    assert at > stride, "the command wrote nothing that this test sees"


def _rows_survive(bench: Bench, command: list[object], stride: int = 1) -> None:
    bench(*command)
    good = _rows(bench.home)
    assert good["runs"]
    for where, trial in _trials(bench, command, stride):
        assert _done_is_whole(_rows(trial.home), good), where
        trial(*command)
        assert _rows(trial.home) == good, where
        run = next(row[0] for row in good["runs"])
        assert trial.json("results", "verify", run, "--jobs", 1)["differences"] == [], where


def _files_survive(bench: Bench, command: list[object], stride: int = 1) -> None:
    bench(*command)
    good = _files(bench.home)
    assert good
    for where, trial in _trials(bench, command, stride):
        between = _files(trial.home)
        assert {name: good.get(name) for name in between} == between, where
        trial(*command)
        assert _files(trial.home) == good, where


@pytest.mark.parametrize("stride", STRIDES)
def test_score(stride: int, bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """Masks from elsewhere: no row, or all of it."""
    data = make_dataset(2)
    shutil.copytree(data / "seg", tmp_path / "masks")
    _rows_survive(bench, ["score", tmp_path / "masks", "--dataset", data, "--name", "mine", "--jobs", 1], stride)


@pytest.mark.parametrize("stride", STRIDES)
def test_score_several(stride: int, bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """Several submissions: each has no row, or all of its row, at every write."""
    data = make_dataset(2)
    command: list[object] = ["score", "--dataset", data, "--jobs", 1]
    for name in ("first", "second", "third"):
        shutil.copytree(data / "seg", tmp_path / name)
        command.append(tmp_path / name)
    bench(*command)
    good, seen = _rows(bench.home), set()
    for where, trial in _trials(bench, command, stride):
        now = _rows(trial.home)
        names = {row[0] for row in now["runs"]}
        seen.add(len(names))
        for table in ("runs", "cases", "findings", "metrics"):
            assert now[table] == [row for row in good[table] if row[0] in names], (where, table)
        trial(*command)
        assert _rows(trial.home) == good, where
    assert 0 in seen


@pytest.mark.slow
def test_score_again(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """A second score of the same masks leaves the first row as it is, or replaces it as a whole."""
    data = make_dataset(1)
    shutil.copytree(data / "seg", tmp_path / "masks")
    command: list[object] = ["score", tmp_path / "masks", "--dataset", data, "--name", "mine", "--jobs", 1]
    bench(*command)
    shutil.copytree(bench.home, bench.home.with_name("before"))
    _rows_survive(bench, command)


@pytest.mark.parametrize("stride", [STRIDES[0], 8])
def test_run(stride: int, bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A run: the state "done" comes last."""
    data = make_dataset(2)
    _rows_survive(bench, ["run", "--plugin", "oracle", "--engine", "local", "--dataset", data], stride)


def test_results_show(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """A table of instances that is written from a row: not there, or whole; the row is not touched."""
    data = make_dataset(1)
    shutil.copytree(data / "seg", tmp_path / "masks")
    bench("score", tmp_path / "masks", "--dataset", data, "--name", "mine", "--jobs", 1)
    rows, table = _rows(bench.home), tmp_path / "instances.csv"
    command: list[object] = ["results", "show", "mine-submitted", "--instances", table]
    bench(*command)
    whole, at = table.read_bytes(), 1
    table.unlink()
    while _killed(bench, command, at):
        assert not table.exists() or table.read_bytes() == whole, at
        assert _rows(bench.home) == rows, at
        bench(*command)
        assert table.read_bytes() == whole, at
        table.unlink()
        at += 1
    assert at > 1


@pytest.mark.slow
def test_train(bench: Bench, splits_writer: Callable[..., Path], tmp_path: Path) -> None:
    """A training and the run after it, killed at every fourth write: the same checkpoint, the same row."""
    data = splits_writer(tmp_path / "data")
    command: list[object] = ["run", "--plugin", "learner", "--plugin-dir", PLUGINS / "learner", "--engine", "local"]
    _rows_survive(bench, [*command, "--dataset", data, "--limit", 1], stride=4)


@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("again", [False, True])
def test_data_fetch(
    *, again: bool, stride: int, bench: Bench, splits_writer: Callable[..., Path], tmp_path: Path
) -> None:
    """Links to a download: no data set, or all of it; also where it takes the place of an earlier one."""
    rex = splits_writer(tmp_path / "rex", lambda n: f"train_{n}_a_1")
    (rex / "seg").rename(rex / "segmentations")
    for ct in (rex / "ct").iterdir():
        patient = ct.name.removesuffix("_a_1.nii.gz")
        folder = tmp_path / "ct-rate" / "dataset" / "train_fixed" / patient / f"{patient}_a"
        folder.mkdir(parents=True)
        ct.rename(folder / ct.name)
    index = json.loads((rex / "dataset.json").read_text())
    (rex / "dataset.json").write_text(json.dumps({"train": index["train"][:2], "test": index["test"][:1]}))
    command: list[object] = ["data", "fetch", "rexgroundingct", "--rexgroundingct", rex]
    command += ["--ct-rate", tmp_path / "ct-rate"]
    if again:
        bench(*command)
        shutil.copytree(bench.home, bench.home.with_name("before"), symlinks=True)
    _files_survive(bench, command, stride)


PLUGIN = """
from pathlib import Path
from harness import Model, Variant, Weights, hookimpl

@hookimpl
def bench_models():
    return [Model(name="weighty", title="W", summary="W.", version="1", root=Path(__file__).parent, adapter="adapter:A",
        variants=(Variant("v"),), weights=(Weights("a.bin", "owner/name", "a.bin", "", "{digest}", 0, "MIT"),))]
"""


def _weighty(folder: Path, digest: str) -> Path:
    folder.mkdir()
    (folder / "__init__.py").write_text(PLUGIN.format(digest=digest))
    (folder / "adapter.py").write_text("class A: ...\n")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("verb", ["add", "fetch"])
def test_weights(*, pinned: bool, verb: str, bench: Bench, tmp_path: Path) -> None:
    """Weights that are taken in: not there, or whole under their digest, and what is not pinned is recorded."""
    content = b"released" * 1000
    file = tmp_path / "hub/owner/name/resolve/main/a.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    folder = _weighty(tmp_path / "weighty", hashlib.sha256(content).hexdigest() if pinned else "")
    command: list[object] = ["weights", verb, "--plugin-dir", folder]
    if verb == "add":
        _files_survive(bench, [*command, "--from", file])
        return
    with _served(tmp_path / "hub") as address:
        environment = {**bench.environment, "HF_ENDPOINT": address, "NO_PROXY": "127.0.0.1"}
        _files_survive(replace(bench, environment=environment), [*command, "--plugin", "weighty"])


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder, as a hub does; return its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


SOURCED = """
from pathlib import Path
from harness import Model, Source, Variant, hookimpl

@hookimpl
def bench_models():
    source = Source("upstream", "https://example.org/upstream.git", "{commit}", "MIT", tree="{tree}")
    return [Model(name="sourced", title="S", summary="S.", version="1", root=Path(__file__).parent, adapter="adapter:A",
        variants=(Variant("v"),), sources=(source,))]
"""


@pytest.mark.parametrize("verb", ["add", "fetch"])
def test_sources(verb: str, bench: Bench, tmp_path: Path) -> None:
    """A source that is taken in: not there, or the whole tree of its commit."""
    upstream, folder = tmp_path / "upstream", tmp_path / "sourced"
    for path in (upstream / "deep", folder):
        path.mkdir(parents=True)
    for name in ("a.py", "deep/b.py"):
        (upstream / name).write_text(f"# {name}\n")
    commands: list[list[str]] = [["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]]
    git = ["git", "-C", str(upstream), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in commands:
        subprocess.run([*git, *command], check=True)
    asked = [*git, "rev-parse", "HEAD", "HEAD^{tree}"]
    commit, tree = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    (folder / "__init__.py").write_text(SOURCED.format(commit=commit, tree=tree))
    (folder / "adapter.py").write_text("class A: ...\n")
    (folder / "Dockerfile").write_text("FROM scratch\n")
    command: list[object] = ["sources", verb, "--plugin-dir", folder, "--name", "upstream"]
    (tmp_path / "gitconfig").write_text(f'[url "file://{upstream}"]\n\tinsteadOf = https://example.org/upstream.git\n')
    bench = replace(bench, environment={**bench.environment, "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")})
    _files_survive(bench, [*command, "--from", upstream] if verb == "add" else command)
