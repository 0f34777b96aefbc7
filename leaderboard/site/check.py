"""Look a finished site over: what a visitor would stumble on, and what must not be published."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.errors import DataError
from harness.foreign import parse_json
from leaderboard.site.folder import BUILD, MARKER
from leaderboard.site.numbers import wrong_numbers
from leaderboard.site.withheld import committed, withheld

#: Most bytes of the front page, of a page with everything it loads before the first click, and of a full table.
INDEX_BYTES, PAGE_BYTES, TABLE_BYTES = 120_000, 1_000_000, 10_000_000

#: Most bytes that usual hosts of pages take: of one file, and of a whole site.
FILE_BYTES, SITE_BYTES = 100_000_000, 1_000_000_000

#: Attributes that load something by themselves; an address in another ``href`` is only followed by a reader.
_LOADING = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("video", "src")}


@dataclass(frozen=True)
class SiteProblem:
    """One problem: the file, and a description."""

    where: str
    what: str


class _Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[tuple[str, str, str]] = []
        self.ids: set[str] = set()
        self.lazy: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if values.get("rel") in {"canonical", "alternate"}:
            tag = "a"  # such a link is read by programs, and nothing is loaded from it
        if "id" in values:
            self.ids.add(values["id"])
        for name in ("src", "href"):
            if name in values:
                self.links.append((tag, name, values[name]))
        if values.get("loading") == "lazy":
            self.lazy.add(values.get("src", ""))


def check_site(site: Path) -> list[SiteProblem]:
    """Return everything that is wrong with the site in the folder `site`; raises DataError where there is none.

    A site for the public is also looked through for what must not be published.
    """
    marker = site / MARKER
    if not marker.is_file():
        raise DataError(f"{site} does not contain a site", fix="build one: `bench leaderboard build --out site/`")
    listed = set(marker.read_text(encoding="utf-8").splitlines())
    found = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()} - {MARKER}
    problems = [SiteProblem(name, "is not part of the site") for name in sorted(found - listed)]
    problems += [SiteProblem(name, "is missing") for name in sorted(listed - found)]
    pages = {name: _Links((site / name).read_text("utf-8")) for name in sorted(found) if name.endswith(".html")}
    for name, page in pages.items():
        problems += _links_of(name, page, pages, found)
        problems += _weight(site, name, page)
    problems += _too_large(site, found)
    problems += [SiteProblem(name, what) for name, what in wrong_numbers(site, found)]
    if is_public(site):
        problems += [SiteProblem(name, what) for name, what in withheld(site, found)]
    return problems + list(_sums(site))


def check_repository(repository: Path, site: Path) -> list[SiteProblem]:
    """Return what is wrong with a git repository that hosts the site: a private one, or results beside it.

    Raises
    ------
    PrerequisiteError
        When git does not say what is committed there.
    """
    problems = [] if is_public(site) else [SiteProblem(BUILD, "says that the site was not built for the public")]
    return problems + [SiteProblem(name, what) for name, what in committed(repository)]


def is_public(site: Path) -> bool:
    """Return whether a site was built for the public."""
    try:
        return bool(parse_json((site / BUILD).read_bytes())["visibility"] == "public")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _links_of(name: str, page: _Links, pages: dict[str, _Links], found: set[str]) -> Iterator[SiteProblem]:
    for tag, attribute, address in page.links:
        parts = urlsplit(address)
        if parts.scheme == "data":
            continue
        if parts.scheme or parts.netloc:
            if (tag, attribute) in _LOADING:
                yield SiteProblem(name, f"loads {address} from outside")
            continue
        target = (
            posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path))) if parts.path else name
        )
        if target not in found:
            yield SiteProblem(name, f"links to {target}, which is not there")
        elif (
            parts.fragment and "=" not in parts.fragment and target in pages and parts.fragment not in pages[target].ids
        ):
            yield SiteProblem(name, f"links to a place {parts.fragment} that {target} does not have")


def _weight(site: Path, name: str, page: _Links) -> Iterator[SiteProblem]:
    own = (site / name).stat().st_size
    if name == "index.html" and own > INDEX_BYTES:
        yield SiteProblem(name, f"weighs {own:,} bytes, more than {INDEX_BYTES:,}")
    loaded = {
        posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(urlsplit(address).path)))
        for tag, attribute, address in page.links
        if (tag, attribute) in _LOADING and not address.startswith("data:") and address not in page.lazy
    }
    weight = own + sum((site / path).stat().st_size for path in loaded if (site / path).is_file())
    most = TABLE_BYTES if name.startswith("tables/") else PAGE_BYTES
    if weight > most:
        yield SiteProblem(name, f"loads {weight:,} bytes, more than {most:,}")


def _too_large(site: Path, names: set[str]) -> Iterator[SiteProblem]:
    """Name what a host of pages would not take."""
    sizes = {name: (site / name).stat().st_size for name in sorted(names)}
    for name, size in sizes.items():
        if size > FILE_BYTES:
            yield SiteProblem(name, f"weighs {size:,} bytes; usual hosts take {FILE_BYTES:,} a file")
    if (whole := sum(sizes.values())) > SITE_BYTES:
        yield SiteProblem(".", f"weighs {whole:,} bytes; usual hosts take {SITE_BYTES:,} a site")


def _sums(site: Path) -> Iterator[SiteProblem]:
    sums = site / "downloads" / "SHA256SUMS"
    for line in sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []:
        match = re.fullmatch(r"([0-9a-f]{64})  (\S+)", line)
        path = sums.parent / match[2] if match else sums
        if match is None or not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != match[1]:
            yield SiteProblem(f"downloads/{path.name}", "does not match SHA256SUMS")
