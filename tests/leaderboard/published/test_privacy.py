"""What leaves a private split: sums over enough findings, and nothing else anywhere in the site."""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.redaction import PATH_REMOVED, without_places
from harness.rows import CaseRow
from harness.scoring.placement import PLACEMENTS
from harness.status import Status
from harness.store.database import Store
from leaderboard.published.export import export
from leaderboard.published.privacy import (
    ENOUGH,
    PrivacyPolicy,
    publishable,
    publishable_coverage,
    publishable_placements,
)
from leaderboard.site.build import Options, build_site

#: Each builds a whole board.
pytestmark = pytest.mark.costly

HIDDEN_TEXT = "zzsecretsentence about a nodule"
HIDDEN_CASE = "zzpatient"
HIDDEN_REASON = "zzreason with a path"

PUBLIC = PrivacyPolicy(public=True, open_splits=frozenset({"val"}))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def secret_store(bench, store: Store) -> Store:
    """Return a database of a private test split, with failures, and an open validation split."""
    for number, level in enumerate((0.5, 0.1)):
        run = bench.add(
            cases=12,
            text=HIDDEN_TEXT,
            case=HIDDEN_CASE,
            plugin=f"model-{number}",
            level=level,
            failures={3: Status.OOM},
            timing={"case_median_s": 1.0, "containers": [{"log": HIDDEN_REASON}]},
            record={"origin": HIDDEN_REASON, "cases": [HIDDEN_CASE], "hardware": {"cpu": "EPYC", "cores": 2}},
        )
        store.save_case(run.id, CaseRow(f"{HIDDEN_CASE}-0", 0, "oom", reason=HIDDEN_REASON, scored=True))
        bench.keep_record(run)
    bench.add(cases=2, text=HIDDEN_TEXT, case=HIDDEN_CASE, rankable=False, unrankable=["partial: 2 cases"])
    bench.add(split="val", text="an open sentence", case="open")
    return store


