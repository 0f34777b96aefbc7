"""One run as its page tells it: every metric by its name, its cost, and its origin at a glance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

from markupsafe import Markup

from harness.scoring.groups import names_of
from harness.scoring.profiles import PROFILES
from leaderboard.board.board import DataSet, Row, Score, score_from
from leaderboard.board.columns import SIZES
from leaderboard.board.comparisons import Against, against
from leaderboard.pages import figures
from leaderboard.pages.cards import card_address, has_card
from leaderboard.pages.cite import of_row
from leaderboard.pages.downloads import run_file_name, scores_name
from leaderboard.pages.page import (
    LEVELS,
    brief,
    category_name,
    file_name,
    label,
    readable_bytes,
    readable_seconds,
    run_address,
    short_digest,
)
from leaderboard.pages.pairs import pages_of_pairs, pair_address
from leaderboard.pages.placements import placements_of, title_of
from leaderboard.pages.site import Pages, Render, Site
from leaderboard.pages.why import addresses, extremes, failure_of, lesions_of
from leaderboard.published.database import Pair, Published, PublishedFinding
from leaderboard.published.kept import digest_of

#: Rows of long lists.
LONGEST_LIST: Final = 1500

#: Metrics in the order of their columns, and how they are called.
METRICS: Mapping[str, str] = {
    "dice": "Dice",
    "dice_unfiltered": "Dice, unfiltered",
    "hit5": "HIT5",
    "hit10": "HIT10",
    "hit": "Hit rate",
    "instance_f1": "Instance F1",
    "instance_precision": "Instance precision",
    "instance_recall": "Instance recall",
    "distance_f1": "Distance F1",
    "distance_precision": "Distance precision",
    "distance_recall": "Distance recall",
}

#: Groups that come first, and how they are called.
GROUPS: Mapping[str, str] = {
    "all": "All findings",
    "non_focal": "Non-focal",
    "focal": "Focal",
    "per_case": "Mean over cases",
}

#: What a run took, and how it is called; anything else keeps its stored name.
TIMES: Mapping[str, str] = {
    "case_wall_s": "a case: containers' lives over cases delivered",
    "cases_per_hour": "cases an hour",
    "predict_s": "all cases",
    "peak_container_bytes": "peak memory of the container",
    "peak_gpu_bytes": "peak memory of the GPU",
    "gpu_busy_share": "the GPU computes, as the driver counts it",
    "container_start_s": "start of the container",
    "model_load_s": "load of the model, by its events",
    "first_case_s": "first case, by the model's events",
    "case_median_s": "a case by the model's events, median",
    "case_p95_s": "a case by the model's events, 95th percentile",
    "told_compute_s": "computing a case, the model's word, median",
    "told_compute_p95_s": "computing a case, the model's word, 95th percentile",
    "told_wait_s": "waiting for a CT or for masks to be taken, the model's word, median",
    "told_read_s": "reading a CT, the model's word, median",
    "told_write_s": "writing the masks of a case, the model's word, median",
    "peak_host_bytes": "peak memory of the process, the model's word",
    "peak_device_bytes": "peak memory of the GPU during a case, the model's word",
    "load_device_bytes": "peak memory of the GPU while loading, the model's word",
    "image_bytes": "size of the image",
}

Metrics = dict[str, dict[str, Score]]


def metrics_of(published: Published, run: str) -> dict[str, Metrics]:
    """Return profile -> metric -> group -> score of a run, metrics in the order of :data:`METRICS`."""
    order = list(METRICS)
    return {
        profile: {
            metric: {group: score_from(cell) for group, cell in groups.items()}
            for metric, groups in sorted(
                published.metrics(run, profile).items(),
                key=lambda item: order.index(item[0]) if item[0] in order else 99,
            )
        }
        for profile in PROFILES
    }


def groups_in(metrics: Metrics) -> list[tuple[str, str, str]]:
    """Return (key, name, findings and cases) of every group: whole, halves, categories, sizes, and those of texts."""
    found = {group for cells in metrics.values() for group in cells}
    sizes, others = [f"by_size/{size}" for size in SIZES], names_of(found)
    keys = [key for key in GROUPS if key in found]
    keys += sorted(found - {*GROUPS, *sizes, *others})
    keys += [key for key in (*sizes, *others) if key in found]
    names = {key: others.get(key) or _group_name(key) for key in keys}
    return [(key, names[key], next(cells[key].basis for cells in metrics.values() if key in cells)) for key in keys]


def _group_name(key: str) -> str:
    kind, _, name = key.partition("/")
    if kind == "by_size":
        return SIZES.get(name, name)
    return GROUPS.get(key) or (category_name(name) if kind == "by_category" else key)


def timing_of(timing: Mapping[str, Any]) -> dict[str, str]:
    """Format the cost of a run with units, for each kind where it had unlike hardware; unknown values are left out."""
    readable = {}
    for key in [*(key for key in TIMES if key in timing), *(key for key in timing if key not in TIMES)]:
        name, value = TIMES.get(key, key.replace("_", " ")), timing[key]
        if key.endswith("_s") and value is not None:
            readable[name] = f"{readable_seconds(value)} s"
        elif key.endswith("_share") and value is not None:
            readable[name] = f"{value:.0%}"
        elif key.endswith("_bytes") and value is not None:
            readable[name] = readable_bytes(value)
        elif isinstance(value, int | float):
            readable[name] = f"{value:.0f}"
    apart = {kind: timing_of(costs) for kind, costs in _part(timing, "by_hardware").items()}
    names = dict.fromkeys(name for costs in apart.values() for name in costs)
    return readable | {f"{name}, {kind}": apart[kind][name] for name in names for kind in apart if name in apart[kind]}


def at_a_glance(row: Row) -> list[tuple[str, str]]:
    """Return (name, value) of a run's origin; values that were not recorded are left out."""
    assert row.run is not None  # noqa: S101 - only runs have a page
    plan, record = row.run.plan, row.run.record
    facts = [
        ("Plugin", f"{row.run.plugin} {row.run.plugin_version}".strip()),
        ("Image", short_digest(row.run.image_id) if row.run.image_id else ""),
        ("Engine", ", ".join(_engine(_part(record, "engine")))),
        ("Hardware", "; ".join(row.hardware)),
        ("Weights", _weights(_part(plan, "weights"))),
        ("Licence of the code", row.licences.of_code),
        ("Licences of the weights", row.licences.of_weights),
        ("Commercial use", row.licences.commercial if "licences" in record else ""),
        ("Checkpoint may be shared", _version(_part(_part(record, "training"), "share").get("answer"))),
        ("Harness", ", ".join(_harness(_part(record, "harness")))),
        ("Scorer", _version(plan.get("scorer", record.get("scorer")))),
        ("Data", _data(_part(record, "data"))),
        ("Seed", _version(plan.get("seed", record.get("seed")))),
    ]
    return [(name, value) for name, value in facts if value]


