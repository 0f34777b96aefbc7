"""The model hub, its storage, other file servers and git hosts, on this machine and under their real names.

A proxy that answers in the place of every host, with a certificate that the test's own environment trusts, so that
addresses, redirects from host to host and what is sent to which of them are as they are in the world. The answers have
the shapes of the hub's: a large file is a redirect to another host, with the hub's statement about it in the headers;
a small one is a redirect to the hub's own cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HUB, STORAGE, RELEASES, CODE = "huggingface.co", "cas-bridge.xethub.hf.co", "zenodo.org", "github.com"
COMMIT = "c" * 40
TOKEN = "hf_good"  # noqa: S105 - of the stand-in alone


@dataclass
class Blob:
    """A file of the hub."""

    content: bytes
    large: bool = True  #: stored apart, as LFS or Xet
    gated: bool = False
    commit: str = COMMIT

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def blob(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content, usedforsecurity=False).hexdigest()


@dataclass
class Asked:
    """A request as it arrived."""

    method: str
    host: str
    path: str
    headers: dict[str, str]


@dataclass
class Web:
    """What the hosts have, and how they misbehave."""

    blobs: dict[tuple[str, str], Blob] = field(default_factory=dict)  #: by repository (with its kind) and path
    pages: dict[str, bytes] = field(default_factory=dict)  #: of other servers, by address without scheme
    repositories: Path | None = None  #: bare repositories, ``<owner>/<name>``
    #: Called with each request; what it returns is answered in place of the host: status, headers, content.
    fault: Callable[[Asked], tuple[int, dict[str, str], bytes] | None] = lambda _: None
    cut: int | None = None  #: bytes after which the storage breaks the connection off
    asked: list[Asked] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)  #: what a program needs to reach these hosts

    def of(self, host: str, method: str = "GET") -> list[Asked]:
        """Return the requests that a host received."""
        return [one for one in self.asked if one.host == host and one.method == method]


@contextmanager
def web(folder: Path, hosts: tuple[str, ...] = (HUB, STORAGE, RELEASES, CODE)) -> Iterator[Web]:
    """Run the hosts; their files lie in `folder`."""
    certificate = _certificate(folder, hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    stand_in = Web()
    handler = type("Handler", (_Handler,), {"web": stand_in, "tls": context})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        proxy = f"http://127.0.0.1:{server.server_port}"
        stand_in.environment = {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "",
            "no_proxy": "",
            "REQUESTS_CA_BUNDLE": str(certificate),
            "GIT_SSL_CAINFO": str(certificate),
        }
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is part of the tests."""


def _certificate(folder: Path, hosts: tuple[str, ...]) -> Path:
    path = folder / "hosts.pem"
    names = ",".join(f"DNS:{host}" for host in hosts)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch"),
            *("-days", "2", "-subj", "/CN=stand-in", "-addext", f"subjectAltName={names}"),
            *("-keyout", folder / "key.pem", "-out", path),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + (folder / "key.pem").read_bytes())
    return path


