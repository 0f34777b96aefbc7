"""One file over HTTP: resumed, tried again where that can help, bounded, and hashed as it lies on the disk.

What a server says about a file before sending it differs by server, so it is read by a :class:`Server`.
"""

from __future__ import annotations

import email.utils
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep, time
from typing import BinaryIO, Protocol

import requests
from requests import codes

from harness.errors import DataError, PrerequisiteError

#: Seconds to connect, and of silence during the transfer.
TIMEOUT = (15.0, 60.0)

#: Times in a row that a transfer is tried without receiving a single byte more.
TRIES = 5

#: Longest wait that a server may ask for, seconds; a longer one is left to the user.
_LONGEST_WAIT_S = 300.0

#: A file whose length nobody states may have at most so many bytes: real ones are small texts.
_UNSTATED = 64 * 2**20

#: Answers after which the same request may succeed.
_PASSING = {codes.request_timeout, codes.too_many_requests, 500, 502, 503, 504}

_LOG_EVERY_S = 5.0
_CHUNK = 1 << 16  # what of a chunk has come when the line breaks is lost

_RESUME = "the same command resumes it; or get the file elsewhere, and `bench weights add --from FILE`"


@dataclass(frozen=True)
class Statement:
    """What a server states about a file, apart from sending it; empty or 0 where it does not.

    Attributes
    ----------
    size
        Bytes.
    sha256
        SHA-256 (hex).
    blob
        The id that git gives to its content (40 hex).
    revision
        Commit of the repository that it is from.
    """

    size: int = 0
    sha256: str = ""
    blob: str = ""
    revision: str = ""

    @property
    def identifies(self) -> bool:
        """Whether it states which content the file has."""
        return bool(self.sha256 or self.blob)


