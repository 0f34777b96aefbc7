"""The guideline for annotators: what to draw by category, how many entities, what to skip, with pictures."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from curation.pipeline import write_text
from curation.qc.picture import data_uri, views
from harness.categories import CATEGORIES
from harness.errors import UsageError
from harness.foreign import parse_toml
from harness.phantom.case import make_case
from harness.phantom.grid import Size

HTML: Final = "guideline.html"
_CASES: Final = 4  # the phantom's test cases of seed 0, which show every category together
_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:16px/1.55 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}"
    "section{display:grid;grid-template-columns:minmax(0,1fr) 22rem;gap:1rem;border-top:1px solid #8886;"
    "padding:1rem 0}h2{grid-column:1/-1;margin:0}img{width:100%}dt{font-weight:600}dd{margin:0 0 .6rem}"
    "figcaption{font-size:.85em}@media(max-width:45rem){section{grid-template-columns:1fr}}"
    "@media print{section{break-inside:avoid}}"
)


def rules() -> dict[str, Any]:
    """Return the guideline as data: ``general`` rules, and by category ``draw``, ``entities`` and ``skip``."""
    return parse_toml(resources.files(__package__).joinpath("guideline.toml").read_text(encoding="utf-8"))


def pictures(size: Size, progress: Callable[[int, int], None] = lambda *_: None) -> dict[str, tuple[str, str]]:
    """Return category -> a picture of one phantom finding of it, outlined, as a ``data:`` address; and its text."""
    shown: dict[str, tuple[str, str]] = {}
    for number in range(_CASES):
        progress(number, _CASES)
        case = make_case(0, number, size)
        for index, (planned, text) in enumerate(zip(case.plan.findings, case.texts, strict=True), start=1):
            if planned.category not in shown:
                axial, _ = views(case.ct, np.argwhere(case.finding == index), case.grid.spacing, None)
                shown[planned.category] = data_uri(axial), text
    return shown


def write_guideline(
    out: Path, *, size: Size, most_entities: int | None, progress: Callable[[int, int], None] = lambda *_: None
) -> Path:
    """Write ``guideline.html``, one file that opens from the disk.

    Parameters
    ----------
    out
        Its folder.
    size
        Of the phantom that the pictures are taken from.
    most_entities
        Entities to draw of each finding; None: all.
    progress
        Called with how many phantoms are drawn, and of how many.

    Raises
    ------
    UsageError
        The file is there already: it may have been edited.
    """
    path = out / HTML
    if path.exists():
        raise UsageError(f"{path} is there already, and may have been edited", fix="name another folder")
    write_text(path, page(rules(), pictures(size, progress), most_entities))
    return path


def page(guideline: dict[str, Any], shown: dict[str, tuple[str, str]], most_entities: int | None) -> str:
    """Return the guideline as HTML."""
    limit = (
        "Draw every entity of each finding: a model that finds one which is not drawn is counted wrong."
        if most_entities is None
        else f"Draw at most {most_entities} entities of each finding, the largest and clearest ones, each completely."
    )
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        (
            "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src "
            "'unsafe-inline'; img-src data:\">"
        ),
        f"<title>Annotation guideline</title><style>{_STYLE}</style><h1>Annotation guideline</h1>",
        "<p>The pictures show synthetic CTs; real findings vary more. Not reviewed by a radiologist: read it with the",
        "senior reader of your project before anybody draws, and edit it.</p><h2>For every finding</h2><ol>",
        *(f"<li>{_marked(rule)}</li>" for rule in guideline["general"]["rules"]),
        f"<li><strong>{html.escape(limit)}</strong></li></ol>",
        *(_section(code, guideline[code], shown.get(code)) for code in CATEGORIES),
        "</html>\n",
    ]
    return "\n".join(parts)


def _section(code: str, rule: dict[str, str], shown: tuple[str, str] | None) -> str:
    names = {"draw": "What to draw", "entities": "Entities", "skip": "What to skip"}
    told = "".join(f"<dt>{name}</dt><dd>{_marked(rule[key])}</dd>" for key, name in names.items())
    figure = ""
    if shown is not None:
        text = html.escape(shown[1])
        figure = f"<figure><img alt='{text}' src='{shown[0]}'><figcaption>{text}</figcaption></figure>"
    return f"<section><h2>{code} {html.escape(CATEGORIES[code])}</h2><dl>{told}</dl>{figure}</section>"


def _marked(text: str) -> str:
    """Return a text as HTML, what stands between backticks as code."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", html.escape(text))
