"""The model hub: one file of weights at a time, resumed after an interruption, hashed while it is received.

``HF_ENDPOINT`` names another hub, ``HF_TOKEN`` a token for gated repositories; without it, that of ``hf auth login`` is
used. Nothing else is read or sent.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import requests

from harness.errors import DataError, PrerequisiteError
from harness.registry.pinned import Weights
from harness.upstream.weights import Received, WeightsStore

_ENDPOINT = "https://huggingface.co"

#: Seconds to connect, and of silence during the transfer.
_TIMEOUT = (15.0, 60.0)

_LOG_EVERY_S = 5.0
_CHUNK = 1 << 20


def fetch(weights: Weights, store: WeightsStore, log: Callable[[str], None]) -> Path:
    """Download `weights` into `store`, unless they are already present.

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
        The whole file, its digest checked or, where it is not pinned, recorded.

    Raises
    ------
    PrerequisiteError
        When the hub cannot be reached, refuses, or stops sending, or the disk is too full.
    DataError
        When the received file is not the declared one.
    """
    if store.find(weights) is not None:
        return store.check(weights)[0]
    partial = store.partial(weights)
    with partial.open("ab") as file:
        _claim(file, weights)
        # The process that held it before may have finished between our two checks.
        if store.find(weights) is not None:
            partial.unlink(missing_ok=True)
            return store.check(weights)[0]
        if not _is_at(file, partial):
            raise _busy(weights)
        try:
            received = _Download(weights, store, file, log).run()
        except requests.exceptions.RequestException as error:
            raise PrerequisiteError(
                f"the download from {_address(weights)} failed: {error}",
                fix="the same command resumes it; or get the file elsewhere, and `bench weights add --from FILE`",
            ) from error
        # Still locked: no other process may write into the complete file.
        path = store.keep(weights, received, partial)
        _tag(store, weights).unlink(missing_ok=True)
    log(f"{weights.name}: {received.size:,} bytes, SHA-256 {received.sha256}")
    return path


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


class _Download:
    """The download of one file; `file` begins with the part that was received before."""

    def __init__(self, weights: Weights, store: WeightsStore, file: BinaryIO, log: Callable[[str], None]) -> None:
        self._weights, self._store, self._file, self._log = weights, store, file, log
        self._tag = _tag(store, weights)

    def run(self) -> Received:
        have = self._file.tell()
        tag = self._tag.read_text(encoding="utf-8") if self._tag.is_file() else ""
        if tag.startswith("W/"):
            tag = ""  # a weak one does not identify the bytes (RFC 9110, section 8.8.1)
        if have and not (tag or self._weights.pinned):
            have = 0  # nothing shows whether the rest would be of the same file
        answer = self._ask(have, tag)
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            answer.close()
            have, answer = 0, self._ask(0, "")
        with answer:
            _judge(answer, self._weights)
            if answer.status_code != requests.codes.partial_content:
                have = 0
            size = self._size(answer, have)
            self._store.require_room(size - have)
            self._file.truncate(have)  # first, so that no tag ever stands beside bytes of another file
            self._tag.write_text(answer.headers.get("ETag", ""), encoding="utf-8")
            begun = f", {have / 1e6:,.0f} MB already received" if have else ""
            self._log(f"{self._weights.name}: {size / 1e6:,.0f} MB from {_address(self._weights)}{begun}")
            digest = self._take(answer, have, size)
        commit = next(
            (r.headers["X-Repo-Commit"] for r in [*answer.history, answer] if "X-Repo-Commit" in r.headers), ""
        )
        return Received(digest, size, commit if re.fullmatch(r"[0-9a-f]{40}", commit) else self._weights.revision)

    def _ask(self, have: int, tag: str) -> requests.Response:
        headers = {"Accept-Encoding": "identity", "User-Agent": "groundbench"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if tag:
                headers["If-Range"] = tag
        address = _address(self._weights)
        return requests.get(address, headers=headers, auth=_authorise, stream=True, timeout=_TIMEOUT)

    def _size(self, answer: requests.Response, have: int) -> int:
        """Return the bytes of the whole file; refuse an answer of unknown length, or of another file."""
        declared, announced = self._weights.size, answer.headers.get("Content-Length", "")
        size = have + int(announced) if announced.isdigit() else declared
        if not size or (declared and size != declared):
            raise DataError(
                f"{_address(self._weights)} has {f'{size:,}' if size else 'an unstated number of'} bytes"
                + (f"; the plugin declares {declared:,}" if declared else ""),
                fix="the declaration is wrong or the file was replaced: check the repository",
            )
        return size

    def _take(self, answer: requests.Response, have: int, size: int) -> str:
        """Append the rest to the first `have` bytes; return the digest of the whole."""
        digest = hashlib.sha256()
        with self._store.partial(self._weights).open("rb") as begun:
            while have and (chunk := begun.read(_CHUNK)):
                digest.update(chunk)
        logged = began = time.monotonic()
        done = have
        for chunk in answer.iter_content(_CHUNK):
            done += len(chunk)
            if done > size:
                break
            self._file.write(chunk)
            digest.update(chunk)
            now = time.monotonic()
            if now - logged >= _LOG_EVERY_S:
                logged = now
                rate = (done - have) / (now - began) / 1e6
                self._log(f"  {done / 1e6:,.0f} of {size / 1e6:,.0f} MB ({done / size:.0%}), {rate:.1f} MB/s")
        self._file.flush()
        if done > size:
            self._file.truncate(0)
            raise DataError(f"{_address(self._weights)} sent more than the {size:,} bytes it has", fix="try again")
        if done < size:
            raise PrerequisiteError(
                f"the download from {_address(self._weights)} stopped after {done:,} of {size:,} bytes",
                fix="the same command resumes it",
            )
        return digest.hexdigest()


def _authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send the token, and nothing from a .netrc; a redirect to another host drops it."""
    if token := _token():
        request.headers["Authorization"] = f"Bearer {token}"
    return request


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


