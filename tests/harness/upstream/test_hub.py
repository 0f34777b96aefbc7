"""Downloads from a hub on this machine, over real sockets: whole, resumed, refused, cut short, wrong."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import DataError, PrerequisiteError
from harness.registry.pinned import Weights
from harness.upstream.hub import fetch
from harness.upstream.weights import Received, WeightsStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Bench

CONTENT = bytes(range(256)) * 20_000  # more than two chunks
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "c" * 40
PINNED = Weights("a.bin", "owner/name", "deep/a.bin", COMMIT, DIGEST, len(CONTENT), "MIT")
OPEN = Weights("b.bin", "owner/name", "b.bin", "", "", 0, "MIT", gated=True, repo_type="dataset")


class Hub:
    """A hub that does as the test says: redirects to its store as the real one does, and can break off."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.status = 200
        self.break_after: int | None = None
        self.claim: int | None = None  #: Content-Length, where it lies
        self.length = True
        self.ranges = True
        self.weak = False
        self.requests: list[tuple[str, dict[str, str]]] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append((handler.path, headers))
        if "/resolve/" in handler.path:
            handler.send_response(self.status if self.status != 200 else 302)
            handler.send_header("Location", "/store/blob")
            handler.send_header("X-Repo-Commit", COMMIT)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        tag = f'"{hashlib.sha256(self.content).hexdigest()[:8]}"'
        start = 0
        if self.ranges and "range" in headers and headers.get("if-range", tag) == tag:
            start = int(headers["range"].removeprefix("bytes=").removesuffix("-"))
        if start > len(self.content) - 1:
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", f"W/{tag}" if self.weak else tag)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.length:
            handler.send_header("Content-Length", str(len(body) if self.claim is None else self.claim))
        handler.end_headers()
        handler.wfile.write(body if self.break_after is None else body[: self.break_after])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Run a hub and point the environment at it."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setattr("harness.upstream.transfer.TRIES", 1)  # one request a call, where not told otherwise
        yield hub
        server.shutdown()
        thread.join()


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    """Return an empty store."""
    return WeightsStore(tmp_path / "weights")


def test_pinned_weights_come_whole(hub: Hub, store: WeightsStore) -> None:
    """From the declared revision, digest checked, nothing partial left; a second call sends no request."""
    said: list[str] = []
    assert fetch(PINNED, store, said.append).read_bytes() == CONTENT
    assert hub.requests[0][0] == f"/owner/name/resolve/{COMMIT}/deep/a.bin"
    assert list((store.root / "partial").iterdir()) == []
    assert DIGEST in said[-1]
    asked = len(hub.requests)
    fetch(PINNED, store, said.append)
    assert len(hub.requests) == asked


def test_unpinned_weights_are_recorded_as_they_came(hub: Hub, store: WeightsStore) -> None:
    """From a data set's repository at its newest revision, whose commit the hub tells."""
    fetch(OPEN, store, print)
    assert hub.requests[0][0] == "/datasets/owner/name/resolve/main/b.bin"
    received = store.received(OPEN)
    assert received is not None
    assert (received.sha256, received.size, received.revision) == (DIGEST, len(CONTENT), COMMIT)


@pytest.mark.parametrize("weights", [PINNED, OPEN])
def test_a_download_that_broke_off_goes_on(hub: Hub, store: WeightsStore, weights: Weights) -> None:
    """What has come is kept, only the rest is asked for, and the digest covers both."""
    hub.break_after = 3_000_000
    with pytest.raises(PrerequisiteError, match="download from http") as raised:
        fetch(weights, store, print)
    assert "the same command resumes it" in raised.value.fix
    assert store.find(weights) is None
    have = store.partial(weights).stat().st_size
    assert 0 < have <= 3_000_000
    hub.break_after = None
    said: list[str] = []
    assert fetch(weights, store, said.append).read_bytes() == CONTENT
    assert hub.requests[-1][1]["range"] == f"bytes={have}-"
    assert "3 MB already received" in said[0] or "2 MB already received" in said[0]


