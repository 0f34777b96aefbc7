"""The bounded store of arrays: what is kept comes back, the oldest go first, processes do not clash."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from groundbench_sdk.sample_cache import SampleCache


def _array(value: int) -> dict[str, np.ndarray]:
    return {"a": np.full(1000, value, np.uint8)}


def _held(folder: Path) -> set[int]:
    found = set()
    for path in folder.glob("*.npz"):
        with np.load(path) as kept:
            found.add(int(kept["a"][0]))
    return found


def test_one_of_many_arrays_is_read_alone(tmp_path: Path) -> None:
    """All that was made is kept, and only what is wanted comes back, made or read."""
    cache = SampleCache(tmp_path, 10_000)
    made = {"a": np.zeros(3), "b": np.ones(2)}
    for _ in range(2):
        assert list(cache.get("one", lambda: made, only=["b"])) == ["b"]
    assert cache.get("one", dict)["a"].shape == (3,)
    with pytest.raises(KeyError, match="c"):
        cache.get("one", lambda: made, only=["c"])


@pytest.mark.parametrize("left", [0, 100, 1200])
def test_made_once_then_read(tmp_path: Path, left: int) -> None:
    """A second request reads the file; one that a dead machine left cut short, or empty, is made again."""
    cache = SampleCache(tmp_path, 10_000)
    assert cache.get("one", lambda: _array(1))["a"][0] == 1
    assert cache.get("one", lambda: _array(2))["a"][0] == 1
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size > 1200
    file.write_bytes(file.read_bytes()[:left])
    assert cache.get("one", lambda: _array(3))["a"][0] == 3
    assert _held(tmp_path) == {3}


def test_room_on_the_disk_is_left_to_others(tmp_path: Path) -> None:
    """Where the disk has less than is kept free, arrays are made anew each time."""
    cache = SampleCache(tmp_path, 10_000, keep_free=2**62)
    assert [cache.get("one", lambda value=value: _array(value))["a"][0] for value in (1, 2)] == [1, 2]
    assert _held(tmp_path) == set()


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    """The bound holds, whatever is larger is not kept, and reading counts as use."""
    cache = SampleCache(tmp_path, 4000)
    for value in (1, 2, 3):
        cache.get(str(value), lambda value=value: _array(value))
        for number, path in enumerate(sorted(tmp_path.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)):
            os.utime(path, (number, number))
    cache.get("1", lambda: _array(9))
    cache.get("4", lambda: _array(4))
    assert _held(tmp_path) == {1, 3, 4}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000
    cache.get("large", lambda: {"a": np.zeros(5000, np.uint8)})
    assert _held(tmp_path) == {1, 3, 4}


def test_another_process_removed_it_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that make room at once choose the same file; the slower one goes on."""
    cache = SampleCache(tmp_path, 1500)
    cache.get("1", lambda: _array(1))
    unlink = Path.unlink

    def twice(path: Path, *arguments: bool) -> None:
        unlink(path)
        unlink(path, *arguments)

    monkeypatch.setattr(Path, "unlink", twice)
    assert cache.get("2", lambda: _array(2))["a"][0] == 2
    assert _held(tmp_path) == {2}


def test_a_disk_without_room_for_the_file(tmp_path: Path) -> None:
    """Arrays come back although nothing can be kept."""
    cache = SampleCache(tmp_path / "gone", 4000)
    (tmp_path / "gone").rmdir()
    assert cache.get("1", lambda: _array(1))["a"][0] == 1