def _tag(store: WeightsStore, weights: Weights) -> Path:
    return store.partial(weights).with_suffix(".tag")


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", _ENDPOINT).rstrip("/")


def _address(weights: Weights) -> str:
    kind = "datasets/" if weights.repo_type == "dataset" else ""
    return f"{_endpoint()}/{kind}{weights.repo}/resolve/{weights.revision or 'main'}/{weights.file}"


def _judge(answer: requests.Response, weights: Weights) -> None:
    """Raise PrerequisiteError for every answer that is not the file, with the fix."""
    code = answer.status_code
    if code in {requests.codes.ok, requests.codes.partial_content}:
        return
    kind = "datasets/" if weights.repo_type == "dataset" else ""
    page = f"{_endpoint()}/{kind}{weights.repo}"
    if code in {requests.codes.unauthorized, requests.codes.forbidden}:
        found = "HF_TOKEN" if os.environ.get("HF_TOKEN") else "the log-in file of `hf auth login`"
        with_token = f"with the token in {found}" if _token() else "without a token"
        raise PrerequisiteError(
            f"the hub refused {weights.name} {with_token} (answer {code}): {weights.repo} is gated or private",
            fix=f"log in at {page} and accept its terms, create a token at {_endpoint()}/settings/tokens, set HF_TOKEN "
            "or use `hf auth login`; or download the file in a browser, and `bench weights add --from FILE`",
        )
    if code == requests.codes.not_found:
        raise PrerequisiteError(
            f"{weights.repo} on the hub does not contain {weights.file} at {weights.revision or 'main'}",
            fix=f"check {page}: the declaration may be wrong, or the file was removed",
        )
    raise PrerequisiteError(f"the hub answered {code} for {_address(weights)}", fix="try again later")
