"""A finished site whose numbers were changed is not in order, though its checksums may be."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.store.database import Store
from leaderboard.published.privacy import PrivacyPolicy
from leaderboard.site.build import Options, build_site
from leaderboard.site.numbers import wrong_numbers
from leaderboard.site.withheld import DATABASE, RUNS

pytestmark = pytest.mark.costly


def test_numbers_that_do_not_follow_from_the_site_are_named(bench, store: Store, tmp_path: Path) -> None:
    """Of open and closed splits: means of single scores, pages, and rows that may have no rank."""
    bench.add(plugin="rules", cases=8)
    bench.add(plugin="sat", split="val")
    bench.add(plugin="masks", kind="submitted", cases=8)
    bench.add(plugin="tiny", cases=8, level=0.3)
    bench.add(plugin="other", kind="submitted", cases=8, level=0.3)
    site = tmp_path / "site"
    build_site(store, site, Options(PrivacyPolicy(public=True, open_splits=frozenset({"test"}))))
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert list(wrong_numbers(site, names)) == []
    more = "update metrics set value = value + 0.5 where metric = 'dice' and grp = 'all' and profile like 'm%5'"
    for file in ("run-01", "run-02"):
        with closing(sqlite3.connect(site / RUNS / f"{file}.sqlite")) as db:
            db.execute(more)
            db.commit()
    with closing(sqlite3.connect(site / RUNS / "run-03.sqlite")) as db:
        db.execute("update about set value = 'run-09' where name = 'run'")
        db.commit()
    (site / RUNS / "run-05.sqlite").write_bytes(b"no database")
    with closing(sqlite3.connect(site / DATABASE)) as db:
        db.execute(f"{more} and run = 'run-04'")
        db.execute("update runs set level = 'measured' where kind = 'submitted'")
        db.execute("update runs set apart = '[\"partial\"]' where plugin = 'rules'")
        db.commit()
    found = "\n".join(" ".join(one) for one in wrong_numbers(site, names))
    assert "runs/run-01.sqlite says Dice" in found
    assert "and its single scores have the mean" in found
    assert "runs/run-02.html does not show the Dice of the file of its run" in found, "of a closed split"
    assert "runs/run-03.sqlite is of a run that the board does not have" in found
    assert "of run-04, and its file" in found
    assert "runs/run-05.sqlite cannot be read" in found
    assert "ranks run-01, which may not be ranked" in found
    assert "ranks run-03 among rows that were run here" in found
    (site / DATABASE).write_bytes(b"no database")
    assert "cannot be read" in next(wrong_numbers(site, names))[1]
