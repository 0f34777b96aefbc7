"""The pages of the site, each a function from the site's database to HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from harness.scoring.placement import APART, PLACEMENTS
from harness.scoring.profiles import PROFILES
from harness.scoring.simultaneous import FEWEST_CASES, TOSSES
from leaderboard.board.answers import BoardAnswer, in_table, name_of, on_board, other_data
from leaderboard.board.board import DataSet, Row, rank
from leaderboard.board.columns import COLUMNS, PAPER, SIZES
from leaderboard.board.comparisons import conclusion
from leaderboard.pages import figures
from leaderboard.pages.attribution import CHANGES, attribution
from leaderboard.pages.cards import BOARD
from leaderboard.pages.cases import CaseView, FindingView, case_views, described, disputed, scored
from leaderboard.pages.changes import changes
from leaderboard.pages.charts import DISTINCT, Drawing
from leaderboard.pages.cite import of_board
from leaderboard.pages.lost import SCRIPT, STYLE, digest
from leaderboard.pages.page import (
    brief,
    case_address,
    file_name,
    model_address,
)
from leaderboard.pages.pairs import pages_of_pairs, pair_address, pairs
from leaderboard.pages.placements import MEANINGS, placements_of, title_of
from leaderboard.pages.queries import QUERIES
from leaderboard.pages.run_page import LONGEST_LIST, origin_of, runs
from leaderboard.pages.scores import scores
from leaderboard.pages.site import Pages, Render, Site
from leaderboard.pages.vendor import VIEWER_SCRIPTS, VOLUME_SCRIPT
from leaderboard.published.database import Pair
from leaderboard.published.export import COMPARED
from leaderboard.published.run_file import RUN_TABLES
from leaderboard.published.standing import Standing
from leaderboard.published.statements import BoardStatement
from leaderboard.published.tables import TABLES

#: The pages that every page links to: those that most readers want, and the others.
NAVIGATION = (
    (
        ("index.html", "Scores"),
        ("compare.html", "Compare"),
        ("categories.html", "Categories"),
        ("cases/index.html", "Cases"),
        ("changes.html", "What changed"),
        ("methods.html", "Methods"),
        ("submit.html", "Submit"),
        ("downloads.html", "Downloads"),
    ),
    (
        ("reported.html", "Reported"),
        ("sizes.html", "Sizes"),
        ("groups.html", "Groups"),
        ("distributions.html", "Distributions"),
        ("statements.html", "Statements"),
        ("placements.html", "Mix-ups"),
        ("cost.html", "Cost"),
        ("runs/index.html", "Runs"),
    ),
)

#: What a page is about where it does not say so itself.
DESCRIPTION = "How well models find, in a 3D chest CT, what a radiology report says in free text."

#: Comparisons that are shown of one answer.
COMPARISONS = 30

#: Rows of each ranking whose pairs the Compare page lists, best first.
PAIRED = 24

#: Columns of a wide table.
COLUMNS_SHOWN = 10


def render_pages(site: Site) -> Pages:
    """Yield (path, HTML) of every page."""

    def render(path: str, template: str, title: str, /, *, also: Sequence[str] = (), **values: Any) -> tuple[str, str]:
        page = {
            "root": "../" * path.count("/"),
            "here": path,
            "also": also,
            "title": brief(title),
            "navigation": NAVIGATION,
            "newest": site.newest,
            "board": site.board,
            "organiser": site.organiser,
            "description": DESCRIPTION,
            "card": BOARD if site.draw else "",
            "logo": site.logo,
            **values,
        }
        return path, site.environment.get_template(template).render(page)

    tables = (scores, _groups, _distributions, _compare, pairs, _statements, _placements, _cost)
    for pages in (*tables, _cases, runs, changes, _models, _texts):
        yield from pages(site, render)


def _drawings(site: Site, draw: Callable[[DataSet], Drawing | None]) -> dict[str, Drawing | None]:
    return {data.about.id: draw(data) for data in site.board} if site.draw else {}


def _groups(site: Site, render: Render) -> Pages:
    shown: dict[str, Any] = {"first_columns": lambda rows: rows[:COLUMNS_SHOWN]}
    best = f"The figure shows the best {DISTINCT} rows at most."
    yield render(
        "categories.html",
        "groups.html.j2",
        "Dice by category",
        description="Which findings are hard: mean Dice by category.",
        lead="Which findings are hard: mean Dice by the category of the finding.",
        caption=f"Mean Dice and its 95 % interval by category. {best}",
        table_caption="Mean Dice by category with its 95 % confidence interval; n is the number of findings.",
        drawings=_drawings(site, figures.categories),
        names_of=figures.category_groups,
        pick=Row.category,
        column_of="category-",
        note_of=lambda _: "",
        **shown,
    )
    yield render(
        "sizes.html",
        "groups.html.j2",
        "Dice by size",
        lead="Small findings are harder: mean Dice by the share of the scan that the finding fills.",
        caption=f"Mean Dice and its 95 % interval by size of finding. {best}",
        table_caption="Mean Dice by size with its 95 % confidence interval; n is the number of findings.",
        drawings=_drawings(site, figures.sizes),
        names_of=lambda _: list(SIZES.items()),
        pick=figures.size_score,
        column_of="size-",
        note_of=figures.size_note,
        **shown,
    )
    yield render(
        "groups.html",
        "groups.html.j2",
        "Dice by group",
        lead="Mean Dice by what the text of a finding says, by its entities, and by what is stated of the patient.",
        caption=f"Mean Dice and its 95 % interval by group. {best}",
        table_caption="Mean Dice by group with its 95 % confidence interval; n is the number of findings. Findings of "
        "which a group is not known are a group of their own, named unknown.",
        drawings=_drawings(site, figures.groups),
        names_of=figures.group_names,
        pick=figures.group_score,
        column_of="",
        note_of=lambda _: "",
        **shown,
    )


def _distributions(site: Site, render: Render) -> Pages:
    findings = {data.about.id: site.published.findings(data.about.id) for data in site.board}
    bins = {key: figures.size_bins(found) for key, found in findings.items()}
    counted = {key: sum(one.focal + one.non_focal for one in found) for key, found in bins.items()}
    drawings: dict[str, Drawing | None] = {}
    if site.draw:
        for data in site.board:
            drawings[f"categories-{data.about.id}"] = figures.category_bars(data)
            drawings[f"sizes-{data.about.id}"] = figures.size_histogram(bins[data.about.id])
    counts = {data.about.id: figures.category_counts(data) for data in site.board}
    yield render(
        "distributions.html",
        "distributions.html.j2",
        "What the data hold",
        description="Findings of each split by category and size.",
        counts_by_category=counts,
        size_bins=bins,
        uncounted={key: len(found) - counted[key] for key, found in findings.items()},
        drawings=drawings,
    )


def _compare(site: Site, render: Render) -> Pages:
    compared = {data.about.id: _best_pairs(data, site.pairs[data.about.id]) for data in site.board}
    rows = {data.about.id: {e.run.id: e for e in data.rows if e.run} for data in site.board}
    yield render(
        "compare.html",
        "compare.html.j2",
        "Compare rows",
        description="Any two rows on the same findings: how far apart they are, how surely, and where.",
        compared=compared,
        members={key: _members(pairs) for key, pairs in compared.items()},
        choices={key: [(file_name(run), rows[key][run]) for run in _members(site.pairs[key])] for key in compared},
        file_name=file_name,
        pair_address=pair_address,
        pair_pages={(pair.first, pair.second) for found in pages_of_pairs(site).values() for pair in found},
        row_of=rows,
        ranks_of={data.about.id: site.published.ranks(data.about.id, PAPER) for data in site.board},
        drawings=_drawings(site, lambda data: figures.differences(data, compared[data.about.id])),
        conclusion=conclusion,
    )


def _statements(site: Site, render: Render) -> Pages:
    places = [("Table 4 of the paper", ""), *((", ".join(d.about.names), d.about.split) for d in site.board)]
    kinds: dict[bool, list[tuple[BoardStatement, list[BoardAnswer]]]] = {False: [], True: []}
    for statement, own in site.published.statements():
        on_board_ = on_board(statement, site.board, site.published)
        kinds[own].append((statement, on_board_ if own else [in_table(statement, site.reported), *on_board_]))
    yield render(
        "statements.html",
        "statements.html.j2",
        "Statements",
        description="What the paper and the organisers say, held against the rows.",
        kinds=[
            ("of-the-paper", "Of the paper", places, kinds[False]),
            ("of-the-organisers", "Of the organisers of this board", places[1:], kinds[True]),
        ],
        other_data=partial(other_data, site.reported),
        name_of=name_of,
        most=COMPARISONS,
        compared=COMPARED,
    )


def _best_pairs(data: DataSet, pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs of the best :data:`PAIRED` rows of each ranking."""
    standings = {row.run.id: row.standing for row in data.rows if row.run}
    members: dict[Standing, list[str]] = {}
    for run in _members(pairs):
        members.setdefault(standings[run], []).append(run)
    best = {run for runs in members.values() for run in runs[:PAIRED]}
    return [pair for pair in pairs if {pair.first, pair.second} <= best]


