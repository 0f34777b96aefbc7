"""What must not be published, looked for in what is about to be: in a public site, and in the repository that hosts it.

The pages of a site are drawn from the database that it offers and from the files of its runs. So these are read as a
visitor would: of a split that is closed they hold nothing of a single case, and of an open one only what the terms of
its data set allow.
"""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from harness.dataset.terms import Terms
from harness.errors import PrerequisiteError
from harness.foreign import open_database, parse_json
from leaderboard.published.privacy import HIDDEN_TEXT
from leaderboard.published.run_file import RUN_TABLES

#: The database of a site, below it; where the files of its runs are; and how every SQLite file begins.
DATABASE: Final = "downloads/results.sqlite"
RUNS: Final = "downloads/runs/"
_SQLITE: Final = b"SQLite format 3\0"

#: The tables of a run's file with rows of single cases or findings.
_SINGLE: Final = ("scores", "instances", "cases")


def reading(database: Path) -> sqlite3.Connection:
    """Open the database of a finished site, which nobody writes any more; raises sqlite3.Error."""
    return open_database(database, readonly=True, immutable=True)


def withheld(site: Path, names: set[str]) -> Iterator[tuple[str, str]]:
    """Yield (file, description) of what a public site holds and must not.

    Parameters
    ----------
    site
        Its folder.
    names
        Its files, as relative paths.
    """
    if DATABASE not in names:
        yield DATABASE, "is missing, so that nobody can tell what the site shows"
        return
    closed: dict[str, str] | None = None
    try:
        with closing(reading(site / DATABASE)) as db:
            yield from ((where or DATABASE, what) for where, what in _of_database(db, names))
            closed = dict(db.execute("select id, split from data_sets where not open").fetchall())
    except (sqlite3.Error, ValueError, TypeError) as error:  # cells of another type than ours included
        yield DATABASE, f"cannot be read: {error}"
    for name in run_files(names) if closed is not None else ():
        yield from ((name, what) for what in _of_run_file(site / name, closed or {}))


def run_files(names: set[str]) -> list[str]:
    """Return the files of single runs among those of a site."""
    return sorted(name for name in names if name.startswith(RUNS) and name.endswith(".sqlite"))


def _of_run_file(path: Path, closed: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the file of a run of a public site; `closed`: closed data sets and their splits."""
    try:
        with closing(reading(path)) as db:
            about = dict(db.execute("select name, value from about").fetchall())
            counts = {table: _count(db, table) for table in _SINGLE}
    except (sqlite3.Error, ValueError, TypeError) as error:
        return [f"cannot be read: {error}"]
    found = [] if about.get("visibility") == "public" else ["was not made for the public"]
    split = closed.get(about.get("data_set", ""), "" if about.get("open") == "1" else "that it is of")
    shown = [f"holds single {table} of the closed split {split}: {n}" for table, n in counts.items() if n and split]
    return found + shown


def _count(db: sqlite3.Connection, table: str) -> int:
    n: int = db.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608 - our own names
    return n


def _of_database(db: sqlite3.Connection, names: set[str]) -> Iterator[tuple[str, str]]:
    for key, split, opened, said in db.execute("select id, split, open, terms from data_sets order by id").fetchall():
        terms = Terms.model_validate(parse_json(said))
        pages = sorted(name for name in names if name.startswith((f"cases/{key}-", f"cases/img/{key}-")))
        if not opened:
            if n := db.execute("select count(*) from findings where data_set = ?", [key]).fetchone()[0]:
                yield "", f"holds single findings of the closed split {split}: {n}"
            yield from ((name, f"shows a case of the closed split {split}") for name in pages)
            continue
        if terms.lacks("scores"):
            yield "", f"opens {split}, whose terms do not allow single scores"
        if terms.lacks("texts"):
            texts = db.execute("select text from findings where data_set = ?", [key])
            shown = sum(not HIDDEN_TEXT.fullmatch(text) for (text,) in texts)
            if shown:
                yield "", f"holds texts of {split}, whose terms do not allow texts: {shown}"
        if not terms.pictures:
            pictures = (name for name in pages if not name.endswith(".html"))
            yield from ((name, f"is of a case of {split}, whose terms do not allow pictures") for name in pictures)


def committed(repository: Path) -> Iterator[tuple[str, str]]:
    """Yield (file, description) of the databases that git has in a repository, those of public sites left out.

    A results database holds the texts of every split, and paths of the machine; what git has once, it keeps.

    Raises
    ------
    PrerequisiteError
        Git is not there, or this is not a repository of it.
    """
    command = ["git", "-C", str(repository), "ls-files", "-z"]
    try:
        answer = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise PrerequisiteError(
            f"git does not say what is committed in {repository}: {error}", fix="give --repo a git repository"
        ) from error
    for name in filter(None, answer.stdout.decode("utf-8", "surrogateescape").split("\0")):
        path = repository / name
        if path.is_file() and not path.is_symlink() and _is_database(path) and not _is_published(path):
            yield name, "is a database that is committed: it holds the texts of every split, closed ones too"


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _is_published(path: Path) -> bool:
    """Return whether a database is that of a public site, with nothing in it that must not be published."""
    try:
        with closing(reading(path)) as db:
            seen = db.execute("select value from about where name = 'visibility'").fetchall()
            tables = {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")}
            whole = tables != {"about", *RUN_TABLES}
            return seen == [("public",)] and not (list(_of_database(db, set())) if whole else _of_run_file(path, {}))
    except (sqlite3.Error, ValueError, TypeError):
        return False