@pytest.mark.parametrize("figures", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_no_file_tells_of_a_private_case(secret_store: Store, tmp_path: Path, figures: bool) -> None:
    """Nowhere in the output, compressed tables included, is there an id, a text or a reason of a private split."""
    build_site(secret_store, tmp_path / "site", Options(policy=PUBLIC, figures=figures))
    files = content(tmp_path / "site")
    secrets = [HIDDEN_TEXT, HIDDEN_CASE, HIDDEN_REASON]
    for name, data in files.items():
        for secret in secrets:
            assert secret.encode() not in data, f"{secret} is in {name}"
            assert secret not in name
    assert any(b"an open sentence" in data for name, data in files.items() if name.startswith("cases/"))
    if figures:
        from pyarrow import parquet

        for name in files:
            if name.endswith(".parquet"):
                text = str(parquet.read_table(tmp_path / "site" / name).to_pydict())
                assert not [secret for secret in secrets if secret in text]


def test_the_same_database_built_privately_does_tell(secret_store: Store, tmp_path: Path) -> None:
    """The search of the test above would find what it looks for."""
    build_site(secret_store, tmp_path / "site")
    everything = b"".join(content(tmp_path / "site").values())
    assert HIDDEN_TEXT.encode() in everything
    assert HIDDEN_CASE.encode() in everything
    assert HIDDEN_REASON.encode() in everything


def test_ranks_and_comparisons_of_a_private_split_stay(secret_store: Store) -> None:
    """Sums over enough cases are published: metrics, coverage, ranks, differences."""
    published = export(secret_store, PUBLIC)
    [closed] = [row for row in published.data_sets() if not row.open]
    assert published.findings(closed.id) == []
    assert published.pairs(closed.id, "mlhc2025")[0].n == 12
    assert sorted(place.best for place in published.ranks(closed.id, "mlhc2025").values()) == [1, 2]
    run = published.runs(closed.id)[0]
    assert published.coverage(run.id) == {"not ok": None}
    assert published.metrics(run.id, "mlhc2025")["dice"]["all"]["n"] == 72
    assert published.scores(run.id) == {}
    assert published.cases(run.id) == []


def test_part_of_a_private_split_has_no_numbers(secret_store: Store) -> None:
    """A run on a part of it has no metrics: whole minus part would tell of the few that are left."""
    published = export(secret_store, PUBLIC)
    [closed] = [row for row in published.data_sets() if not row.open]
    [partial] = [run for run in published.runs(closed.id) if run.apart]
    assert published.metrics(partial.id, "mlhc2025") == {}
    assert published.coverage(partial.id) == {}
    assert partial.n_findings is None


def test_no_small_cell_is_published(secret_store: Store, tmp_path: Path) -> None:
    """Every published number of a private split summarises at least five findings or cases."""
    export(secret_store, PrivacyPolicy(public=True)).save(tmp_path / "results.sqlite")
    database = sqlite3.connect(tmp_path / "results.sqlite")
    assert database.execute("select min(n) from metrics where n > 0").fetchone()[0] >= ENOUGH
    assert database.execute("select min(n) from comparisons").fetchone()[0] >= ENOUGH
    assert database.execute("select count(*) from coverage").fetchone()[0] > 0
    assert database.execute("select count(*) from coverage where n < 5").fetchone()[0] == 0
    assert database.execute("select count(*) from metrics where grp = 'by_category/1a'").fetchone()[0] > 0


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"found": 20, "other_finding": 6}, {"found": 20, "other_finding": 6}),
        ({"found": 20, "other_finding": 3}, {"found": None, "other_finding": None}),
        ({"found": 20, "other_finding": 3, "elsewhere": 2}, {"found": 20, "other_finding": None, "elsewhere": None}),
        # The coverage tells how many have no mask, so that it cannot hide another number...
        ({"found": 20, "other_finding": 3, "no_mask": 7}, {"found": None, "other_finding": None, "no_mask": 7}),
        # ... and keeps it to itself where it is small, which then needs another one beside it.
        ({"found": 20, "other_finding": 9, "no_mask": 2}, {"found": 20, "other_finding": None, "no_mask": None}),
        ({"found": 20, "not_known": 3}, {}),
        ({"found": 2, "not_known": 30}, {}),
        ({"found": 3, "no_mask": 30}, {}),
        ({"no_mask": 30}, {"no_mask": 30}),
    ],
)
def test_no_placement_tells_of_few_findings(counts: dict[str, int], shown: dict[str, int | None]) -> None:
    """Of a closed split: none of 1 to 4 is shown, nor what it would follow from; what is 0 is shown."""
    every = dict.fromkeys(PLACEMENTS, 0)
    assert publishable_placements(every | counts) == (every | shown if shown else {})


def test_small_private_split_tells_nothing(bench, store: Store) -> None:
    """A private split of four findings and two cases gives no metric, no comparison and no time of a case."""
    for plugin in ("a", "b"):
        bench.add(cases=2, per_case=2, plugin=plugin)
    published = export(store, PrivacyPolicy(public=True))
    [closed] = published.data_sets()
    run = published.runs(closed.id)[0]
    assert published.metrics(run.id, "mlhc2025") == {}
    assert published.pairs(closed.id, "mlhc2025") == []
    assert not {"case_median_s", "case_p95_s"} & run.timing.keys()


@pytest.mark.costly
def test_few_failures_of_a_private_split_are_folded(bench, store: Store, pages) -> None:
    """Neither the board nor a run's page tells of one to four findings, in so many words or by a difference."""
    lost = dict.fromkeys(range(70), Status.OOM)
    bench.add(cases=12, plugin="one-lost", failures={3: Status.OOM})
    bench.add(cases=12, plugin="two-left", failures=lost)
    bench.add(cases=12, plugin="many", failures={3: Status.OOM, **dict.fromkeys(range(10, 16), Status.TIMEOUT)})
    bench.add(cases=12, plugin="none-lost")
    bench.add(cases=2, plugin="part", rankable=False, unrankable=["partial"])
    made = pages(store, PrivacyPolicy(public=True))
    cells = {
        row.all("th")[0].text.split()[1]: row.all("td", "coverage")[0].text
        for path, page in made.items()
        if path.startswith("tables/") and path.endswith("-mlhc2025.html")
        for row in page.all("tr")
        if row.all("td", "coverage")
    }
    assert cells == {
        "one-lost": "at least 68/72 not ok: fewer than five",
        "two-left": "fewer than 5/72",
        "many": "65/72 not ok: 7",
        "none-lost": "72/72",
        "part": "—",
    }
    assert "at least 68 of 72 findings got a valid mask" in made["runs/run-01.html"].text
    assert "fewer than 5 of 72 findings got a valid mask" in made["runs/run-02.html"].text
    assert "Not shown" in made["runs/run-05.html"].text
    assert not [path for path, page in made.items() if "oom" in page.text or "timeout" in page.text]