def _members(pairs: Sequence[Pair]) -> list[str]:
    """Return the runs of some pairs, best first."""
    return list(dict.fromkeys(run for pair in pairs for run in (pair.first, pair.second)))


def _placements(site: Site, render: Render) -> Pages:
    yield render(
        "placements.html",
        "placements.html.j2",
        "Mix-ups: where the masks lie",
        placements=partial(placements_of, site.published),
        shared=[name for name in PLACEMENTS if name not in APART],
        meanings=MEANINGS,
        title_of=title_of,
        current=attrgetter("current"),
        most=LONGEST_LIST,
    )


def _cost(site: Site, render: Render) -> Pages:
    drawings: dict[str, Drawing | None] = {}
    if site.draw:
        for data in site.board:
            for what in ("seconds", "memory"):
                drawings[f"{what}-{data.about.id}"] = figures.cost(data, what)
    yield render(
        "cost.html",
        "cost.html.j2",
        "Cost",
        drawings=drawings,
        current=attrgetter("current"),
        most=LONGEST_LIST,
        distinct=DISTINCT,
    )


def _cases(site: Site, render: Render) -> Pages:
    findings: dict[str, list[FindingView]] = {}
    views: list[tuple[DataSet, CaseView]] = []
    n_rows = {}
    for data in site.board:
        rows = [row for row in data.current if not row.known_answer]
        cases = case_views(site.published, data, rows)
        views += [(data, case) for case in cases]
        findings[data.about.id] = disputed(cases)
        n_rows[data.about.id] = len(rows)
    yield render(
        "cases/index.html",
        "cases.html.j2",
        "Cases",
        description="Single findings and how well each row marks them.",
        findings=findings,
        n_rows=n_rows,
        most=LONGEST_LIST,
        picks={
            key: [
                *([("Most disputed", "-spread", rows[:5])] if n_rows[key] > 1 else []),
                ("Worst", "mean", sorted(rows, key=lambda row: (row.mean, row.finding.number))[:5]),
                ("Best", "-mean", sorted(rows, key=lambda row: (-row.mean, row.finding.number))[:5]),
            ]
            for key, rows in findings.items()
        },
    )
    for place, (data, case) in enumerate(views):
        shown = described(case, data.about.id, site.pictures, site.undrawn)
        about = {
            "undrawn": site.undrawn.get((data.about.id, case.id), "") or site.undrawn.get((data.about.id,), ""),
            "before": _neighbour(views, place, -1),
            "after": _neighbour(views, place, 1),
            "strip": site.strips.get((data.about.id, case.id), ""),
        }
        best = [[site.own_digests[row.run.id] for row in finding["rows"]] for finding in shown]
        inputs = case.id, repr(data.about), repr([{**finding, "rows": ()} for finding in shown]), best, repr(about)
        make = partial(_case, site, render, data, case, shown=shown, about=about)
        yield case_address(data.about.id, case.id), site.page(inputs, make)


