"""Weights are known by their content; the first copy of what is not pinned is recorded and used from then on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import DataError, PrerequisiteError, UsageError
from harness.registry.pinned import Weights
from harness.upstream.weights import WeightsStore

CONTENT = b"the released weights" * 100
PINNED = Weights("a.bin", "owner/name", "a.bin", "", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "MIT")
OPEN = Weights("b.bin", "owner/name", "deep/c.bin", "", "", 0, "MIT")


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    """Return an empty store."""
    return WeightsStore(tmp_path / "weights")


def _file(tmp_path: Path, name: str, content: bytes = CONTENT) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_pinned_weights_are_known_by_content_alone(store: WeightsStore, tmp_path: Path) -> None:
    """Whatever the file is called, it is taken for what its digest says, and found again under it."""
    said: list[str] = []
    assert store.find(PINNED) is None
    assert store.add([PINNED, OPEN], _file(tmp_path, "download(1)"), said.append) == [PINNED]
    path, digest = store.check(PINNED)
    assert path.read_bytes() == CONTENT
    assert digest == PINNED.sha256
    assert PINNED.sha256 in said[0]
    assert list(store.root.glob("partial/*")) == []


def test_what_is_none_of_them_is_refused_with_both_digests(store: WeightsStore, tmp_path: Path) -> None:
    """A damaged download is named with its digest and the declared one; nothing is kept."""
    with pytest.raises(DataError) as raised:
        store.add([PINNED], _file(tmp_path, "a.bin", b"damaged"), print)
    assert hashlib.sha256(b"damaged").hexdigest() in raised.value.message
    assert PINNED.sha256 in raised.value.fix
    assert store.find(PINNED) is None


def test_a_wrong_declared_size_is_refused(store: WeightsStore, tmp_path: Path) -> None:
    """Digest and size that do not fit each other are a wrong declaration."""
    wrong = Weights("a.bin", "owner/name", "a.bin", "", PINNED.sha256, len(CONTENT) + 1, "MIT")
    with pytest.raises(DataError, match=r"have 2,000 bytes, the plugin declares 2,001"):
        store.add([wrong], _file(tmp_path, "a.bin"), print)
    assert store.find(wrong) is None


@pytest.mark.parametrize("name", ["b.bin", "c.bin"])
def test_unpinned_weights_are_known_by_name(store: WeightsStore, tmp_path: Path, name: str) -> None:
    """A file that is called like the declaration or like the file on the hub is taken, and recorded."""
    assert store.add([PINNED, OPEN], _file(tmp_path, name, b"first"), print) == [OPEN]
    received = store.received(OPEN)
    assert received is not None
    assert (received.sha256, received.size) == (hashlib.sha256(b"first").hexdigest(), 5)
    assert store.check(OPEN)[0].read_bytes() == b"first"


def test_unpinned_weights_of_another_name_want_their_name(store: WeightsStore, tmp_path: Path) -> None:
    """Nothing is guessed, also where there is one candidate; the one that was named is taken, whatever it is called."""
    file = _file(tmp_path, "download", b"first")
    with pytest.raises(DataError, match="does not match any declared weights") as raised:
        store.add([PINNED, OPEN], file, print)
    assert f"the plugins declare a.bin: {PINNED.sha256}; or give --name" in raised.value.fix
    assert raised.value.fix.endswith("not pinned: b.bin")
    with pytest.raises(DataError, match="does not match any declared weights"):
        store.add([OPEN], file, print)
    assert store.add([OPEN], file, print, named=True) == [OPEN]


CONFIGS = tuple(
    Weights(f"{model}--config.json", f"owner/{model}", "config.json", "", "", 0, "MIT") for model in ("a", "b", "c")
)


def test_one_file_is_not_the_configuration_of_three_models(store: WeightsStore, tmp_path: Path) -> None:
    """A name that several files have asks which one it is; the name of one of them, or its content, decides."""
    file = _file(tmp_path, "config.json", b"{}")
    with pytest.raises(
        UsageError, match=r"may be any of 3 declared files: a--config.json \(owner/a/config.json\)"
    ) as asks:
        store.add(CONFIGS, file, print)
    assert asks.value.fix == "say which one it is, e.g. --name a--config.json"
    assert not any(map(store.find, CONFIGS))
    assert store.add(CONFIGS, _file(tmp_path, "b--config.json", b"{}"), print) == [CONFIGS[1]]
    pinned = replace(CONFIGS[2], sha256=hashlib.sha256(b"{}").hexdigest())
    assert store.add([*CONFIGS[:2], pinned], file, print) == [pinned]


def test_the_path_in_the_repository_tells_files_of_one_name_apart(store: WeightsStore, tmp_path: Path) -> None:
    """As in a clone or a download of the whole repository."""
    first, second = (
        Weights(f"v{number}--last.pth", "owner/model", f"v{number}/last.pth", "", "", 0, "MIT") for number in (1, 2)
    )
    (tmp_path / "model" / "v2").mkdir(parents=True)
    file = _file(tmp_path / "model" / "v2", "last.pth", b"x")
    assert store.add([first, second], file, print) == [second]
    with pytest.raises(UsageError, match="may be any of 2"):
        store.add([first, second], _file(tmp_path, "last.pth", b"x"), print)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 7\n" % (b"a" * 64), "Git LFS pointer"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><title>Log in</title>", "a web page"),
        (b"<HTML><body>404", "a web page"),
        (b'<?xml version="1.0"?>\n<!-- x --><html xmlns="x">', "a web page"),
        (b"", "is empty"),
    ],
)
def test_what_comes_in_place_of_weights_is_refused(
    store: WeightsStore, tmp_path: Path, content: bytes, why: str
) -> None:
    """Nothing of it is recorded, so that the right file is not refused later."""
    with pytest.raises(DataError, match=why):
        store.add([OPEN], _file(tmp_path, "b.bin", content), print)
    with pytest.raises(DataError, match=why):
        store.add([OPEN], _file(tmp_path, "other", content), print, named=True)
    assert store.received(OPEN) is None
    assert store.add([OPEN], _file(tmp_path, "b.bin", b"right"), print) == [OPEN]


def test_a_file_beside_the_plugin_is_used_where_it_is(store: WeightsStore, tmp_path: Path) -> None:
    """By its declared digest, without a copy; nothing outside of the plugin's folder is."""
    root = tmp_path / "plugin"
    (root / "weights").mkdir(parents=True)
    beside = replace(Weights.beside("weights/w.pt", PINNED.sha256, len(CONTENT), licence="MIT"), root=root)
    assert (beside.name, beside.local) == ("w.pt", root / "weights" / "w.pt")
    with pytest.raises(PrerequisiteError, match="are missing") as raised:
        store.check(beside)
    assert f"put the file at {beside.local}" in raised.value.fix
    path = _file(root / "weights", "w.pt")
    assert store.check(beside) == (path, PINNED.sha256)
    assert not store.root.exists() or not (store.root / PINNED.sha256).exists()
    path.write_bytes(b"other")
    with pytest.raises(DataError, match="were changed"):
        store.check(beside)
    path.unlink()
    path.symlink_to(_file(tmp_path, "outside"))
    assert store.find(beside) is None


