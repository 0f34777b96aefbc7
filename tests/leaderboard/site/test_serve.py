"""A site is served from its folder."""

from __future__ import annotations

import threading
import urllib.request
from pathlib import Path

import pytest

from harness.errors import DataError, PrerequisiteError
from leaderboard.site.serve import make_server

pytestmark = pytest.mark.costly


def test_serve_gives_the_files_and_refuses_what_is_none(site: Path, tmp_path: Path) -> None:
    """The server gives pages; a folder that is not a site and a port in use are explained."""
    with make_server(site, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html", timeout=10) as answer:
            assert answer.read() == (site / "index.html").read_bytes()
        with pytest.raises(PrerequisiteError, match="cannot listen"):
            make_server(site, "127.0.0.1", port)
        server.shutdown()
        thread.join()
    with pytest.raises(DataError, match="does not contain a site"):
        make_server(tmp_path, "127.0.0.1", 0)
