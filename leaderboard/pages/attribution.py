"""Whose the data behind a page are: what a licence with attribution asks for wherever a text or a picture stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.dataset.terms import Terms
from leaderboard.published.database import DataSetRow

#: What was done to the data before they were shown.
CHANGES = "Texts are verbatim; CT slices are windowed, cropped and reduced to 8 bits; masks are drawn as outlines."


#: Questions of the terms whose no binds whoever reads a page, and how it is told.
_FORBIDDEN = {"commercial": "not for commercial use", "identification": "no attempt to identify a person"}


@dataclass(frozen=True)
class Attribution:
    """One data set, its authors, its licence, and what may not be done with what is shown of it."""

    names: str
    authors: str
    licence: str
    licence_url: str  #: empty where none is stated, or where it is no address of the web
    source: str  #: likewise
    conditions: tuple[str, ...]  #: what may not be done with the data, as far as is known


def attribution(about: DataSetRow) -> Attribution:
    """Return whose the data of a data set are."""
    terms = Terms.model_validate(about.terms)
    return Attribution(
        names=", ".join(about.names),
        authors=terms.authors or "not stated by the data set",
        licence=terms.licence or "not stated by the data set",
        licence_url=_web(terms.licence_url),
        source=_web(terms.source),
        conditions=tuple(said for name, said in _FORBIDDEN.items() if getattr(terms, name) == "no"),
    )


def notice(attributions: Iterable[Attribution]) -> str:
    """Return the text that travels with the downloads."""
    lines = [
        "The numbers, pages and scripts are groundbench's (Apache-2.0). Texts of findings belong to their data sets:"
    ]
    for one in attributions:
        lines += ["", one.names, f"  authors: {one.authors}", f"  licence: {one.licence} {one.licence_url}".rstrip()]
        lines += [f"  source: {one.source}"] if one.source else []
        lines += [f"  {said}" for said in one.conditions]
    return "\n".join([*lines, "", CHANGES, "For research; not for diagnosis.", ""])


def _web(address: str | None) -> str:
    """Return an address that a page may link to."""
    return address if address and urlsplit(address).scheme in {"http", "https"} else ""
