"""Checks of published weights, run in an image that has torch."""

from __future__ import annotations

import argparse
import multiprocessing
import pickle
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from groundbench_sdk.records import Rejected
from groundbench_sdk.torch_weights import link_files, load_state, read_state
from torch import nn


@contextmanager
def _rejects(*words: str) -> Iterator[None]:
    """Fail unless the block is refused with all of `words`."""
    try:
        yield
    except Rejected as raised:
        missing = [word for word in words if word not in str(raised)]
        if missing:
            raise AssertionError(f"it says {raised}, not {missing}") from raised
    else:
        raise AssertionError(f"nothing was refused; expected: {words}")


def _saved(folder: Path, content: Any) -> Path:
    path = folder / "weights.pt"
    torch.save(content, str(path))
    return path


def check_weights_are_found_below_a_key_and_without_their_wrapper(folder: Path) -> None:
    """The first key that exists counts; a prefix is removed where every name has it; other things are dropped."""
    state = {"module.a": torch.ones(2), "module.b": torch.zeros(1)}
    for content in (state, {"model": state}, {"epoch": 3, "model": {**state, "module.note": "x"}}):
        found = read_state(_saved(folder, content), "absent", "model")
        assert sorted(found) == ["a", "b"], found
    mixed = read_state(_saved(folder, {"module.a": torch.ones(2), "b": torch.ones(1)}))
    assert sorted(mixed) == ["b", "module.a"]


def check_what_trainers_keep_beside_the_weights_is_data(folder: Path) -> None:
    """Scalars of numpy, paths of any system and version of Python, and the arguments of the command."""
    kept: dict[str, Any] = {"best": np.float64(0.5), "at": np.int64(3), "done": np.bool_(1), "half": np.float16(1)}
    kept |= {"args": argparse.Namespace(out=Path("/data"), rate=1e-4), "model": {"a": torch.ones(1)}}
    path = _saved(folder, kept)
    assert list(read_state(path, "model")) == ["a"]
    _exchange(path, b"cpathlib\nPosixPath", b"cpathlib._local\nWindowsPath")
    assert list(read_state(path, "model")) == ["a"]


def _exchange(path: Path, old: bytes, new: bytes) -> None:
    """Exchange bytes in the pickle of a file of weights."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert any(old in content for content in parts.values())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(old, new) if name.endswith(".pkl") else content)


def check_a_refusal_is_one_sentence(folder: Path) -> None:
    """It names the object that is not data, and leaves out torch's advice to load it all the same."""
    path = _saved(folder, {"model": {"a": torch.ones(1)}, "more": torch.nn.Linear(1, 1)})
    try:
        read_state(path, "model")
    except Rejected as refused:
        said = str(refused)
    assert "torch.nn.modules.linear.Linear" in said
    assert len(said) < 200, said
    assert "\n" not in said
    assert "trust" not in said


class _Boom:
    def __reduce__(self) -> Any:
        return exec, ("open('/tmp/boom', 'w').close()",)


def check_a_pickle_that_runs_code_is_refused(folder: Path) -> None:
    """Nothing of it runs, whether torch wrote it or pickle did, and whether it is weights at all."""
    with _rejects("weights.pt cannot be read as plain data"):
        read_state(_saved(folder, {"model": {"a": torch.ones(1)}, "more": _Boom()}), "model")
    path = folder / "weights.pt"
    for content in (pickle.dumps(_Boom()), b"", b"version https://git-lfs", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with _rejects("weights.pt cannot be read as plain data"):
            read_state(path)
    assert not Path("/tmp/boom").exists()  # noqa: S108 - a container's own
    path.unlink()
    with _rejects("weights.pt do not exist"):
        read_state(path)


def check_what_holds_no_weights_is_refused(folder: Path) -> None:
    """A list or a lone tensor is data, but no weights by name."""
    for content in ([torch.ones(1)], torch.ones(1), {"model": [1, 2]}):
        with _rejects("does not contain named weights"):
            read_state(_saved(folder, content), "model")


def check_every_weight_finds_its_place(folder: Path) -> None:
    """What is unknown, missing or of another shape is an error with counts and names; nothing is loaded then."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    whole = {name: torch.full_like(value, 7.0) for name, value in net.state_dict().items()}
    for wrong, words in (
        ({**whole, "2.weight": torch.ones(1)}, ("of 4 names 4 match", "1 unknown: 2.weight")),
        ({name: whole[name] for name in list(whole)[1:]}, ("of 4 names 3 match", "1 missing: 0.weight")),
        ({**whole, "1.bias": torch.ones(2)}, ("of 4 names 3 match", "1 of another shape: 1.bias")),
    ):
        with _rejects(*words):
            load_state(net, wrong)
    assert not any((value == 7).any() for value in net.state_dict().values())
    load_state(net, whole)
    assert all((value == 7).all() for value in net.state_dict().values())


def check_declared_gaps_are_allowed(folder: Path) -> None:
    """Only the named ends of the file's names, and the named beginnings of the model's, may be without a partner."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    half = {name: torch.full_like(value, 7.0) for name, value in net.state_dict().items() if name.startswith("0.")}
    before = net[1].weight.clone()
    load_state(net, {**half, "x.position_ids": torch.ones(1)}, surplus=("position_ids",), absent=("1.",))
    assert (net[0].weight == 7).all()
    assert torch.equal(net[1].weight, before)
    with _rejects("1 unknown: x.position_ids"):
        load_state(net, {**half, "x.position_ids": torch.ones(1)}, absent=("1.",))


def check_files_are_linked_under_their_own_names(folder: Path) -> None:
    """Other files are not linked."""
    found = link_files(_published(folder), "clip--")
    assert {path.name: path.read_text() for path in found.iterdir()} == {
        "vocab.json": "clip--vocab.json",
        "merges.txt": "clip--merges.txt",
    }


def check_processes_that_load_at_the_same_time_do_not_clash(folder: Path) -> None:
    """A thousand times two of them link the same files from the same moment on: none fails, each has all."""
    weights, context = _published(folder), multiprocessing.get_context("fork")
    together = context.Barrier(2)

    def load() -> None:
        for _ in range(1000):
            together.wait(60)
            found = link_files(weights, "clip--")
            assert sorted(path.name for path in found.iterdir()) == ["merges.txt", "vocab.json"]
            shutil.rmtree(found)

    processes = [context.Process(target=load) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]


def _published(folder: Path) -> Path:
    """Return a folder of weights with the files of a tokenizer among them."""
    weights = folder / "weights"
    weights.mkdir()
    for name in ("clip--vocab.json", "clip--merges.txt", "model.pt"):
        (weights / name).write_text(name)
    return weights


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        globals()[sys.argv[1]](Path(home))