@given(ok=st.integers(0, 20), failed=st.integers(0, 20), unrecorded=st.integers(0, 6))
def test_folded_coverage_tells_of_no_few(ok: int, failed: int, unrecorded: int) -> None:
    """What is published is true; no number of it, and no difference to the total, is one to four."""
    total = ok + failed + unrecorded
    told = publishable_coverage({"ok": ok, "oom": failed}, total)
    numbers = [n for n in told.values() if n is not None]
    assert all(n >= ENOUGH for n in numbers)
    assert set(told) <= {"ok", "not ok"}
    if total < ENOUGH:
        assert told == {}
    elif None in told.values():
        assert numbers == []
        assert 0 < {"ok": ok, "not ok": total - ok}[next(iter(told))] < ENOUGH
    else:
        assert (told.get("ok", 0), told.get("not ok", 0)) == (ok, total - ok)


def test_no_time_of_a_single_private_case(bench, store: Store) -> None:
    """The first case's time is of one case, and one kind of hardware may have had one; sums over all of them stay."""
    apart = {"H200": {"first_case_s": 9.5, "case_median_s": 9.5}}
    bench.add(cases=12, timing={"first_case_s": 9.5, "case_median_s": 1.0, "by_hardware": apart})
    published = export(store, PrivacyPolicy(public=True))
    assert published.runs(published.data_sets()[0].id)[0].timing == {"case_median_s": 1.0}


def test_no_picture_of_a_private_case(scene, tmp_path: Path) -> None:
    """Though pictures are asked for and the data are at hand, nothing of a private case is drawn or named."""
    build_site(scene.store, tmp_path / "site", Options(policy=PUBLIC, datasets=(scene.dataset,), runs=scene.runs))
    files = content(tmp_path / "site")
    assert not [name for name in files if name.endswith((".webp", ".png", "volume.js"))]
    assert [name for name in files if name.startswith("cases/")] == ["cases/index.html"]
    for name, data in files.items():
        assert not [secret for secret in (b"case-0", b"case-1", b"left upper lobe") if secret in data], name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/data/chest ct/dataset.json", PATH_REMOVED),
        ("~/.bench/runs", PATH_REMOVED),
        ("file:///data/x", PATH_REMOVED),
        (r"C:\Users\me", PATH_REMOVED),
        (r"\\\\server\share", PATH_REMOVED),
        ("cannot read '/data/a.nii.gz' (/tmp/b)", f"cannot read '{PATH_REMOVED}' ({PATH_REMOVED})"),
        ("log=/opt/x", f"log={PATH_REMOVED}"),
        ("/bench/out/a.nii.gz is no mask", "/bench/out/a.nii.gz is no mask"),
        ("docker.io/library/python:3.11, 1/2 and/or https://example.org/a/b", None),
    ],
)
def test_paths_are_removed(text: str, told: str | None) -> None:
    """Whatever looks like a place on a machine goes; addresses of the web, images and container paths stay."""
    assert without_places(text) == (text if told is None else told)


def test_no_public_site_tells_of_the_machine(bench, store: Store, tmp_path: Path) -> None:
    """Of an open split on a public site, no file holds a path or a host's name; the rest of the provenance stays."""
    place, host = "/zzhome/zzsomebody/data set/dataset.json", "zzhost"
    stated = {"licence": "CC0", "terms": {"scores": "yes"}}
    record = {
        "dataset": {"path": place, **stated},
        "hardware": {"cpu": "EPYC", "cores": 2, "host": host},
    }
    run = bench.add(
        split="val",
        plan={"dataset": place, "params": {"levels": [1, f"{place}"]}, "seed": 77},
        record={**record, "origin": "/zzhome/zzsomebody/plugins/model", "seed": 77},
        rankable=False,
        unrankable=[f"made from {place}"],
    )
    store.save_case(run.id, CaseRow("case-0", 0, "oom", reason=f"no room at {place}", scored=True))
    bench.keep_record(run)
    build_site(store, tmp_path / "private")
    build_site(store, tmp_path / "public", Options(policy=PUBLIC))
    secrets = [b"zzhome", b"zzsomebody", host.encode(), str(store.path.parent).encode()]
    for name, data in content(tmp_path / "public").items():
        assert not [secret for secret in secrets if secret in data], name
    assert all(secret in b"".join(content(tmp_path / "private").values()) for secret in secrets[:3])
    [told] = export(store, PUBLIC).runs(export(store, PUBLIC).data_sets()[0].id)
    assert told.plan["seed"] == told.record["seed"] == 77
    assert told.record["dataset"] == stated


