"""Files of weights from where they are published: the model hub, which states their digests, or another address.

``HF_ENDPOINT`` names another hub, ``HF_TOKEN`` a token for gated repositories; without it, that of ``hf auth login`` is
used. Nothing else is read, and the token is sent to the hub alone.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
from requests import codes

from harness.errors import BenchError, DataError, PrerequisiteError
from harness.registry.pinned import Weights
from harness.upstream.contents import git_blob, refuse_impostor
from harness.upstream.transfer import TIMEOUT, Server, Statement, Transfer, Transferred, tag_of
from harness.upstream.weights import PUBLIC_HUB, Received, WeightsStore

#: Redirects within the hub that are followed to read what it states: a renamed repository, its own cache.
_REDIRECTS = 5


def fetch(weights: Weights, store: WeightsStore, log: Callable[[str], None]) -> Path:
    """Download `weights` into `store`, unless they are already present.

    A copy that is present but was never verified, as one that was added from a file, is compared with what the hub
    states.

    Parameters
    ----------
    weights
        The file to download.
    store
        Keeps the file, and the received part of it when the download is interrupted.
    log
        Receives a line when it begins, every few seconds, and when it is done.

    Returns
    -------
    Path
        The whole file, its digest compared with the declared one or with what the hub states.

    Raises
    ------
    PrerequisiteError
        When the server cannot be reached, refuses, or keeps breaking off, or the disk is too full.
    DataError
        When the file is not the declared one, or not the one that the hub states.
    """
    if store.find(weights) is not None:
        return _confirmed(weights, store, log)
    if weights.local is not None:
        return store.check(weights)[0]  # says where it should be
    partial = store.partial(weights)
    with partial.open("ab") as file:
        _claim(file, weights)
        # The process that held it before may have finished between our two checks.
        if store.find(weights) is not None:
            partial.unlink(missing_ok=True)
            return store.check(weights)[0]
        if not _is_at(file, partial):
            raise _busy(weights)
        server: Server = _Web(weights) if weights.url else _Hub(weights)
        transfer = Transfer(
            weights.name,
            server,
            partial,
            size=weights.size,
            sha256=weights.sha256,
            require_room=store.require_room,
            log=log,
        )
        got = transfer.run(file)
        # Still locked: no other process may write into the complete file.
        try:
            refuse_impostor(partial, weights.name)
            received = _verified(weights, got, partial)
        except DataError:
            partial.unlink(missing_ok=True)
            raise
        path = store.keep(weights, received, partial)
        tag_of(partial).unlink(missing_ok=True)
    by = f", as {received.hub} states at revision {received.revision[:12]}" if received.hub else ""
    log(f"{weights.name}: {received.size:,} bytes, SHA-256 {received.sha256}{by}")
    return path


def ask(weights: Weights) -> Statement:
    """Return what the hub states about a file, without downloading it.

    Raises
    ------
    PrerequisiteError
        When the hub cannot be reached, or refuses.
    """
    server = _Hub(weights)
    address = server.address
    for _ in range(_REDIRECTS):
        try:
            answer = requests.head(
                address, headers={"Accept-Encoding": "identity"}, auth=server.authorise, timeout=TIMEOUT
            )
        except requests.exceptions.RequestException as error:
            raise PrerequisiteError(f"{address} cannot be reached: {error}", fix="check the network") from error
        location = urljoin(address, answer.headers.get("Location", ""))
        stated = server.states(answer)
        if not answer.is_redirect or stated.sha256 or not server.has(location):
            break
        address = location
    if not answer.ok:
        raise server.refusal(answer)
    return stated


def _confirmed(weights: Weights, store: WeightsStore, log: Callable[[str], None]) -> Path:
    """Return the file that is present; where nobody has verified it yet, after comparing it with the hub's word."""
    path, digest = store.check(weights)
    received = store.received(weights)
    if received is None or received.hub:
        return path
    try:
        stated = ask(weights)
    except BenchError as error:
        log(f"{weights.name}: present, but not verified by the hub: {error.message}")
        return path
    got = Transferred(digest, path.stat().st_size, stated)
    try:
        confirmed = _verified(weights, got, path)
    except DataError as error:
        raise DataError(
            f"the copy of {weights.name} that was added is not the hub's: {error.message}",
            fix=f"remove {store.record(weights)}, then fetch it again",
        ) from error
    if confirmed.hub:
        store.confirm(weights, confirmed)
        log(f"{weights.name}: present, and the file that {confirmed.hub} states at {confirmed.revision[:12]}")
    return path


def _verified(weights: Weights, got: Transferred, path: Path) -> Received:
    """Compare a file with what its server stated; return its record, with the hub that vouches for it."""
    stated = got.stated
    if weights.pinned:
        return Received(got.sha256, got.size, weights.revision)  # the declared digest decides, when it is kept
    wrong = ""
    if stated.size and stated.size != got.size:
        wrong = f"{stated.size:,} bytes, not {got.size:,}"
    elif stated.sha256 and stated.sha256 != got.sha256:
        wrong = f"the SHA-256 {stated.sha256}, not {got.sha256}"
    elif stated.blob and not stated.sha256 and stated.blob != (blob := git_blob(path)):
        wrong = f"the git object {stated.blob}, not {blob}"
    elif weights.revision and stated.revision not in {"", weights.revision}:
        wrong = f"it is of revision {stated.revision}, not {weights.revision}"
    if wrong:
        raise DataError(
            f"{weights.name} is not the file that its server states: {wrong}",
            fix="the file was damaged or exchanged on the way: try again, from another network if it stays so",
        )
    vouched = not weights.url and stated.identifies and bool(stated.revision)
    return Received(got.sha256, got.size, stated.revision or weights.revision, endpoint() if vouched else "")


