"""Several models in one command are one queue: each row is that of a command of its own; a failure stops no other."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.conftest import Bench

PLUGIN = Path(__file__).parent / "plugins" / "misbehaving"


def _command(dataset: Path, models: str) -> list[object]:
    return ["run", "--plugin", models, "--plugin-dir", PLUGIN, "--dataset", dataset, "--engine", "local"]


def _rows(bench: Bench) -> dict[str, Any]:
    """Return run -> its findings and metrics, whole."""
    with contextlib.closing(sqlite3.connect(bench.home / "results.db")) as db:
        runs = [row[0] for row in db.execute("select id from runs where state = 'done'")]
        tables = ("findings", "metrics")
        return {
            run: [sorted(map(repr, db.execute(f"select * from {table} where run = ?", [run]))) for table in tables]  # noqa: S608
            for run in runs
        }


def test_the_rows_are_those_of_single_commands(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """Findings and metrics to the last byte; a file of models says the same as the option, and progress is over all."""
    dataset = make_dataset(3)
    models = ["oracle", "misbehaving:raises", "shifted:by-3", "misbehaving:segfault"]
    (tmp_path / "models.txt").write_text("# what competes\n" + "\n".join(models) + "  # the last\n\n")
    together = bench(*_command(dataset, f"@{tmp_path / 'models.txt'}"))
    progress = [line.split()[0] for line in together.stderr.splitlines() if re.match(r"  \d+/", line)]
    assert progress == [f"{number}/12" for number in range(1, 13)]
    found = _rows(bench)
    assert len(found) == 4
    bench.home = bench.home.with_name("one-by-one")
    for model in models:
        bench(*_command(dataset, model))
    assert _rows(bench) == found


def test_one_that_fails_does_not_stop_the_others(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """The worst exit code counts; an option that fits one of them only is a slip, which is told before anything."""
    dataset = make_dataset(2)
    failed = bench(*_command(dataset, "oracle,misbehaving:exit-1-at-import,shifted"), "--json", code=1)
    runs = json.loads(failed.stdout)["runs"]
    assert [run["plugin"] for run in runs] == ["oracle", "misbehaving", "shifted"]
    assert [run["coverage"].get("ok", 0) for run in runs] == [4, 0, 4]
    slip = bench(*_command(dataset, "oracle,misbehaving:exit-2"), code=2)
    assert "no variant of misbehaving is named 'exit-2'" in slip.stderr
    missing = bench(*_command(dataset, "@nowhere.txt"), code=2)
    assert "the file of models nowhere.txt cannot be read" in missing.stderr


def test_an_interruption_ends_them_all_and_all_go_on(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """Ctrl-C keeps what is done of each; the same command goes on with the rest of each."""
    dataset = make_dataset(4)
    command = _command(dataset, "misbehaving:slow,oracle")
    process = bench.popen(*command, start_new_session=True)
    assert process.stderr is not None
    for line in process.stderr:
        if re.match(r"  2/8 ", line):
            process.send_signal(signal.SIGINT)
            break
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "were stopped" in said or "was stopped with" in said
    again = bench(*command)
    kept = [int(found[1]) for found in re.finditer(r"(\d+) kept from before", again.stderr)]
    assert sum(kept) + 4 * again.stderr.count("is already finished") >= 2
    assert len(_rows(bench)) == 2