#: What a card states, and how it is called.
CARD: Mapping[str, str] = {
    "who": "Stated by",
    "contact": "Contact",
    "authors": "Authors of the model",
    "paper": "Paper",
    "prompt": "Prompted with",
    "prompts_made": "How the prompts were made",
    "trained_on": "Trained on",
    "conflicts": "Conflicts of interest",
}


def stated_by(row: Row) -> list[tuple[str, str]]:
    """Return (name, value) of what the card of a row states, what it does not included; empty for a run made here."""
    assert row.run is not None  # noqa: S101 - only runs have a page
    card = _part(row.run.plan, "card") or _part(row.run.record, "card")
    if row.level.headline and not card:
        return []
    said = {name: ", ".join(map(str, one)) if isinstance(one, list) else str(one) for name, one in card.items()}
    if card.get("trained_on") == []:
        said["trained_on"] = "none of the cases of this benchmark"
    return [(title, said.get(name) or "not stated") for name, title in CARD.items()]


def origin_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return homepage and citation of the model behind a record, and where its code was taken from instead.

    A homepage is one of the web; ``elsewhere`` are repositories of its code that are not the homepage's, with commits.
    """
    facts = _part(record, "model")
    homepage, citation, code = (facts.get(name) or "" for name in ("homepage", "citation", "code"))
    homepage = homepage if str(homepage).startswith("https://") else ""
    taken = [str(address) for address in code] if isinstance(code, list) else []
    elsewhere = [address for address in taken if homepage and address.rpartition("@")[0] != homepage]
    return {"homepage": homepage, "citation": str(citation), "elsewhere": elsewhere}


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of a record; empty where it is missing or malformed."""
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}


def _data(judgement: Mapping[str, Any]) -> str:
    """Say what was found in the data; empty where it was not judged."""
    if not judgement.get("judged"):
        return ""
    warnings = judgement.get("warnings") or {}
    return ", ".join(f"{code} ({count})" for code, count in warnings.items()) or "no warning"


def _version(value: object) -> str:
    return "" if value is None else str(value)


def _engine(engine: Mapping[str, Any]) -> Iterator[str]:
    if engine:
        yield f"{engine.get('engine', '')} {engine.get('version') or ''}".strip()
        yield "isolated" if engine.get("isolates") else "not isolated"


def _harness(harness: Mapping[str, Any]) -> Iterator[str]:
    if "groundbench" in harness:
        yield f"groundbench {harness['groundbench']}"
    if "commit" in harness:
        yield f"commit {str(harness['commit'])[:12]}{' with changes' if harness.get('modified') else ''}"


def _weights(weights: Mapping[str, Any]) -> str:
    mode = weights.get("mode")
    files: Iterable[str] = _part(weights, "files")
    return "" if mode is None else ", ".join([str(mode), *files])


