"""A site is served from its folder."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness.errors import DataError, PrerequisiteError
from leaderboard.site.serve import is_own_name, make_server

pytestmark = pytest.mark.costly


def test_serve_gives_the_files_and_refuses_what_is_none(site: Path, tmp_path: Path) -> None:
    """The server gives pages; a folder that is not a site and a port in use are explained."""
    with make_server(site, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html", timeout=10) as answer:
            assert answer.read() == (site / "index.html").read_bytes()
        with pytest.raises(urllib.error.HTTPError) as lost:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/runs/gone.html", timeout=10)
        with lost.value as answer:
            assert (answer.code, answer.read()) == (404, (site / "404.html").read_bytes())
        with pytest.raises(PrerequisiteError, match="cannot listen"):
            make_server(site, "127.0.0.1", port)
        server.shutdown()
        thread.join()
    with pytest.raises(DataError, match="does not contain a site"):
        make_server(tmp_path, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("header", "own"),
    [
        ("localhost:8000", True), ("127.0.0.1", True), ("[::1]:8000", True), ("192.168.1.7:80", True), ("Board", True),
        ("", True), ("evil.example:8000", False), ("localhost.evil.example", False), ("127.0.0.1.nip.example", False),
        ("[", False), ("evil.example@x.example", False), ("\udcff", False),
    ],
)  # fmt: skip
def test_a_name_that_was_made_to_lead_here_is_not_ours(header: str, own: bool) -> None:
    """Addresses, localhost and the name that it was bound to are; what only contains them is not."""
    assert is_own_name(header, "board") is own


def test_links_and_foreign_names_get_nothing(tmp_path: Path) -> None:
    """A link in a site, to a file, a folder or in the place of an index, and a request under a foreign name."""
    site, precious = tmp_path / "site", tmp_path / "precious"
    for folder in (site / "inner", precious):
        folder.mkdir(parents=True)
    (precious / "index.html").write_text("precious")
    (site / "index.html").write_text("site")
    (site / "file.html").symlink_to(precious / "index.html")
    (site / "folder").symlink_to(precious)
    (site / "inner" / "index.html").symlink_to(precious / "index.html")
    with make_server(site, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def asked(path: str, host: str = "localhost") -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            found = answer.status, answer.read()
            connection.close()
            return found

        assert asked("/") == asked("/index.html") == (200, b"site")
        assert asked("/", "evil.example")[0] == 421
        for path in (
            "/file.html",
            "/folder/",
            "/folder/index.html",
            "/inner/",
            "/inner/index.html",
            "/%2e%2e/precious/",
        ):
            status, body = asked(path)
            assert (status, b"precious" in body) == (404, False), path
        server.shutdown()
        thread.join()
