"""A real browser without network, and a site in it: for the tests of what visitors see."""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from leaderboard.site.build import Options, build_site

CHROMIUM = os.environ.get("BENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
#: Marks of every module that opens a browser.
MARKS = [
    pytest.mark.costly,
    pytest.mark.skipif(
        not CHROMIUM and not os.environ.get("BENCH_REQUIRE_BROWSER"),  # with it, a browser that is missing is a failure
        reason="chromium is not installed; install it or set BENCH_CHROMIUM",
    ),
]

_QUIET = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
_SOFTWARE_GL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a browser without network, with a software WebGL; its loop is over before other modules start theirs."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic", *_QUIET, *_SOFTWARE_GL]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(scene: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a site with figures and pictures, inside the folder that is served."""
    out = tmp_path_factory.mktemp("www") / "some" / "board"
    build_site(scene.store, out, Options(figures=True, datasets=(scene.dataset,), runs=scene.runs))
    return out


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="session")
def served(site: Path) -> Iterator[str]:
    """Return the address of the site under a sub-path of a server."""
    root = site.parent.parent
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(root))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/some/board/"
        server.shutdown()
        thread.join()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a page with given options of its context; complaints collect in ``page.faults``."""
    contexts = []

    def open_(address: str, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.faults = []
        page.requested = []
        page.on("console", lambda m: page.faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()


def only(site: Path, pattern: str) -> str:
    """Return the path of the page that a pattern names, seen from the site."""
    [found] = sorted(site.glob(pattern))[:1]
    return found.relative_to(site).as_posix()
