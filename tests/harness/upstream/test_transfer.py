"""Downloads from hosts that behave as real ones do: storage on another host, broken lines, limits, log-in pages."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from harness.errors import DataError, PrerequisiteError
from harness.registry.pinned import Weights
from harness.upstream.hub import ask, fetch
from harness.upstream.weights import PUBLIC_HUB, WeightsStore
from tests.stand_in_web import COMMIT, HUB, RELEASES, STORAGE, TOKEN, Asked, Blob, Web

LARGE = Weights("model.pt", "owner/name", "sub/model.pt", "", "", 0, "MIT")
SMALL = Weights("config.json", "owner/name", "config.json", "", "", 0, "MIT")
CONTENT = bytes(range(256)) * 12_000


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return how long each wait would have been."""
    waited: list[float] = []
    monkeypatch.setattr("harness.upstream.transfer.sleep", waited.append)
    return waited


@pytest.fixture(autouse=True)
def hub(hosts: Web) -> Web:
    """Return the hosts, with a large and a small file on the hub."""
    hosts.blobs = {
        ("owner/name", "sub/model.pt"): Blob(CONTENT),
        ("owner/name", "config.json"): Blob(b"{}", large=False),
    }
    return hosts


def test_a_large_file_is_verified_by_what_the_hub_states(hub: Web, store: WeightsStore) -> None:
    """Its SHA-256, its bytes and its commit stand in the redirect; it is recorded as pinned by the hub."""
    assert fetch(LARGE, store, print).read_bytes() == CONTENT
    received = store.received(LARGE)
    assert received is not None
    assert (received.sha256, received.size) == (Blob(CONTENT).sha256, len(CONTENT))
    assert (received.revision, received.hub, received.pinned) == (COMMIT, PUBLIC_HUB, True)


def test_a_small_file_is_verified_by_its_git_object(hub: Web, store: WeightsStore) -> None:
    """The hub states the id that git gives to it, after a redirect to its own cache."""
    fetch(SMALL, store, print)
    received = store.received(SMALL)
    assert received is not None
    assert received.pinned
    assert [one.path.split("/")[1] for one in hub.of(HUB)] == ["owner", "api"]