def runs(site: Site, render: Render) -> Pages:
    """Yield the list of runs, and the page of every run."""
    yield render(
        "runs/index.html",
        "runs.html.j2",
        "Every run",
        description="Every run of this board, with its standing.",
        most=LONGEST_LIST,
        run_file=_run_file,
        archived=int(site.published.about()["archived"]),
    )
    for data in site.board:
        others = against(data, site.pairs[data.about.id])
        findings = {finding.number: finding for finding in site.published.findings(data.about.id)}
        places = addresses([*findings.values()])
        own_page = _pages_by_run(pages_of_pairs(site)[data.about.id])
        seen = repr(data.about), digest_of(repr(findings))
        histories: dict[object, list[Row]] = {}
        for row in reversed(data.rows):
            histories.setdefault(_made_by(row), []).append(row)
        for row in data.rows:
            assert row.run is not None  # noqa: S101 - rows of a data set are runs
            beside, history = others.get(row.run.id, []), histories[_made_by(row)]
            paths = own_page.get(row.run.id, {})
            inputs = (
                *seen,
                row.run.id,
                [(repr(other.pair), site.row_digests[other.row.run.id]) for other in beside if other.row.run],
                [site.row_digests[one.run.id] for one in history if one.run],
                site.row_digests[row.run.id],
                list(paths.items()),
            )
            own = partial(_own, site, data, row, findings, places)
            make = partial(_run, site, render, data, row, beside=beside, paths=paths, history=history)
            parts = partial(_parts, site, (*seen, site.own_digests[row.run.id]), own)
            yield run_address(row.run.id), site.page(inputs, partial(make, parts=parts))


def _run(
    site: Site,
    render: Render,
    data: DataSet,
    row: Row,
    *,
    parts: Callable[[], Mapping[str, Markup]],
    beside: Sequence[Against],
    paths: Mapping[str, str],
    history: Sequence[Row],
) -> tuple[str, str]:
    """Render the page of a run; what it shows is what :func:`runs` names as its inputs."""
    assert row.run is not None  # noqa: S101 - rows of a data set are runs
    run, own = row.run, parts()
    return render(
        run_address(run.id),
        "run.html.j2",
        f"{label(row)}: run {brief(run.id, 40)}",
        also=["runs/index.html"],
        description=_described(data, row),
        card=card_address(run.id) if site.draw and has_card(row) else "",
        data=data,
        row=row,
        stated=stated_by(row),
        against=beside,
        pair_page=paths,
        history=history,
        findings='id="worst"' in own["details"],
        **own,
    )


def _parts(site: Site, inputs: Sequence[object], values: Callable[[], Mapping[str, Any]]) -> dict[str, Markup]:
    """Return the parts of the page that are of the run alone: they stay when other runs come."""
    made = cache(values)
    return {name: site.fragment(f"run_{name}.html.j2", inputs, made) for name in ("scores", "details")}


def _own(
    site: Site, data: DataSet, row: Row, findings: Mapping[int, PublishedFinding], places: Mapping[int, str]
) -> dict[str, Any]:
    """Return what the page shows of the run alone."""
    assert row.run is not None  # noqa: S101 - rows of a data set are runs
    run = row.run
    failed = [case for case in site.published.cases(run.id) if case.status != "ok"]
    trained = site.published.training(run.id)
    return {
        "root": "../",
        "data": data,
        "row": row,
        "citation": of_row(site, data, row),
        "profiles": metrics_of(site.published, run.id),
        "metric_names": METRICS,
        "groups_in": groups_in,
        "placed": placements_of(site.published, run.id),
        "title_of": title_of,
        "glance": at_a_glance(row),
        "extremes": extremes(site.published, row, findings, places),
        "lesions": lesions_of(site.published, run.id),
        "failure_of": failure_of,
        "trained": trained,
        "measured": [step for step in trained if step.val_dice is not None] or trained[:100],
        "curve": figures.training(trained) if site.draw else None,
        "failed": failed[:100],
        "n_failed": len(failed),
        "timing_of": timing_of,
        "single": scores_name(run.id) if scores_name(run.id) in site.file_names else "",
        "own_file": run_file_name(run.id) if run_file_name(run.id) in site.file_names else "",
    }


def _pages_by_run(pages: Sequence[Pair]) -> dict[str, dict[str, str]]:
    """Return run -> other run -> path of the page that compares them."""
    found: dict[str, dict[str, str]] = {}
    for pair in pages:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            found.setdefault(one, {})[other] = pair_address(pair.first, pair.second)
    return found


def _described(data: DataSet, row: Row) -> str:
    """Say in a line what the page of a run shows."""
    score = row.scores["average"].value
    dice = "no score" if score is None else f"average Dice {score:.3f}"
    return f"{label(row)} on {brief(data.title, 80)}: {dice}, {LEVELS[row.level][0].lower()}."


def _run_file(run: str) -> str:
    return f"{file_name(run)}.html"


def _made_by(row: Row) -> object:
    """Return what the runs of one row share."""
    return row.variant, row.run and row.run.made_by
