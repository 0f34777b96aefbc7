"""What must not be published is found in a site, however it came there, and in the repository that hosts it."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from harness.dataset.terms import Terms
from harness.errors import DataError, PrerequisiteError
from harness.store.database import Store
from leaderboard.published.privacy import PrivacyPolicy
from leaderboard.site.build import Options, build_site
from leaderboard.site.check import check_repository, check_site
from leaderboard.site.folder import BUILD, MARKER
from leaderboard.site.publish import to_branch
from leaderboard.site.withheld import DATABASE, RUNS
from tests.leaderboard.site.conftest import invoke

pytestmark = pytest.mark.costly


def _change(site: Path, *statements: tuple[str, tuple[object, ...]], file: str = DATABASE) -> list[str]:
    """Change a database of the site, check the site, and put it back; returns what is said of any content."""
    before = (site / file).read_bytes()
    with closing(sqlite3.connect(site / file)) as db:
        for statement in statements:
            db.execute(*statement)
        db.commit()
    found = [problem.what for problem in check_site(site) if "SHA256SUMS" not in problem.what]
    (site / file).write_bytes(before)
    return found


def test_nothing_of_a_single_case_of_a_closed_split(bench, store: Store, tmp_path: Path) -> None:
    """Each table with rows of cases or findings is looked at, and each page of a case."""
    run = bench.add()
    site = tmp_path / "site"
    build_site(store, site, Options(policy=PrivacyPolicy(public=True)))
    assert check_site(site) == []
    with closing(sqlite3.connect(site / DATABASE)) as db:
        ((key,),) = db.execute("select id from data_sets")
    rows = {
        "scores": "insert into scores (\"case\", finding, status, dice, placement) values ('c', 'f', 'ok', 0, 'found')",
        "cases": "insert into cases values ('c', 'ok', '', 1, 1, 1, 1, 1, 1, 1, 1)",
        "instances": 'insert into instances ("case", finding, side, label, voxels, status) '
        "values ('c', 'f', 'a', 1, 1, 'x')",
    }
    file = f"{RUNS}{run.id}.sqlite"
    for table, statement in rows.items():
        assert _change(site, (statement, ()), file=file) == [f"holds single {table} of the closed split test: 1"]
    elsewhere = ("update about set value = 'x' where name = 'data_set'", ())
    assert _change(site, elsewhere, (rows["cases"], ()), file=file) == [
        "holds single cases of the closed split that it is of: 1"
    ], "of a data set that the board does not have"
    private = ("update about set value = 'private' where name = 'visibility'", ())
    assert _change(site, private, file=file) == ["was not made for the public"]
    finding = ("insert into findings values (1, ?, 'c', 'f', '1a', 'a nodule', 5, 0.1, 9.5)", (key,))
    assert _change(site, finding) == ["holds single findings of the closed split test: 1"]
    page = f"cases/{key}-c.html"
    (site / page).write_text("")
    (site / MARKER).write_text((site / MARKER).read_text() + f"{page}\n")
    assert [(p.where, p.what) for p in check_site(site)] == [(page, "shows a case of the closed split test")]


def test_what_terms_do_not_allow_on_an_open_split(bench, store: Store, tmp_path: Path) -> None:
    """A text in place of its digest, single scores, a picture; where the terms allow them nothing is said."""
    bench.add(record={"dataset": {"terms": {"scores": "yes", "texts": "no"}}})
    site = tmp_path / "site"
    policy = PrivacyPolicy(public=True, open_splits=frozenset({"test"}))
    build_site(store, site, Options(policy=policy))
    assert check_site(site) == []
    text: tuple[str, tuple[object, ...]] = ("update findings set text = 'a nodule' where number = 1", ())
    assert _change(site, text) == ["holds texts of test, whose terms do not allow texts: 1"]
    terms = Terms(scores="no", texts="yes").model_dump_json()
    assert _change(site, ("update data_sets set terms = ?", (terms,)), text) == [
        "opens test, whose terms do not allow single scores"
    ]
    with closing(sqlite3.connect(site / DATABASE)) as db:
        ((key,),) = db.execute("select id from data_sets")
    picture = f"cases/img/{key}-case-0.webp"
    (site / "cases" / "img").mkdir()
    (site / picture).write_bytes(b"")
    (site / MARKER).write_text((site / MARKER).read_text() + f"{picture}\n")
    said = [(p.where, p.what) for p in check_site(site)]
    assert said == [(picture, "is of a case of test, whose terms do not allow pictures")]


def test_a_site_whose_database_cannot_be_read_is_not_in_order(site: Path) -> None:
    """Nobody can tell then what it shows."""
    (site / DATABASE).write_bytes(b"SQLite format 3\0 no more")
    assert any(p.where == DATABASE and p.what.startswith("cannot be read") for p in check_site(site))
    (site / DATABASE).unlink()
    assert any(p.where == DATABASE and "nobody can tell" in p.what for p in check_site(site))


def test_a_results_database_beside_the_site_is_refused(site: Path, full_store: Store, tmp_path: Path) -> None:
    """Under any name and in any folder, where git has it; not that of a public site; a private site is refused."""
    repository = tmp_path / "repository"
    repository.mkdir()
    site = site.rename(repository / "site")
    git = ["git", "-C", str(repository)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "--all", "--force", "."], check=True)
    assert check_repository(repository, site) == []
    (repository / "old").mkdir()
    (repository / "old" / "notes.txt").write_bytes(full_store.path.read_bytes())
    assert check_repository(repository, site) == []
    subprocess.run([*git, "add", "--all", "--force", "."], check=True)
    (problem,) = check_repository(repository, site)
    assert problem.where == "old/notes.txt"
    assert "texts of every split" in problem.what
    refused = invoke("check", str(site), "--repo", str(repository)).exception
    assert isinstance(refused, DataError)
    assert "from its history" in refused.fix
    with pytest.raises(DataError, match="texts of every split"):
        to_branch({"index.html": b""}, repository, "gh-pages")
    with closing(sqlite3.connect(repository / "old" / "notes.txt")) as db:
        db.execute("create table about (name text, value text)")
        db.execute("insert into about values ('visibility', 'public')")
        db.commit()
    assert len(check_repository(repository, site)) == 1, "what it says of itself is not believed"
    (repository / "old" / "notes.txt").write_bytes((site / DATABASE).read_bytes())
    assert check_repository(repository, site) == []
    (site / BUILD).write_text('{"schema": 1, "visibility": "private"}')
    assert check_repository(repository, site)[0].where == BUILD
    with pytest.raises(PrerequisiteError, match="git does not say"):
        check_repository(tmp_path, site)