def test_the_token_goes_to_the_hub_alone(hub: Web, store: WeightsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its storage, on another host, and any other server receive nothing."""
    hub.blobs["owner/name", "sub/model.pt"].gated = True
    hub.pages[f"{RELEASES}/records/1/other.bin"] = b"other"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    other = Weights.at(f"https://{RELEASES}/records/1/other.bin", Blob(b"other").sha256, 5, licence="MIT")
    fetch(LARGE, store, print)
    fetch(other, store, print)
    assert [one.headers.get("authorization") for one in hub.of(HUB)] == [f"Bearer {TOKEN}"]
    assert [one.headers.get("authorization") for one in hub.of(STORAGE) + hub.of(RELEASES)] == [None, None]


@pytest.mark.parametrize("weights", [LARGE, SMALL])
def test_what_is_not_what_the_hub_states_is_refused(hub: Web, store: WeightsStore, weights: Weights) -> None:
    """Of the right length, so that only the digest can tell; nothing of it stays."""
    wrong = bytes(len(CONTENT) if weights is LARGE else 2)

    def exchange(asked: Asked) -> tuple[int, dict[str, str], bytes] | None:
        tag = {"ETag": f'"{Blob(b"{}").blob}"'}
        return (200, tag, wrong) if asked.host == STORAGE or "resolve-cache" in asked.path else None

    hub.fault = exchange
    with pytest.raises(DataError, match=r"is not the file that its server states: the (SHA-256|git object)"):
        fetch(weights, store, print)
    assert store.received(weights) is None
    assert not store.partial(weights).exists()
    hub.fault = lambda _: None
    assert fetch(weights, store, print).stat().st_size == len(wrong)


def test_another_size_than_the_hub_states_is_refused_before_it_comes(hub: Web, store: WeightsStore) -> None:
    """With both numbers."""
    hub.fault = lambda asked: (200, {}, b"x" * 99) if asked.host == STORAGE else None
    with pytest.raises(DataError, match=r"its server states 3,072,000 bytes, is sent with 99 bytes"):
        fetch(LARGE, store, print)


def test_a_digest_that_is_not_the_declared_one_is_told_before_the_download(hub: Web, store: WeightsStore) -> None:
    """The hub states it: no byte of gigabytes is wasted."""
    with pytest.raises(DataError, match=f"states the SHA-256 {Blob(CONTENT).sha256}, the plugin declares {'a' * 64}"):
        fetch(replace(LARGE, sha256="a" * 64), store, print)
    assert store.partial(replace(LARGE, sha256="a" * 64)).stat().st_size == 0


def test_a_commit_that_is_not_the_declared_one_is_refused(hub: Web, store: WeightsStore) -> None:
    """A hub that answers with its newest version in place of the one that was asked for."""
    pinned = replace(SMALL, revision="d" * 40)
    told = {"X-Repo-Commit": COMMIT, "ETag": f'"{Blob(b"{}").blob}"'}
    hub.fault = lambda _: (200, told, b"{}")
    with pytest.raises(DataError, match=f"it is of revision {COMMIT}, not {'d' * 40}"):
        fetch(pinned, store, print)


def test_another_hub_verifies_but_does_not_pin(hub: Web, store: WeightsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror can state what it likes; its address is recorded."""
    monkeypatch.setenv("HF_ENDPOINT", f"https://{RELEASES}")
    blob = Blob(b"{}")
    told = {"X-Repo-Commit": COMMIT, "ETag": f'"{blob.blob}"'}
    hub.fault = lambda asked: (200, told, b"{}") if asked.host == RELEASES else None
    fetch(SMALL, store, print)
    received = store.received(SMALL)
    assert received is not None
    assert (received.hub, received.pinned) == (f"https://{RELEASES}", False)


def test_what_only_the_storage_states_does_not_count(hub: Web, store: WeightsStore) -> None:
    """The hub must say it itself."""

    def only_there(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        told = {"X-Repo-Commit": COMMIT, "X-Linked-ETag": f'"{Blob(CONTENT).sha256}"', "X-Linked-Size": "3072000"}
        return (302, {"Location": f"https://{STORAGE}/x"}, b"") if asked.host == HUB else (200, told, CONTENT)

    hub.fault = only_there
    fetch(LARGE, store, print)
    received = store.received(LARGE)
    assert received is not None
    assert (received.hub, received.revision) == ("", "")


def test_a_line_that_keeps_breaking_is_resumed(hub: Web, store: WeightsStore, naps: list[float]) -> None:
    """As long as something comes; each request asks for the rest, of the same content."""
    hub.cut = 700_000
    said: list[str] = []
    assert fetch(LARGE, store, said.append).read_bytes() == CONTENT
    ranges = [int(one.headers.get("range", "bytes=0-")[6:-1]) for one in hub.of(STORAGE)]
    assert len(ranges) == 5
    assert all(before < after for before, after in pairwise(ranges))
    assert {one.headers["if-range"] for one in hub.of(STORAGE)[1:]} == {f'"{Blob(CONTENT).sha256}"'}
    assert naps == [1.0] * 4
    assert any("trying again in 1 s" in line for line in said)


def test_a_line_on_which_nothing_comes_is_given_up(hub: Web, store: WeightsStore, naps: list[float]) -> None:
    """After a few tries at growing distances; the next call resumes."""
    hub.cut = 0
    with pytest.raises(PrerequisiteError, match=r"stopped after 0 of 3,072,000|download from .* failed"):
        fetch(LARGE, store, print)
    assert naps == [1.0, 2.0, 4.0, 8.0]
    assert len(hub.of(STORAGE)) == 5


def test_a_partial_file_that_is_already_whole_is_not_requested_again(hub: Web, store: WeightsStore) -> None:
    """A process that was killed between the last byte and the record."""
    pinned = replace(LARGE, sha256=Blob(CONTENT).sha256)
    store.partial(pinned).write_bytes(CONTENT)
    assert fetch(pinned, store, print).read_bytes() == CONTENT
    assert len(hub.of(STORAGE)) == 1


def _once(status: int, host: str, **headers: str) -> Iterator[tuple[int, dict[str, str], bytes] | None]:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return iter([(status, told, b"no")])


@pytest.mark.parametrize(
    ("status", "host", "headers", "waits"),
    [
        (429, HUB, {"Retry_After": "7"}, 7),
        (429, HUB, {"RateLimit": '"resolvers";r=0;t=42'}, 42),
        (429, HUB, {}, 1),
        (503, STORAGE, {}, 1),
        (500, HUB, {}, 1),
        (502, STORAGE, {"Retry_After": "0"}, 0),
        (403, STORAGE, {"Content_Type": "application/xml"}, 1),  # "Request has expired"
    ],
)
def test_a_passing_refusal_is_tried_again(
    hub: Web, store: WeightsStore, naps: list[float], status: int, host: str, headers: dict[str, str], waits: float
) -> None:
    """After the time that the server asks for; a link that its storage refuses is made anew by the hub."""
    answers = _once(status, host, **headers)
    hub.fault = lambda asked: next(answers, None) if asked.host == host else None
    assert fetch(LARGE, store, print).read_bytes() == CONTENT
    assert naps == [waits]


def test_a_date_to_try_again_is_understood(hub: Web, store: WeightsStore, naps: list[float]) -> None:
    """HTTP has both forms."""
    answers = _once(503, HUB, Retry_After=email.utils.formatdate(time.time() + 30, usegmt=True))
    hub.fault = lambda asked: next(answers, None) if asked.host == HUB else None
    fetch(LARGE, store, print)
    assert 25 < naps[0] <= 30


def test_a_long_wait_is_left_to_the_user(hub: Web, store: WeightsStore, naps: list[float]) -> None:
    """Nobody sits before a command for an hour."""
    hub.fault = lambda _: (429, {"Retry-After": "3600"}, b"")
    with pytest.raises(PrerequisiteError, match=r"answered 429 .*, to wait 3600 s"):
        fetch(LARGE, store, print)
    assert naps == []


def test_a_storage_that_refuses_is_not_told_as_a_gate(hub: Web, store: WeightsStore) -> None:
    """Its 403 is about the link, the clock or a proxy, and not about the terms of the repository."""
    hub.fault = lambda asked: (403, {}, b"<Error>Request has expired</Error>") if asked.host == STORAGE else None
    with pytest.raises(PrerequisiteError, match=f"{STORAGE}, which stores model.pt, refused it") as raised:
        fetch(LARGE, store, print)
    assert "gated" not in raised.value.message
    assert "clock" in raised.value.fix


def test_a_log_in_page_is_not_a_file(hub: Web, store: WeightsStore) -> None:
    """As networks with a portal send it, with a good status; also where it does not say that it is one."""
    hub.fault = lambda _: (200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Please log in</html>")
    with pytest.raises(PrerequisiteError, match=r"answered with a web page in place of config\.json"):
        fetch(SMALL, store, print)
    hub.fault = lambda _: (200, {}, b"<!doctype html>Please log in")
    with pytest.raises(DataError, match=r"is not config\.json but a web page"):
        fetch(SMALL, store, print)
    assert store.received(SMALL) is None


def test_a_pointer_on_the_hub_is_not_a_file(hub: Web, store: WeightsStore) -> None:
    """A repository whose large file was committed as its own pointer."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 9\n" % (b"a" * 64)
    hub.blobs["owner/name", "config.json"] = Blob(pointer, large=False)
    with pytest.raises(DataError, match="Git LFS pointer"):
        fetch(SMALL, store, print)
    assert store.received(SMALL) is None


def test_a_length_that_only_the_hub_states_is_enough(hub: Web, store: WeightsStore) -> None:
    """Its storage may send in chunks; a file without any length is taken where its digest is stated."""

    def chunked(asked: Asked) -> tuple[int, dict[str, str], bytes] | None:
        content = CONTENT if asked.host == STORAGE else b"{}" if "resolve-cache" in asked.path else None
        if content is None:
            return None
        told = {"Transfer-Encoding": "chunked", "ETag": f'"{Blob(content).blob}"', "X-Repo-Commit": COMMIT}
        return 200, told, b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)

    hub.fault = chunked
    for weights in (LARGE, SMALL):
        fetch(weights, store, print)
        received = store.received(weights)
        assert received is not None
        assert received.pinned


def test_a_file_from_another_address_is_pinned_by_its_digest(hub: Web, store: WeightsStore) -> None:
    """Redirected or not; other content is refused, and a server that refuses is named."""
    address = f"https://{RELEASES}/records/1/files/my%20model.pt"
    good = Weights.at(address, Blob(b"good").sha256, 4, licence="MIT", name="my-model.pt")
    with pytest.raises(PrerequisiteError, match=r"answered 404 .*: it does not give out my-model.pt"):
        fetch(good, store, print)
    hub.pages[f"{RELEASES}/records/1/files/my%20model.pt"] = b"evil"
    with pytest.raises(DataError, match="are wrong: their SHA-256"):
        fetch(good, store, print)
    hub.fault = lambda asked: (
        (302, {"Location": f"https://{STORAGE}/x"}, b"") if asked.host == RELEASES else (200, {}, b"good")
    )
    assert fetch(good, store, print).read_bytes() == b"good"


def test_the_hub_is_asked_without_a_download(hub: Web) -> None:
    """One request, without following it to the storage."""
    stated = ask(LARGE)
    assert (stated.sha256, stated.size, stated.revision) == (Blob(CONTENT).sha256, len(CONTENT), COMMIT)
    stated = ask(SMALL)
    assert (stated.sha256, stated.blob, stated.revision) == ("", Blob(b"{}").blob, COMMIT)
    assert not hub.of(STORAGE) + hub.of(STORAGE, "HEAD")
    hub.blobs["owner/name", "config.json"].gated = True
    with pytest.raises(PrerequisiteError, match="owner/name is gated"):
        ask(SMALL)


def test_a_copy_that_was_added_is_confirmed_by_the_hub(hub: Web, store: WeightsStore, tmp_path: Path) -> None:
    """Without a second download; another file than the hub's is refused, and without a network the copy stays."""
    for name, content in (("model.pt", CONTENT), ("config.json", b"{}")):
        (tmp_path / name).write_bytes(content)
    store.add([LARGE, SMALL], tmp_path / "model.pt", print)
    store.add([LARGE, SMALL], tmp_path / "config.json", print)
    hub.fault = lambda _: (503, {}, b"")
    said: list[str] = []
    fetch(LARGE, store, said.append)
    assert "not verified by the hub" in said[-1]
    hub.fault = lambda _: None
    for weights in (LARGE, SMALL):
        fetch(weights, store, print)
        received = store.received(weights)
        assert received is not None
        assert received.pinned
    assert not hub.of(STORAGE)


def test_a_wrong_copy_that_was_added_is_found_out(hub: Web, store: WeightsStore, tmp_path: Path) -> None:
    """Before it is what the right file is compared with; the message says how to get that."""
    (tmp_path / "model.pt").write_bytes(b"another model")
    store.add([LARGE], tmp_path / "model.pt", print)
    with pytest.raises(DataError, match=r"the copy of model\.pt that was added is not the hub's") as raised:
        fetch(LARGE, store, print)
    Path(raised.value.fix.split("remove ")[1].split(", then")[0]).unlink()
    assert fetch(LARGE, store, print).read_bytes() == CONTENT
