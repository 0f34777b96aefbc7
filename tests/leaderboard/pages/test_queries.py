"""What the downloads answer: the questions beside the SQLite file, and every number of both profiles computed again."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from harness.rows import Others
from harness.status import Status
from harness.store.database import Store
from leaderboard.pages.downloads import make_files
from leaderboard.pages.queries import QUERIES
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy
from tests.leaderboard.conftest import joined


def _made(store: Store) -> dict[str, bytes]:
    """Return name -> content of every download."""
    with TemporaryDirectory() as folder:
        made = make_files(export(store, PrivacyPolicy()), Path(folder), parquet=False)
        return {file.name: file.data for file in made}


def downloaded(store: Store) -> sqlite3.Connection:
    """Open the one database that the downloads make, as a reader would."""
    files = _made(store)
    with TemporaryDirectory() as folder:
        for query in QUERIES:
            assert query.sql in files["queries.sql"].decode()
        return joined(files, Path(folder))


def _f1(tp: int, fp: int, fn: int) -> float:
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0


def _ratio(tp: int, other: int, fn: int) -> float:
    return tp / (tp + other) if tp + other else float(fn == 0)


def _again(rows: list[sqlite3.Row]) -> dict[str, float]:
    """Compute the challenge's numbers of one run from the columns of its findings alone."""
    dice: list[float] = []
    by_case: dict[str, list[float]] = {}
    counts = {"instance": [0, 0, 0], "distance": [0, 0, 0]}
    for row in rows:
        ok = row["status"] == "ok"
        value = 0.0
        if ok:
            total = row["truth_voxels"] + row["kept_voxels"]
            value = (2 * row["kept_intersection"] + 1e-6) / (total + 1e-6) if total else 1.0
        dice.append(value)
        by_case.setdefault(row["case"], []).append(value)
        for name, prefix in (("instance", ""), ("distance", "distance_")):
            found = [row[f"{prefix}{n}"] for n in ("tp", "fp", "fn")] if ok else [0, 0, row["truth_entities"] or 0]
            counts[name] = [a + b for a, b in zip(counts[name], found, strict=True)]
    numbers = {
        "dice all": fmean(dice),
        "dice per_case": fmean(map(fmean, by_case.values())),
        "hit all": fmean(value >= 0.1 for value in dice),
    }
    for name, (tp, fp, fn) in counts.items():
        numbers[f"{name}_f1 all"] = _f1(tp, fp, fn)
        numbers[f"{name}_precision all"] = _ratio(tp, fp, fn)
        numbers[f"{name}_recall all"] = _ratio(tp, fn, fn)
    return numbers


def test_numbers_of_the_challenge_follow_from_the_downloads(bench: Any, store: Store) -> None:
    """Dice, Dice per case, hits, and all six of single lesions, with failures among them, to 1e-12."""
    bench.add(level=0.3, failures={2: Status.TIMEOUT, 5: Status.MISSING_OUTPUT})
    bench.add(plugin="weak", level=0.05)
    database = downloaded(store)
    stored = "select run, metric || ' ' || grp as name, value from metrics where profile = 'miccai2026'"
    shown = {(row["run"], row["name"]): row["value"] for row in database.execute(stored)}
    for run in ("run-01", "run-02"):
        rows = database.execute("select * from scores join findings using (number) where run = ?", [run]).fetchall()
        again = _again(rows)
        assert len(again) == 9
        for name, value in again.items():
            assert math.isclose(value, shown[run, name], rel_tol=0, abs_tol=1e-12), (run, name)
    assert shown["run-01", "dice all"] != shown["run-02", "dice all"]


def test_every_question_has_an_answer(bench: Any, store: Store) -> None:
    """Each query runs on the download as it stands; what it says is what the board shows."""
    bench.add(level=0.3, cases=8, others=[Others(None, None)])
    bench.add(plugin="weak", title="Weak", level=0.1, cases=8)
    database = downloaded(store)
    with closing(sqlite3.connect(":memory:")) as board:  # the first question needs nothing of single runs
        board.deserialize(_made(store)["results.sqlite"])
        assert len(board.execute(QUERIES[0].sql).fetchall()) == 2
    by_category, worst, pairs, failures, challenge = (database.execute(query.sql).fetchall() for query in QUERIES)
    assert [row["title"] for row in by_category] == ["Model", "Weak"]
    assert len(worst) == 10
    assert [row["dice"] for row in worst] == sorted(row["dice"] for row in worst)
    [pair] = pairs
    assert pair["first_better"] + pair["second_better"] + pair["equal"] == 48
    assert failures == []
    stored = "select value from metrics where profile = 'miccai2026' and metric = ? and grp = ? order by run"
    for name, path in (
        ("dice", ("dice", "all")),
        ("hit", ("hit", "all")),
        ("instance_f1", ("instance_f1", "all")),
        ("dice_per_case", ("dice", "per_case")),
    ):
        values = [row["value"] for row in database.execute(stored, path)]
        mine = [row[name] for row in sorted(challenge, key=lambda row: row["run"])]
        assert all(math.isclose(a, b, abs_tol=1e-12) for a, b in zip(mine, values, strict=True)), name
