"""What a run is follows from the content of the data set: the order of its index makes no other run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Bench


def _sorted_otherwise(data: Path, split: str = "test") -> None:
    """Turn the order of a split's index round; nothing else of the data set changes."""
    index = json.loads((data / "dataset.json").read_text())
    index[split].reverse()
    (data / "dataset.json").write_text(json.dumps(index))


def _oracle(data: Path, *more: object) -> list[object]:
    return ["run", "--plugin", "oracle", "--engine", "local", "--dataset", data, *more]


def _stable(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in ("timing", "run")}


def test_a_limit_takes_the_same_cases_whatever_the_order_of_the_index(
    bench: Bench, make_dataset: Callable[..., Path]
) -> None:
    """Turned round and back, ``--limit 2`` is one finished run of the first two cases by name, which verifies."""
    data = make_dataset(12)
    first = bench.json(*_oracle(data, "--limit", 2))
    _sorted_otherwise(data)
    assert bench.json(*_oracle(data, "--limit", 2)) == first
    shown = bench.json("results", "show", first["run"])
    assert [case["case_id"] for case in shown["cases"]] == ["toy_1_a_1", "toy_2_a_1"]
    assert shown["plan"]["cases"] == ["toy_1_a_1", "toy_2_a_1"]
    assert bench.json("results", "verify", first["run"], "--jobs", 1)["differences"] == []
    _sorted_otherwise(data)
    assert bench.json(*_oracle(data, "--limit", 2)) == first
    assert bench.json("results", "verify", first["run"], "--jobs", 1)["differences"] == []


def test_the_whole_split_is_one_run_in_any_order(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """A whole split in another order is the same finished run, and a limit that leaves nothing out is it, too."""
    data = make_dataset(3)
    whole = bench.json(*_oracle(data))
    assert "cases" not in bench.json("results", "show", whole["run"])["plan"]
    _sorted_otherwise(data)
    assert bench.json(*_oracle(data)) == whole
    assert bench.json(*_oracle(data, "--limit", 3)) == whole
    assert bench.json(*_oracle(data, "--limit", 99)) == whole
    assert bench.json("results", "verify", whole["run"], "--jobs", 1)["differences"] == []


def test_a_row_that_lacks_a_case_is_completed_by_name(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """As many cases are not all cases: a stray row takes no case's place, and is in no metric."""
    data = make_dataset(3)
    whole = bench.json(*_oracle(data))
    with closing(sqlite3.connect(bench.home / "results.db")) as db:
        db.execute("update cases set [case] = 'stray' where [case] = 'toy_2_a_1'")
        db.execute("update findings set [case] = 'stray', dice = 0 where [case] = 'toy_2_a_1'")
        db.commit()
    again = bench(*_oracle(data, "--json"))
    assert _stable(json.loads(again.stdout))["metrics"] == whole["metrics"]
    assert "3/3" in again.stderr
    assert "4/3" not in again.stderr


def test_boxes_are_the_same_whatever_the_order_of_the_index(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """Box prompts follow from the masks: another order of the index makes no difference to be reported."""
    data = make_dataset(3)
    plugins = Path(__file__).parent / "plugins" / "boxed"
    run = bench.json("run", "--plugin", "boxed", "--plugin-dir", plugins, "--engine", "local", "--dataset", data)
    _sorted_otherwise(data)
    assert bench.json("results", "verify", run["run"], "--jobs", 1)["differences"] == []


def test_fresh_begins_anew_also_after_an_interruption(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """What an interrupted attempt holds is left alone: ``--fresh`` begins another, the command without it goes on."""
    data = make_dataset(3)
    first = bench.json(*_oracle(data))
    with closing(sqlite3.connect(bench.home / "results.db")) as db:
        db.execute("update runs set state = 'interrupted', finished = null")
        db.execute("delete from cases where [case] = 'toy_3_a_1'")
        db.commit()
    fresh = bench.json(*_oracle(data, "--fresh"))
    assert fresh["run"] == f"{first['run']}-r2"
    states = {row["id"]: row["state"] for row in bench.json("results", "list")["runs"]}
    assert states == {first["run"]: "interrupted", fresh["run"]: "done"}
    assert bench.json(*_oracle(data))["run"] == fresh["run"]