def test_a_file_that_changed_meanwhile_begins_again(hub: Hub, store: WeightsStore) -> None:
    """An unpinned file that is another one now is not put together from two."""
    hub.break_after = 3_000_000
    with pytest.raises(PrerequisiteError):
        fetch(OPEN, store, print)
    hub.break_after, hub.content = None, CONTENT[::-1]
    assert fetch(OPEN, store, print).read_bytes() == CONTENT[::-1]


def test_a_weak_tag_is_none(hub: Hub, store: WeightsStore) -> None:
    """A tag that does not speak of bytes does not tell that the rest is of the same file."""
    hub.weak, hub.break_after = True, 3_000_000
    with pytest.raises(PrerequisiteError):
        fetch(OPEN, store, print)
    hub.break_after, hub.content = None, CONTENT[::-1]
    assert fetch(OPEN, store, print).read_bytes() == CONTENT[::-1]
    assert "range" not in hub.requests[-1][1]


def test_a_hub_without_ranges_begins_again(hub: Hub, store: WeightsStore) -> None:
    """An answer with the whole file replaces the earlier part."""
    hub.break_after = 3_000_000
    with pytest.raises(PrerequisiteError):
        fetch(PINNED, store, print)
    hub.break_after, hub.ranges = None, False
    assert fetch(PINNED, store, print).read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_begins_again(hub: Hub, store: WeightsStore) -> None:
    """A range beyond the end does not end the download."""
    store.partial(PINNED).write_bytes(CONTENT + b"more")
    assert fetch(PINNED, store, print).read_bytes() == CONTENT


def test_a_damaged_partial_file_is_found_out(hub: Hub, store: WeightsStore) -> None:
    """The digest is of what lies on the disk; the next try begins from nothing."""
    store.partial(PINNED).write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match="are wrong: their SHA-256"):
        fetch(PINNED, store, print)
    assert fetch(PINNED, store, print).read_bytes() == CONTENT


def test_a_wrong_digest_is_refused(hub: Hub, store: WeightsStore) -> None:
    """Both digests are named, and nothing is kept."""
    hub.content = CONTENT[::-1]
    with pytest.raises(DataError, match=f"the declared one is {DIGEST}"):
        fetch(PINNED, store, print)
    assert store.find(PINNED) is None
    assert not store.partial(PINNED).exists()


@pytest.mark.parametrize(("status", "token"), [(401, ""), (403, "secret"), (401, "secret")])
def test_a_gated_repository_says_how_to_log_in(
    hub: Hub, store: WeightsStore, monkeypatch: pytest.MonkeyPatch, status: int, token: str
) -> None:
    """The page, the terms, the token, and the way without; the token itself is not shown."""
    hub.status = status
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(PrerequisiteError, match="is gated or private") as raised:
        fetch(OPEN, store, print)
    assert "/datasets/owner/name and accept its terms" in raised.value.fix
    assert "HF_TOKEN" in raised.value.fix
    assert "bench weights add --from FILE" in raised.value.fix
    assert "secret" not in raised.value.message + raised.value.fix
    assert hub.requests[0][1].get("authorization") == (f"Bearer {token}" if token else None)


@pytest.mark.parametrize(
    ("variable", "value", "file"),
    [
        ("HF_TOKEN_PATH", "{}/my-token", "my-token"),
        ("HF_HOME", "{}/hub", "hub/token"),
        ("XDG_CACHE_HOME", "{}/cache", "cache/huggingface/token"),
        ("HOME", "{}/me", "me/.cache/huggingface/token"),
    ],
)
def test_the_log_in_of_the_hub_is_used(
    hub: Hub, store: WeightsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, file: str
) -> None:
    """The token is read where `hf auth login` wrote it; HF_TOKEN comes before it, and no message shows either."""
    told: list[str] = []
    monkeypatch.setenv(variable, value.format(tmp_path))
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("hf_of_the_file\n")
    hub.status = 403
    with pytest.raises(PrerequisiteError, match="with the token in the log-in file") as raised:
        fetch(OPEN, store, told.append)
    assert hub.requests[-1][1]["authorization"] == "Bearer hf_of_the_file"
    assert "hf_of" not in "".join(told) + raised.value.message + raised.value.fix
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_variable")
    with pytest.raises(PrerequisiteError, match="with the token in HF_TOKEN") as raised:
        fetch(OPEN, store, told.append)
    assert hub.requests[-1][1]["authorization"] == "Bearer hf_of_the_variable"
    assert "hf_of" not in "".join(told) + raised.value.message + raised.value.fix