def _case(
    site: Site,
    render: Render,
    data: DataSet,
    case: CaseView,
    *,
    shown: Sequence[Mapping[str, Any]],
    about: Mapping[str, str],
) -> tuple[str, str]:
    """Render the page of a case; what it shows is what :func:`_cases` names as its inputs."""
    return render(
        case_address(data.about.id, case.id),
        "case.html.j2",
        case.id,
        also=["cases/index.html"],
        description=f"{len(case.findings)} findings of a chest CT, and how well each row marks them.",
        data=data,
        findings=scored(site.published, case.id, shown),
        pictures=any(finding["picture"] for finding in shown),
        viewer_scripts=VIEWER_SCRIPTS,
        volume_script=VOLUME_SCRIPT if any(one["picture"] and one["picture"].volume for one in shown) else "",
        attribution=attribution(data.about),
        **about,
    )


def _neighbour(views: Sequence[tuple[DataSet, CaseView]], place: int, step: int) -> str:
    """Name the case before or after one, on the same data set; empty at its ends."""
    if not 0 <= place + step < len(views):
        return ""
    data, case = views[place + step]
    return case.id if data is views[place][0] else ""


def _models(site: Site, render: Render) -> Pages:
    models: dict[str, list[tuple[DataSet, list[Row]]]] = {}
    for data in site.board:
        for row in data.rows:
            assert row.run is not None  # noqa: S101 - rows of a data set are runs
            groups = models.setdefault(model_address(row.run), [])
            if not groups or groups[-1][0] is not data:
                groups.append((data, []))
            groups[-1][1].append(row)
    for address, groups in models.items():
        rows_of = {row.run.id: row for _, rows in groups for row in rows if row.run}
        runs = [row.run for row in rows_of.values() if row.run]
        newest = max(runs, key=lambda run: (run.created, run.id))
        inputs = [
            (repr(data.about), [site.row_digests[row.run.id] for row in rows if row.run]) for data, rows in groups
        ]
        make = partial(
            render,
            address,
            "model.html.j2",
            newest.title,
            also=["index.html"],
            run=newest,
            variants=sorted({run.variant for run in runs}),
            versions=sorted({run.plugin_version for run in runs}),
            total=len(runs),
            origin=origin_of(newest.record),
            licences=rows_of[newest.id].licences,
            columns=COLUMNS[PAPER],
            by_data_set=[(data, _standing(rows)) for data, rows in groups],
        )
        yield address, site.page((address, inputs), make)


