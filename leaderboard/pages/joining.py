"""``join.py`` of the downloads: one database of the board's and of the files of its runs, by Python alone."""

from __future__ import annotations

from typing import Final

from leaderboard.published.run_file import RUN_TABLES, SUMS, table_of_runs

#: Tables that only the files of runs have.
SINGLE: Final = tuple(name for name in RUN_TABLES if name not in SUMS)

_SCRIPT: Final = '''"""Make whole.sqlite of results.sqlite and the files in runs/, beside this script: python join.py"""
import pathlib
import shutil
import sqlite3

HERE = pathlib.Path(__file__).resolve().parent
TABLES = """
{tables}
"""
ROWS = [
{rows}
]

shutil.copyfile(HERE / "results.sqlite", HERE / "whole.sqlite")
whole = sqlite3.connect(str(HERE / "whole.sqlite"))
whole.executescript(TABLES)
files = sorted((HERE / "runs").glob("*.sqlite"))
for path in files:
    whole.execute("attach ? as one", [str(path)])
    with whole:
        about = dict(whole.execute("select name, value from one.about"))
        for statement in ROWS:
            whole.execute(statement, about)
    whole.execute("detach one")
whole.close()
print(len(files), "runs are in", HERE / "whole.sqlite")
'''


def join_script() -> bytes:
    """Return the script: any Python 3 runs it, and nothing else is needed."""
    tables = "\n".join(f"{table_of_runs(name)};" for name in SINGLE)
    rows = "\n".join(f'    """{_copied(name)}""",' for name in RUN_TABLES)
    return _SCRIPT.format(tables=tables, rows=rows).encode()


def _copied(name: str) -> str:
    """Return the statement that copies a table of a run's file, ``one``."""
    table = RUN_TABLES[name]
    numbered = "finding" in table.key
    columns = ", ".join(
        f'mine."{column}"' for column in table.names if not (numbered and column in {"case", "finding"})
    )
    if not numbered:
        return f"insert or ignore into main.{name} select :run, {columns} from one.{name} as mine"  # noqa: S608 - ours
    joined = 'join main.findings using ("case", finding) where data_set = :data_set'
    return f"insert into main.{name} select :run, number, {columns} from one.{name} as mine {joined}"  # noqa: S608