def _claim(file: BinaryIO, weights: Weights) -> None:
    """Hold a partial file for this process for as long as it is open."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _busy(weights) from error


def _busy(weights: Weights) -> PrerequisiteError:
    return PrerequisiteError(
        f"another process is downloading {weights.name} right now", fix="wait for it, then run the command again"
    )


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Return whether an open file is still the one at its path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


class _Web:
    """Any server; nothing is sent to it, and the declared digest alone decides."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.address = weights.url

    def authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Send nothing, also not from a .netrc."""
        return request

    def states(self, answer: requests.Response) -> Statement:  # noqa: ARG002 - the interface
        """Return nothing: it is not asked."""
        return Statement()

    def refusal(self, answer: requests.Response) -> PrerequisiteError:
        """Return the answer and the other ways to the file."""
        return PrerequisiteError(
            f"{answer.url} answered {answer.status_code} {answer.reason}: it does not give out {self._weights.name}",
            fix="open the address in a browser; or get the file elsewhere, and `bench weights add --from FILE`: its "
            "digest decides",
        )


class _Hub:
    """The model hub, or another one with its interface."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        kind = "datasets/" if weights.repo_type == "dataset" else ""
        self._page = f"{endpoint()}/{kind}{weights.repo}"
        self.address = f"{self._page}/resolve/{weights.revision or 'main'}/{weights.file}"

    def authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Send the token, and nothing from a .netrc; a redirect to another host drops it."""
        if token := _token():
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    def has(self, address: str) -> bool:
        """Return whether an address is the hub's own, and not that of the storage that it redirects to."""
        return urlsplit(address)[:2] == urlsplit(endpoint())[:2]

    def states(self, answer: requests.Response) -> Statement:
        """Read the hub's own headers; what the storage behind it says does not count."""
        size, sha256, blob, revision = 0, "", "", ""
        for one in (*answer.history, answer):
            if not self.has(one.url) or not one.ok:
                continue
            linked = _etag(one, "X-Linked-ETag")
            own = _etag(one, "ETag")
            sha256 = linked if len(linked) == 64 else sha256
            blob = next((tag for tag in (linked, own) if len(tag) == 40), blob)
            if (length := one.headers.get("X-Linked-Size", "")).isdigit():
                size = int(length)
            if re.fullmatch(r"[0-9a-f]{40}", commit := one.headers.get("X-Repo-Commit", "")):
                revision = commit
        return Statement(size, sha256, blob, revision)

    def refusal(self, answer: requests.Response) -> PrerequisiteError:
        """Return what a refusal of the hub means, and what to do."""
        code, name, repo = answer.status_code, self._weights.name, self._weights.repo
        reason = answer.headers.get("X-Error-Code", "")
        if code in {codes.unauthorized, codes.forbidden}:
            found = "HF_TOKEN" if os.environ.get("HF_TOKEN") else "the log-in file of `hf auth login`"
            with_token = f"with the token in {found}" if _token() else "without a token"
            what = {
                "GatedRepo": "is gated",
                "RepoNotFound": "does not exist, or is private",
            }.get(reason, "is gated or private")
            return PrerequisiteError(
                f"the hub refused {name} {with_token} (answer {code}): {repo} {what}",
                fix=f"log in at {self._page} and accept its terms, create a token at {endpoint()}/settings/tokens, "
                "set HF_TOKEN or use `hf auth login`; or download the file in a browser, and "
                "`bench weights add --from FILE`",
            )
        if code == codes.not_found:
            return PrerequisiteError(
                f"{repo} on the hub does not contain {self._weights.file} at {self._weights.revision or 'main'}",
                fix=f"check {self._page}: the declaration may be wrong, or the file was removed",
            )
        return PrerequisiteError(
            f"the hub answered {code} {answer.reason} for {self.address}", fix="run the same command later"
        )


def endpoint() -> str:
    """Return the address of the hub that is used."""
    return os.environ.get("HF_ENDPOINT", PUBLIC_HUB).rstrip("/")


def _etag(answer: requests.Response, header: str) -> str:
    """Return the digest in a tag, such as ``W/"<hex>"``; empty where it is none."""
    found = re.fullmatch(r'(?:W/)?"?([0-9a-f]{40}|[0-9a-f]{64})"?', answer.headers.get(header, ""))
    return found[1] if found else ""


def _token() -> str:
    """Return the token of ``HF_TOKEN``, or of the file that ``hf auth login`` writes; empty without one.

    The file is where the hub's own library looks for it. A token with characters that a header may not contain is
    refused here, because the error of the HTTP library would print it.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    path = os.environ.get("HF_TOKEN_PATH", os.environ.get("HF_HOME", f"{cache}/huggingface") + "/token")
    try:
        token = os.environ.get("HF_TOKEN") or Path(os.path.expandvars(path)).expanduser().read_text("utf-8")
    except (OSError, RuntimeError, UnicodeDecodeError):  # no such file, no home folder, not a text
        return ""
    token = token.strip()
    if token and not re.fullmatch(r"[!-~]+", token):
        raise PrerequisiteError(
            "the hub's token contains characters that are not valid in a token", fix="run `hf auth login` again"
        )
    return token