def _standing(rows: Sequence[Row]) -> list[Row]:
    """Order a model's rows: ranked ones first, then the newest."""
    ranked = rank(row for row in rows if not row.reasons)
    return [
        *ranked,
        *sorted((e for e in rows if e.reasons), key=lambda e: e.run.created if e.run else "", reverse=True),
    ]


def _texts(site: Site, render: Render) -> Pages:
    closed = [f"{', '.join(data.about.names)}/{data.about.split}" for data in site.board if not data.about.open]
    yield render(
        "methods.html",
        "methods.html.j2",
        "Methods",
        description="How the numbers are computed, and where their limits are.",
        profiles=list(PROFILES.values()),
        columns=[],
        columns_of=COLUMNS,
        tosses=TOSSES,
        fewest=FEWEST_CASES,
        closed=closed,
    )
    yield render("submit.html", "submit.html.j2", "Submit a model", description="How to get a row on this board.")
    yield render(
        "downloads.html",
        "downloads.html.j2",
        "Downloads",
        description="Every number of this board as SQLite, CSV, JSON and Parquet, and how to cite it.",
        files=site.files,
        n_files=sum("/" not in file.name for file in site.files),
        citation=of_board(site),
        queries=QUERIES,
        tables=TABLES,
        columns_in={table: site.published.columns(table) for table in TABLES},
        run_tables=RUN_TABLES,
        closed=closed,
        attributions=site.attributions,
    )
    yield render(
        "licences.html",
        "licences.html.j2",
        "Licences",
        attributions=site.attributions,
        changes=CHANGES,
        pictures=bool(site.pictures),
        vendored=site.vendored,
    )
    yield render("404.html", "404.html.j2", "Page not found", style=STYLE, script=SCRIPT, digest_of=digest)
