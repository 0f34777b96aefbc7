"""The site: the database drawn as a folder of files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from harness.dataset import Dataset
from harness.scoring.sizes import SizeCuts
from harness.store.database import Store
from leaderboard.board.organiser import Organiser
from leaderboard.board.reported import read_boards, read_reported
from leaderboard.pages.cards import cards
from leaderboard.pages.changes import feed
from leaderboard.pages.cite import of_board
from leaderboard.pages.downloads import checksums, make_files
from leaderboard.pages.pages import render_pages
from leaderboard.pages.site import Site
from leaderboard.pages.vendor import NIIVUE, VIEWER, VOLUME_SCRIPT, asset
from leaderboard.published.export import export
from leaderboard.published.kept import Kept, KeptResults
from leaderboard.published.privacy import PrivacyPolicy
from leaderboard.published.statements import BoardStatement
from leaderboard.site.folder import BUILD, Content, Written, explained, replace_folder

#: Files that every page loads.
ASSETS = ("assets/site.css", "assets/app.js", "assets/theme.js", "assets/favicon.svg")


@dataclass(frozen=True)
class Options:
    """How a site is built.

    Attributes
    ----------
    policy
        Who will see it.
    figures
        Whether to draw figures and write Parquet files.
    datasets
        Data sets whose cases are shown with pictures, where `policy` opens them.
    runs
        The folder of the runs, which hold records and masks; by default that of the database's home.
    statements
        The organiser's statements, beside the paper's.
    log
        Called with a line for each case that is drawn, and for each row that is not confirmed.
    size_cuts
        Where findings are divided by size; by default where the runs of a whole split did.
    organiser, logo
        What the organiser states of the board; the logo as a file of the site.
    kept
        The file that keeps what builds computed, so that the next one computes what is new; None: nothing is kept.
    """

    policy: PrivacyPolicy = field(default_factory=PrivacyPolicy)
    figures: bool = False
    datasets: tuple[Dataset, ...] = ()
    runs: Path | None = None
    statements: tuple[BoardStatement, ...] = ()
    log: Callable[[str], None] = lambda _: None
    size_cuts: SizeCuts | None = None
    organiser: Organiser = field(default_factory=Organiser)
    logo: Mapping[str, bytes] = field(default_factory=dict)
    kept: Path | None = None


def build_site(store: Store, out: Path, options: Options | None = None) -> Path:
    """Write the leaderboard of `store` to the folder `out` and return the path of its ``index.html``.

    The same database gives the same bytes. The pages need no server, no network and no JavaScript.

    Parameters
    ----------
    store
        The results database.
    out
        Absent, empty, or a site made here.
    options
        By default without figures and pictures, for the owner of the database.

    Raises
    ------
    UsageError
        When `out` holds anything but a site made here.
    PrerequisiteError
        When `out` cannot be written.
    """
    options = options or Options()
    with (
        explained(out),
        tempfile.TemporaryDirectory(prefix="groundbench-") as scratch,
        KeptResults(options.kept or Path(scratch, "kept.db")) as kept,
        store.snapshot(),  # what a run contributes is read where a page needs it
    ):
        written = _build(store, out, options, kept, Path(scratch))
    gone = f", {written.gone:,} are gone" if written.gone else ""
    options.log(f"{written.changed:,} of {written.files:,} files changed{gone}")
    return out / "index.html"


def _build(store: Store, out: Path, options: Options, kept: KeptResults, scratch: Path) -> Written:
    published = export(
        store,
        options.policy,
        options.statements,
        size_cuts=options.size_cuts,
        runs=options.runs,
        kept=kept,
        at=scratch / "published.sqlite",
    )
    for run, why in published.doubted():
        options.log(f"warning: {run} is shown without rank and numbers: {why}")
    for name in options.organiser.unknown(published.data_sets()):
        options.log(f"note: the board has no run on {name}, which its order names")
    (scratch / "downloads").mkdir()
    downloads = make_files(published, scratch / "downloads", parquet=options.figures)
    site = Site(
        published,
        read_reported(),
        read_boards(),
        downloads,
        draw=options.figures,
        organiser=options.organiser,
        logo=next(iter(options.logo), ""),
    )
    files: dict[str, Content] = {**options.logo}
    if options.datasets:
        from leaderboard.gallery.delivered import Delivered  # what reads CTs is slow to load
        from leaderboard.gallery.gallery import make_gallery

        masks = partial(Delivered, store, options.runs or store.home / "runs")
        (scratch / "pictures").mkdir()
        gallery = make_gallery(
            published,
            site.board,
            options.datasets,
            masks,
            options.log,
            folder=scratch / "pictures",
            public=options.policy.public,
        )
        site = replace(
            site,
            pictures=gallery.pictures,
            strips=gallery.strips,
            undrawn=gallery.undrawn,
            vendored=(NIIVUE,) if gallery.pictures else (),
        )
        files |= gallery.files
        if gallery.pictures:
            names = (*VIEWER, VOLUME_SCRIPT, NIIVUE.script, NIIVUE.notice)
            files |= {name: asset(name) for name in names}
    files |= {f"downloads/{file.name}": file.at for file in downloads}
    files |= {name: asset(name) for name in ASSETS}
    files["changes.xml"] = feed(site)
    citation = of_board(site)
    files |= {"downloads/board.bib": citation.bibtex.encode(), "downloads/CITATION.cff": citation.cff.encode()}
    if options.figures:
        files |= dict(cards(site))
    files["downloads/SHA256SUMS"] = checksums(downloads)
    files[".nojekyll"] = b""  # a hosted repository would otherwise leave files out
    files[BUILD] = _describe(published.about())
    pages = (
        (path, html if isinstance(html, Kept) else html.encode("utf-8", "replace")) for path, html in render_pages(site)
    )
    return replace_folder(out, chain(files.items(), pages))


def _describe(about: dict[str, str]) -> bytes:
    return json.dumps({"schema": 1, "visibility": about["visibility"]}, indent=1).encode() + b"\n"
