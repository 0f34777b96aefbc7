"""Show a site in a browser."""

from __future__ import annotations

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness.errors import DataError, PrerequisiteError


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files without logging requests."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


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