def test_what_came_first_holds(store: WeightsStore, tmp_path: Path) -> None:
    """Another file under the same declaration is refused, and the message says how to accept it."""
    store.add([OPEN], _file(tmp_path, "b.bin", b"first"), print)
    with pytest.raises(DataError, match="that of the first copy, which was recorded") as raised:
        store.add([OPEN], _file(tmp_path, "b.bin", b"second"), print)
    assert store.check(OPEN)[0].read_bytes() == b"first"
    record = raised.value.fix.split("remove ")[1].split(" to accept")[0]
    Path(record).unlink()
    store.add([OPEN], _file(tmp_path, "b.bin", b"second"), print)
    assert store.check(OPEN)[0].read_bytes() == b"second"


def test_a_changed_file_is_found_out(store: WeightsStore, tmp_path: Path) -> None:
    """A file of the store that was written to is refused, with what to do."""
    store.add([PINNED], _file(tmp_path, "a.bin"), print)
    path, _ = store.check(PINNED)
    path.chmod(0o644)
    path.write_bytes(b"x" + CONTENT[1:])
    for again in (False, True):
        with pytest.raises(DataError, match="were changed"):
            store.check(PINNED, again=again)


def test_missing_weights_say_how_to_get_them(store: WeightsStore) -> None:
    """Both ways are named: with a network and without."""
    with pytest.raises(PrerequisiteError, match="have not been downloaded") as raised:
        store.check(PINNED)
    assert "bench weights fetch --name a.bin" in raised.value.fix
    assert "bench weights add --from FILE" in raised.value.fix
    assert raised.value.lacking == "weights"


def test_a_damaged_record_is_named(store: WeightsStore, tmp_path: Path) -> None:
    """A record that cannot be read is bad data, not a traceback."""
    store.add([OPEN], _file(tmp_path, "b.bin", b"first"), print)
    (record,) = store.root.glob("unpinned/*.json")
    record.write_text(json.dumps({"sha256": 1}))
    with pytest.raises(DataError, match="is not a valid record of weights"):
        store.find(OPEN)


def test_a_full_disk_is_refused_before_anything_is_written(
    store: WeightsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers are in the message."""
    monkeypatch.setattr("harness.upstream.weights._KEEP_FREE", 10**18)
    with pytest.raises(PrerequisiteError, match=r"is too full: 0 MB are needed"):
        store.add([PINNED], _file(tmp_path, "a.bin"), print)
    assert store.find(PINNED) is None
