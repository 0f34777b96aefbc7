"""How the pages become a site: `make docs-site`. They stay pages that read well where they lie."""  # noqa: INP001

from __future__ import annotations

import re
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from pygments.lexers import JsonLexer, TextLexer
from sphinx.highlighting import lexers

project = "groundbench"
author = "the groundbench contributors"
release = installed("groundbench")
version = release.partition(".dev")[0]

# The source is the whole repository, so that pages beside the code are shown from where they lie.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "plugins/*/README.md", "curation/**/README.md"]
exclude_patterns = [".venv*", ".bench", "docs/_site"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r".*")]  # types that a docstring names need no page of their own
myst_heading_anchors = 4
napoleon_google_docstring = False
napoleon_use_ivar = True
autodoc_typehints = "none"  # docstrings say more, and validators are no types to read
autodoc_preserve_defaults = True
lexers["jsonl"], lexers["mermaid"] = JsonLexer(), TextLexer()

html_theme = "furo"
html_title = f"groundbench {version}"
html_copy_source = False
html_show_sphinx = False

#: Pages whose parts are pages too.
PARTS = {
    "docs/benchmarks": "benchmarks/*",
    "docs/curation": "/curation/*/README",
    "docs/decisions/README": "[0-9]*",
    "docs/models": "/plugins/*/README",
}


def _with_contents(_: Any, page: str, source: list[str]) -> None:
    """Add the contents of the site: each section of the map with its links, and the parts of pages that have some."""
    if page in PARTS:
        source[0] += _contents("", "glob", PARTS[page])
    elif page == root_doc:
        for title, links in re.findall(r"^## (.+)\n\n((?:- \[.*\n?)+)", source[0], flags=re.MULTILINE):
            found = re.findall(r"\]\((.+?)\)", links)
            pages = "\n".join(f"/{path[3:]}" if path.startswith("../") else path for path in found)
            source[0] += _contents(title, "", pages)


def _contents(title: str, option: str, pages: str) -> str:
    options = "\n".join(
        filter(None, [f":caption: {title}" if title else "", f":{option}:" if option else "", ":hidden:"])
    )
    return f"\n```{{toctree}}\n{options}\n\n{pages}\n```\n"


#: What theme and writer leave out for keyboards and screen readers.
ACCESSIBLE = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Contents of the site">',
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    '<th class="head"><p></p></th>': "<td></td>",
    '<div id="search-results"></div>': '<h1>Search</h1>\n<div id="search-results"></div>',
}


def _make_accessible(app: Any, failure: Exception | None) -> None:
    for page in Path(app.outdir).rglob("*.html") if failure is None else ():
        text = page.read_text(encoding="utf-8")
        for written, better in ACCESSIBLE.items():
            text = text.replace(written, better)
        page.write_text(text, encoding="utf-8")


def setup(app: Any) -> None:
    """Hand the lists of the map to Sphinx, and look through what it wrote."""
    app.connect("source-read", _with_contents)
    app.connect("build-finished", _make_accessible)