class Server(Protocol):
    """A server that has the file."""

    @property
    def address(self) -> str:
        """Where the file is requested."""

    def authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add what the server needs to know of the user."""

    def states(self, answer: requests.Response) -> Statement:
        """Return what it states about the file."""

    def refusal(self, answer: requests.Response) -> PrerequisiteError:
        """Return the error for an answer that is not the file."""


@dataclass(frozen=True)
class Transferred:
    """A received file: its digest, its bytes, and what its server stated of it."""

    sha256: str
    size: int
    stated: Statement


class _Again(Exception):  # noqa: N818 - not an error yet
    """A transfer that may succeed on the next try.

    Parameters
    ----------
    why
        What happened, in words.
    error
        Raised when the tries are used up.
    wait_s
        Seconds to wait, where the server says so.
    """

    def __init__(self, why: str, error: PrerequisiteError, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.error, self.wait_s = error, wait_s


class Transfer:
    """The transfer of one file.

    Parameters
    ----------
    name
        Its name in messages.
    server
        Its server.
    path
        The partial file; what it contains was received before.
    size
        The declared bytes; 0 where not known.
    sha256
        The declared digest; empty where not known.
    require_room
        Raises PrerequisiteError where the disk lacks room for so many more bytes.
    log
        Receives a line when it begins, every few seconds, and before it is tried again.
    """

    def __init__(
        self,
        name: str,
        server: Server,
        path: Path,
        *,
        size: int,
        sha256: str,
        require_room: Callable[[int], None],
        log: Callable[[str], None],
    ) -> None:
        self._name, self._server, self._path, self._declared, self._sha256 = name, server, path, size, sha256
        self._require_room, self._log = require_room, log
        self._answered = False

    def run(self, file: BinaryIO) -> Transferred:
        """Receive the file into `file`, which is open for appending at :attr:`path`.

        Raises
        ------
        PrerequisiteError
            When the server cannot be reached, refuses, or keeps breaking off.
        DataError
            When what it sends is not the file.
        """
        failures, most = 0, file.seek(0, 2)
        while True:
            try:
                return self._try(file)
            except _Again as again:
                file.flush()
                have = file.seek(0, 2)
                failures = 1 if have > most else failures + 1
                most = max(most, have)
                wait = min(2.0 ** (failures - 1), 30.0) if again.wait_s is None else again.wait_s
                if failures >= TRIES or wait > _LONGEST_WAIT_S:
                    raise again.error from again
                self._log(f"{self._name}: {again}; trying again in {wait:.0f} s")
                sleep(wait)

    def _try(self, file: BinaryIO) -> Transferred:
        have = file.seek(0, 2)
        tag = self._tag.read_text(encoding="utf-8") if self._tag.is_file() else ""
        if tag.startswith("W/"):
            tag = ""  # a weak one does not identify the bytes (RFC 9110, section 8.8.1)
        if have and not (tag or self._sha256):
            have = 0  # nothing shows whether the rest would be of the same file
        try:
            with self._ask(have, tag) as answer:
                self._answered = True
                if have and answer.status_code == codes.requested_range_not_satisfiable and _whole(answer) == have:
                    return self._finished(file, have, self._server.states(answer))
                if _continues(answer, have):
                    self._judge(answer)
                    return self._receive(file, answer, have)
            file.truncate(0)  # what was received before does not fit
            return self._try(file)
        except requests.exceptions.RequestException as error:
            failed = PrerequisiteError(f"the download from {self._server.address} failed: {error}", fix=_RESUME)
            if not self._answered:
                raise failed from error  # no network, or no such host
            raise _Again(f"the connection broke ({type(error).__name__})", failed) from error

    def _ask(self, have: int, tag: str) -> requests.Response:
        headers = {"Accept-Encoding": "identity", "User-Agent": "groundbench"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if tag:
                headers["If-Range"] = tag
        return requests.get(
            self._server.address, headers=headers, auth=self._server.authorise, stream=True, timeout=TIMEOUT
        )

    def _judge(self, answer: requests.Response) -> None:
        """Raise for every answer that is not the file."""
        code = answer.status_code
        if code == codes.ok or (code == codes.partial_content and "Range" in answer.request.headers):
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if kind == "text/html" and not self._name.endswith((".html", ".htm")):
                raise PrerequisiteError(
                    f"{_host(answer)} answered with a web page in place of {self._name}, as log-in pages of networks "
                    "and blocked addresses do",
                    fix=f"open {self._server.address} in a browser to see it; {_RESUME}",
                )
            return
        if code in _PASSING:
            wait = _wait_s(answer)
            asked = f", to wait {wait:.0f} s" if wait else ""
            error = PrerequisiteError(
                f"{_host(answer)} answered {code} {answer.reason} for {self._name}{asked}",
                fix="run the same command later: it resumes",
            )
            raise _Again(f"{_host(answer)} answered {code} {answer.reason}", error, wait)
        redirected = bool(answer.history) and _host(answer) != _host(answer.history[0])
        if redirected and code in {codes.unauthorized, codes.forbidden}:
            error = PrerequisiteError(
                f"{_host(answer)}, which stores {self._name}, refused it (answer {code}): the link to it, which is "
                "made anew for every request, was not valid there, or a network on the way blocks that host",
                fix=f"check this machine's clock and its proxy; {_RESUME}",
            )
            raise _Again(f"{_host(answer)} refused the link ({code})", error)
        raise self._server.refusal(answer)

    def _receive(self, file: BinaryIO, answer: requests.Response, have: int) -> Transferred:
        stated = self._server.states(answer)
        if self._sha256 and stated.sha256 and stated.sha256 != self._sha256:
            raise DataError(
                f"{self._server.address}: its server states the SHA-256 {stated.sha256}, the plugin declares "
                f"{self._sha256}; nothing was downloaded",
                fix="the declaration is wrong, or the file was replaced: check the repository",
            )
        if answer.status_code != codes.partial_content:
            have = 0
        size = self._size(answer, have, stated)
        self._require_room((size or _UNSTATED) - have)
        file.truncate(have)  # first, so that no tag ever stands beside bytes of another file
        self._tag.write_text(answer.headers.get("ETag", ""), encoding="utf-8")
        begun = f", {have / 1e6:,.0f} MB already received" if have else ""
        length = f"{size / 1e6:,.0f} MB" if size else "a file of unstated length"
        self._log(f"{self._name}: {length} from {self._server.address}{begun}")
        self._take(file, answer, have, size)
        return self._finished(file, size or file.seek(0, 2), stated)

    def _size(self, answer: requests.Response, have: int, stated: Statement) -> int:
        """Return the bytes of the whole file, 0 where nobody says; refuse an answer of another length."""
        announced = answer.headers.get("Content-Length", "")
        coded = answer.headers.get("Content-Encoding", "identity").lower() != "identity"
        sent = have + int(announced) if announced.isdigit() and not coded else 0
        sizes = {"the plugin declares": self._declared, "its server states": stated.size, "is sent with": sent}
        known = {how: size for how, size in sizes.items() if size}
        if len(set(known.values())) > 1:
            raise DataError(
                f"{self._server.address}: " + ", ".join(f"{how} {size:,} bytes" for how, size in known.items()),
                fix="the declaration is wrong, the file was replaced, or the server sends another one: "
                "check the repository",
            )
        if not known and not stated.identifies:
            raise DataError(
                f"{self._server.address} has an unstated number of bytes, and nothing states its digest: a part of it "
                "could not be told from the whole",
                fix="declare the size and the digest of the file, or download it in a browser and "
                "`bench weights add --from FILE`",
            )
        return next(iter(known.values()), 0)

    def _take(self, file: BinaryIO, answer: requests.Response, have: int, size: int) -> None:
        """Append the rest to the first `have` bytes."""
        logged = began = monotonic()
        done = have
        for chunk in answer.iter_content(_CHUNK):
            done += len(chunk)
            if done > (size or _UNSTATED):
                file.truncate(0)
                raise DataError(
                    f"{self._server.address} sent more than the {size or _UNSTATED:,} bytes "
                    f"{'it has' if size else 'that a file of unstated length may have'}",
                    fix="try again",
                )
            file.write(chunk)
            now = monotonic()
            if now - logged >= _LOG_EVERY_S:
                logged = now
                rate = (done - have) / (now - began) / 1e6
                share = f" of {size / 1e6:,.0f} MB ({done / size:.0%})" if size else " MB"
                left = f", {(size - done) / rate / 1e6:,.0f} s left" if size and rate else ""
                self._log(f"  {done / 1e6:,.0f}{share}, {rate:.1f} MB/s{left}")
        file.flush()
        if done < size:
            raise _Again(f"it broke off after {done / 1e6:,.1f} MB", self._broke_off(done, size))

    def _finished(self, file: BinaryIO, size: int, stated: Statement) -> Transferred:
        file.flush()
        with self._path.open("rb") as whole:
            digest = hashlib.file_digest(whole, "sha256").hexdigest()
        return Transferred(digest, size, stated)

    def _broke_off(self, done: int, size: int) -> PrerequisiteError:
        return PrerequisiteError(
            f"the download from {self._server.address} stopped after {done:,} of {size:,} bytes", fix=_RESUME
        )

    @property
    def _tag(self) -> Path:
        return tag_of(self._path)


def tag_of(partial: Path) -> Path:
    """Return the file beside a partial one that keeps its server's tag of the content."""
    return partial.with_suffix(".tag")


def _continues(answer: requests.Response, have: int) -> bool:
    """Return whether an answer may follow the `have` bytes that were received before, or is the whole again."""
    if not have:
        return True
    if answer.status_code == codes.requested_range_not_satisfiable:
        return False
    span = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return answer.status_code != codes.partial_content or (span is not None and int(span[1]) == have)


def _whole(answer: requests.Response) -> int | None:
    """Return the length of the file, from an answer that has no part of it to send."""
    found = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _wait_s(answer: requests.Response) -> float | None:
    """Return the seconds that a server asks to wait: ``Retry-After`` as a number or a date, or the hub's own header."""
    after = answer.headers.get("Retry-After", "").strip()
    if after.isdigit():
        return float(after)
    if email.utils.parsedate_tz(after) is not None:
        return max(0.0, email.utils.parsedate_to_datetime(after).timestamp() - time())
    limit = re.search(r"\bt=(\d+)", answer.headers.get("RateLimit", ""))
    return float(limit[1]) if limit else None


def _host(answer: requests.Response) -> str:
    return answer.url.split("/")[2].rpartition("@")[2]
