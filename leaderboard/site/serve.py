"""Show a site in a browser."""

from __future__ import annotations

import contextlib
import functools
import io
import ipaddress
import platform
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from harness.errors import DataError, PrerequisiteError


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files without logging requests, to its own host names only, and follows no link."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with the site's own page where something does not exist."""
        page = Path(self.directory) / "404.html"
        if code != HTTPStatus.NOT_FOUND or not page.is_file() or page.is_symlink():
            super().send_error(code, message, explain)
            return
        content = page.read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Answer a request, unless a page of elsewhere made a browser ask under a name of its own."""
        assert isinstance(self.server, ThreadingHTTPServer)  # noqa: S101 - made below
        if not is_own_name(self.headers.get("Host", ""), str(self.server.server_address[0])):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "not a name of this server")
            return None
        asked, root = Path(self.translate_path(self.path)), Path(self.directory)
        if asked.is_dir():
            asked /= "index.html"
        below = [asked, *asked.parents]
        if any(path.is_symlink() for path in below[: below.index(root)] if root in below):
            self.send_error(HTTPStatus.NOT_FOUND, "a link")
            return None
        return super().send_head()


def is_own_name(header: str, bound: str) -> bool:
    """Return whether a request's ``Host`` names this server: by address, ``localhost``, this host, or as it was bound.

    A page whose name was made to lead here (DNS rebinding) asks under that name.

    Parameters
    ----------
    header
        The header's value, with or without a port; empty where a client sends none, which no browser does.
    bound
        The name or address that the server listens on.
    """
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return header == "" or name in {"localhost", bound.lower(), platform.node().lower()}


def make_server(site: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server of the folder `site`, bound and ready.

    Raises
    ------
    DataError
        The site does not exist.
    PrerequisiteError
        The address cannot be used.
    """
    if not (site / "index.html").is_file():
        raise DataError(f"{site} does not contain a site", fix="build one: `bench leaderboard build --out site/`")
    try:
        return ThreadingHTTPServer((host, port), functools.partial(_Quiet, directory=str(site)))
    except OSError as error:
        raise PrerequisiteError(
            f"cannot listen on {host}:{port}: {error.strerror or error}", fix="choose another --port; 0 takes any"
        ) from error