CODES = ["1a", "1b", "2a", "2b", "2c"]
COUNTS = st.lists(st.integers(0, 12), min_size=len(CODES), max_size=len(CODES))


def cells(counts: dict[str, int]) -> dict[str, dict[str, Any]]:
    return {group: {"value": 0.5, "ci95": None, "n": n} for group, n in counts.items()}


@settings(max_examples=200, deadline=None)
@given(counts=COUNTS, uncategorised=st.integers(0, 7))
def test_no_small_sum_can_be_worked_out(counts: list[int], uncategorised: int) -> None:
    """No sum or difference of published cells summarises one to four findings: all of them are tried."""
    groups = {f"by_category/{code}": n for code, n in zip(CODES, counts, strict=True)}
    groups |= {"non_focal": sum(counts[:2]), "focal": sum(counts[2:])}
    groups["all"] = groups["non_focal"] + groups["focal"] + uncategorised
    leaves = {f"by_category/{code}": {code} for code in CODES}
    parts = {**leaves, "non_focal": set(CODES[:2]), "focal": set(CODES[2:]), "all": {*CODES, "none"}}
    size = dict(zip(CODES, counts, strict=True)) | {"none": uncategorised}
    published = publishable(cells(groups))
    vectors = {group: tuple(int(leaf in parts[group]) for leaf in size) for group in published if groups[group]}
    for signs in itertools.product((-1, 0, 1), repeat=len(vectors)):
        total = [sum(s * v[i] for s, v in zip(signs, vectors.values(), strict=True)) for i in range(len(size))]
        if all(part in (0, 1) for part in total):
            n = sum(count for part, count in zip(total, size.values(), strict=True) if part)
            assert n == 0 or n >= ENOUGH, f"{dict(zip(vectors, signs, strict=True))} tells of {n}"


def test_groups_of_texts_and_people_need_five_cases_and_an_open_split(bench, store: Store) -> None:
    """In private all are shown; in public none of fewer than five cases, but for what names of scans tell."""
    for split, case in (("val", "open"), ("test", HIDDEN_CASE)):
        run = bench.add(split=split, cases=12, case=case)
        for place, known in enumerate(store.cases(run.id)):
            rows = [row for row in store.findings(run.id) if row.case == known.case]
            sex, age = ("F" if place < 4 else "M"), (30 if place < 6 else 50)
            stated = {"sex": sex, "age": age, "shares_patient": place < 1}
            told = [replace(row, details=replace(row.details, **stated)) for row in rows]
            store.save_case(run.id, known, told)
            bench.keep_record(run)
    kinds = ("by_sex", "by_age", "by_words", "by_shared_patient")

    def shown(policy: PrivacyPolicy) -> dict[str, list[tuple[str, int]]]:
        published = export(store, policy)
        return {
            data.split: sorted(
                (group, cell["n"])
                for run in published.runs(data.id)
                for group, cell in published.metrics(run.id, "mlhc2025")["dice"].items()
                if group.startswith(kinds)
            )
            for data in published.data_sets()
        }

    everything = [
        ("by_age/40 to 59", 36), ("by_age/under 40", 36), ("by_sex/female", 24), ("by_sex/male", 48),
        ("by_shared_patient/no", 66), ("by_shared_patient/yes", 6),
        ("by_words/up to 8", 72),
    ]  # fmt: skip
    assert shown(PrivacyPolicy()) == {"val": everything, "test": everything}
    few = [cell for cell in everything if not cell[0].startswith("by_sex")]
    assert shown(PUBLIC) == {"val": few, "test": []}