class _Handler(BaseHTTPRequestHandler):
    web: Web
    tls: ssl.SSLContext
    protocol_version = "HTTP/1.1"
    host = ""

    def do_CONNECT(self) -> None:
        self.host = self.path.partition(":")[0]
        self.send_response(200)
        self.end_headers()
        self.rfile.close()
        self.wfile.close()
        self.connection = self.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)  # type: ignore[assignment]
        self.close_connection = False

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.connection.close()

    def do_GET(self) -> None:
        asked = Asked(self.command, self.host, self.path, {k.lower(): v for k, v in self.headers.items()})
        self.web.asked.append(asked)
        if (instead := self.web.fault(asked)) is not None:
            self._answer(*instead)
        elif self.host == CODE:
            self._git()
        elif self.host == HUB:
            self._hub(asked)
        elif self.host == STORAGE:
            self._stored(asked)
        elif (page := self.web.pages.get(self.host + urlsplit(self.path).path)) is not None:
            self._send(asked, page, "")
        else:
            self._answer(404, {}, b"")

    do_HEAD = do_POST = do_GET  # noqa: N815 - the base class names them

    def _hub(self, asked: Asked) -> None:
        if cached := re.fullmatch(r"/api/resolve-cache/(models|datasets)/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)", self.path):
            kind = "" if cached[1] == "models" else "datasets/"
            blob = self.web.blobs[kind + cached[2], cached[4]]
            self._send(asked, blob.content, f'"{blob.blob}"', {"X-Repo-Commit": blob.commit})
            return
        found = re.fullmatch(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        blob = self.web.blobs.get((found[1], found[3])) if found else None
        if blob is None or found is None or found[2] not in {"main", blob.commit}:
            self._answer(404, {"X-Error-Code": "EntryNotFound"}, b"Entry not found")
        elif blob.gated and asked.headers.get("authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"X-Error-Code": "GatedRepo"}, b"Access to this model is restricted.")
        elif blob.large:
            told = {"X-Repo-Commit": blob.commit, "X-Linked-Size": str(len(blob.content))}
            told["X-Linked-ETag"] = f'"{blob.sha256}"'
            told["Location"] = f"https://{STORAGE}/{found[1]}/{blob.sha256}?X-Amz-Expires=3600&name={found[3]}"
            self._answer(302, told, b"Found. Redirecting")
        else:
            kind, _, repo = found[1].rpartition("datasets/") if "datasets/" in found[1] else ("", "", found[1])
            where = f"/api/resolve-cache/{'datasets' if 'datasets/' in found[1] else 'models'}/{repo}"
            told = {"X-Repo-Commit": blob.commit, "Location": f"{where}/{blob.commit}/{found[3]}"}
            self._answer(307, told, b"Temporary Redirect")

    def _stored(self, asked: Asked) -> None:
        if "authorization" in asked.headers:
            self._answer(400, {"Content-Type": "application/xml"}, b"<Error>Only one auth mechanism allowed</Error>")
            return
        digest = urlsplit(self.path).path.rpartition("/")[2]
        content = next(blob.content for blob in self.web.blobs.values() if blob.sha256 == digest)
        self._send(asked, content, f'"{digest}"')

    def _send(self, asked: Asked, content: bytes, tag: str, told: dict[str, str] | None = None) -> None:
        """Send a file, or the requested end of it."""
        start = 0
        if "range" in asked.headers and asked.headers.get("if-range", tag) == tag:
            start = int(asked.headers["range"].removeprefix("bytes=").removesuffix("-"))
        headers = {**(told or {}), "Accept-Ranges": "bytes"}
        if tag:
            headers["ETag"] = tag
        if start >= len(content) > 0 and start:
            self._answer(416, {**headers, "Content-Range": f"bytes */{len(content)}"}, b"")
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206 if start else 200, headers, content[start:], self.web.cut)

    def _answer(self, status: int, headers: dict[str, str], content: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content if cut is None else content[:cut])
        if cut is not None and cut < len(content):
            self.close_connection = True

    def _git(self) -> None:
        """Serve a repository with git's own program, which gives out single commits as code hosts do."""
        parts = urlsplit(self.path)
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        elif length := self.headers.get("Content-Length"):
            body = self.rfile.read(int(length))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_PROJECT_ROOT": str(self.web.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "3",
            "GIT_CONFIG_KEY_0": "uploadpack.allowAnySHA1InWant",
            "GIT_CONFIG_VALUE_0": "true",
            "GIT_CONFIG_KEY_1": "safe.directory",
            "GIT_CONFIG_VALUE_1": "*",
            "GIT_CONFIG_KEY_2": "uploadpack.allowFilter",
            "GIT_CONFIG_VALUE_2": "true",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        ended = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, content = ended.stdout.partition(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        self._answer(int(lines.pop("Status", "200").split()[0]), lines, content)

    def log_message(self, *_: Any) -> None:
        pass