def test_a_token_that_is_none_is_not_shown(hub: Hub, store: WeightsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be a token is refused before the HTTP library would put it into an error."""
    monkeypatch.setenv("HF_TOKEN", "secret\nof two lines")
    with pytest.raises(PrerequisiteError, match="not valid in a token") as raised:
        fetch(OPEN, store, print)
    assert "secret" not in raised.value.message + raised.value.fix
    assert not hub.requests


@pytest.mark.parametrize(("status", "said"), [(404, "does not contain b.bin at main"), (503, "answered 503")])
def test_other_refusals_are_told(hub: Hub, store: WeightsStore, status: int, said: str) -> None:
    """A file that is not there, and a hub that cannot."""
    hub.status = status
    with pytest.raises(PrerequisiteError, match=said):
        fetch(OPEN, store, print)


def test_a_size_that_is_not_the_declared_one_is_refused_at_once(hub: Hub, store: WeightsStore) -> None:
    """Not after gigabytes: the hub says beforehand how large the file is."""
    hub.content = CONTENT + b"x"
    with pytest.raises(DataError, match=r"declares 5,120,000 bytes, is sent with 5,120,001"):
        fetch(PINNED, store, print)
    assert store.partial(PINNED).stat().st_size == 0


def test_an_answer_without_a_length_is_bounded(hub: Hub, store: WeightsStore) -> None:
    """Without a declared size nothing bounds it: refused. With one, no byte more is taken."""
    hub.length = False
    with pytest.raises(DataError, match="an unstated number of bytes"):
        fetch(OPEN, store, print)
    assert fetch(PINNED, store, print).read_bytes() == CONTENT


def test_more_than_announced_is_not_taken(hub: Hub, store: WeightsStore) -> None:
    """A hub without lengths that sends more than declared is refused, and leaves nothing."""
    hub.length, hub.content = False, CONTENT * 2
    with pytest.raises(DataError, match="sent more than"):
        fetch(PINNED, store, print)
    assert store.partial(PINNED).stat().st_size == 0


def test_nobody_answers(store: WeightsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the other way is named."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(PrerequisiteError, match="the download from http") as raised:
        fetch(PINNED, store, print)
    assert "bench weights add --from FILE" in raised.value.fix


def test_a_disk_that_is_too_small_is_told_before(
    hub: Hub, store: WeightsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both numbers, and no byte of the file was written."""
    monkeypatch.setattr("harness.upstream.weights._KEEP_FREE", 10**18)
    with pytest.raises(PrerequisiteError, match="is too full: 5 MB are needed"):
        fetch(PINNED, store, print)
    assert store.partial(PINNED).stat().st_size == 0


def test_a_disk_that_fills_up_meanwhile(hub: Hub, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system's message reaches the caller; no partial file is taken for complete."""
    store = WeightsStore(small_disk / "weights")

    def fill(_: int) -> None:
        with (small_disk / "other").open("wb") as other:
            os.posix_fallocate(other.fileno(), 0, shutil.disk_usage(small_disk).free - 2 * 2**20)

    monkeypatch.setattr(store, "require_room", fill)
    with pytest.raises(OSError, match="No space left") as raised:
        fetch(PINNED, store, print)
    assert raised.value.errno == errno.ENOSPC
    assert store.find(PINNED) is None


def test_two_at_once_do_not_mix(hub: Hub, store: WeightsStore) -> None:
    """The second reports that the first is downloading."""
    with store.partial(PINNED).open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(PrerequisiteError, match="another process is downloading"):
            fetch(PINNED, store, print)


def _meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen once, between the moment that a partial file is opened and that it is claimed."""
    real = fcntl.flock

    def flock(file: Any, operation: int) -> None:
        monkeypatch.setattr("harness.upstream.hub.fcntl.flock", real)
        happens()
        real(file, operation)

    monkeypatch.setattr("harness.upstream.hub.fcntl.flock", flock)


@pytest.mark.parametrize("weights", [PINNED, OPEN])
def test_another_process_finished_meanwhile(
    hub: Hub, store: WeightsStore, monkeypatch: pytest.MonkeyPatch, weights: Weights
) -> None:
    """What it brought is returned, and not a byte of it written over."""
    hub.break_after = 3_000_000
    with pytest.raises(PrerequisiteError):
        fetch(weights, store, print)
    hub.break_after = None
    asked: list[int] = []

    def finish() -> None:
        fetch(weights, WeightsStore(store.root), print)
        asked.append(len(hub.requests))

    _meanwhile(monkeypatch, finish)
    assert fetch(weights, store, print).read_bytes() == CONTENT
    assert asked == [len(hub.requests)]
    assert list((store.root / "partial").iterdir()) == []


def test_another_process_failed_meanwhile(hub: Hub, store: WeightsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written into a file that has no name any more, and nothing is recorded of it."""

    def fail() -> None:
        hub.content = CONTENT[::-1]
        with pytest.raises(DataError, match="are wrong: their SHA-256"):
            fetch(PINNED, WeightsStore(store.root), print)
        hub.content = CONTENT

    _meanwhile(monkeypatch, fail)
    with pytest.raises(PrerequisiteError, match="another process is downloading"):
        fetch(PINNED, store, print)
    assert store.find(PINNED) is None
    assert fetch(PINNED, store, print).read_bytes() == CONTENT


def test_what_is_whole_is_kept_before_it_is_let_go(
    hub: Hub, store: WeightsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process cannot claim a finished file between its last byte and its name."""
    keep = store.keep

    def check(weights: Weights, received: Received, arrived: Path) -> Path:
        with arrived.open("ab") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return keep(weights, received, arrived)

    monkeypatch.setattr(store, "keep", check)
    assert fetch(PINNED, store, print).read_bytes() == CONTENT


def test_adding_a_file_disturbs_no_download(hub: Hub, store: WeightsStore, tmp_path: Path) -> None:
    """A copy goes its own way: what has come of a download is as it was, whether the file is taken or refused."""
    hub.break_after = 3_000_000
    with pytest.raises(PrerequisiteError):
        fetch(PINNED, store, print)
    begun = store.partial(PINNED).read_bytes()
    assert begun
    wrong = replace(PINNED, size=1)
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with pytest.raises(DataError, match="the plugin declares 1"):
        store.add([wrong], tmp_path / "a.bin", print)
    store.add([PINNED], tmp_path / "a.bin", print)
    assert store.partial(PINNED).read_bytes() == begun
    assert list(store.root.glob(".partial-*")) == []


def test_the_command_line_fetches(hub: Hub, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`bench weights fetch`, `list` and `verify` from one declaration."""
    for name in ("HF_ENDPOINT", "NO_PROXY"):
        bench.environment[name] = os.environ[name]
    folder = tmp_path / "fetching"
    folder.mkdir()
    (folder / "Dockerfile").touch()
    (folder / "__init__.py").write_text(
        "from pathlib import Path\nfrom harness import Model, Weights, hookimpl\n\n\n"
        "@hookimpl\ndef bench_models():\n"
        "    return [Model(name='fetching', title='F', summary='F.', version='1', root=Path(__file__).parent,\n"
        f"                  weights=({PINNED!r}, {OPEN!r}))]\n"
    )
    options = ("--plugin-dir", folder, "--plugin", "fetching")
    assert bench.json("weights", "verify", *options, code=3)["verified"][0]["state"] == "missing"
    ended = bench("weights", "fetch", *options)
    assert [line.split("/")[-1] for line in ended.stdout.splitlines()] == [DIGEST, DIGEST]
    first, second = bench.json("weights", "list", *options)["weights"]
    assert (first["here"], first["pinned"], first["sha256"]) == (True, True, DIGEST)
    assert (second["here"], second["pinned"], second["revision"]) == (True, False, COMMIT)
    assert "(not pinned)" in bench("weights", "list", *options).stdout
    bench("weights", "verify", *options)
    (bench.home / "weights" / DIGEST).write_bytes(b"damaged")
    assert bench.json("weights", "verify", *options, code=4)["verified"][0]["state"] == "changed"
