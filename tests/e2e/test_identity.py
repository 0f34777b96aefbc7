"""What a run is follows from the content of the data set: the order of its index makes no other run."""

from __future__ import annotations

import json
import shutil
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
    """As many cases are not all cases: a stray row takes no case's place, is in no metric, and does not stay."""
    data = make_dataset(3)
    whole = bench.json(*_oracle(data))
    with closing(sqlite3.connect(bench.home / "results.db")) as db:
        db.execute("update cases set [case] = 'stray' where [case] = 'toy_2_a_1'")
        db.execute("update findings set [case] = 'stray', dice = 0 where [case] = 'toy_2_a_1'")
        db.commit()
    again = bench(*_oracle(data, "--json"))
    document = _stable(json.loads(again.stdout))
    assert (document["metrics"], document["placements"]) == (whole["metrics"], whole["placements"])
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


def _declared_by_the_environment(tmp_path: Path) -> Path:
    """Return a model whose declaration follows from the environment, so that no file of it, and no image, changes."""
    folder = Path(shutil.copytree(Path(__file__).parent / "plugins" / "misbehaving", tmp_path / "misbehaving"))
    text = (folder / "__init__.py").read_text()
    text = text.replace("from pathlib", "import os\nfrom pathlib", 1)
    text = text.replace('params={"fault": fault}', 'params={"fault": os.environ.get("FAULT", fault)}')
    text = text.replace("case_minutes=2 / 60", 'case_minutes=float(os.environ.get("MINUTES", "0.05"))')
    (folder / "__init__.py").write_text(text)
    return folder


def test_a_judgement_follows_the_declaration(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """The row stays, the verdict is today's: what was declared is changed later, and what was changed is declared."""
    here = ("--plugin-dir", _declared_by_the_environment(tmp_path))
    command = ["run", "--plugin", "misbehaving", "--variant", "none", *here, "--engine", "local"]
    command += ["--dataset", make_dataset(1)]
    changed = ['changed parameters: fault="none"']

    def reasons(run: str, *options: object) -> list[str]:
        (row,) = [row for row in bench.json("results", "list", *options)["runs"] if row["id"] == run]
        return [reason for reason in row["unrankable"] if not reason.startswith(("not isolated", "training not"))]

    run = bench.json(*command)["run"]
    assert reasons(run, *here) == []
    bench.environment["FAULT"] = "hangs"
    assert reasons(run, *here) == changed
    assert bench.json("results", "show", run, *here)["unrankable"][:1] == changed
    assert reasons(run) == [], "the plugin is not installed, so nothing is declared: the row keeps its verdict"
    again = bench.json(*command, "--param", "fault=none")
    assert (again["run"], again["unrankable"][:1]) == (run, changed)
    assert reasons(run) == changed, "kept when the row was opened"
    assert bench.json("results", "verify", run, "--jobs", 1)["differences"] == []
    del bench.environment["FAULT"]
    assert reasons(run, *here) == []


def test_a_case_that_a_smaller_limit_ended_is_done_again(
    bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """More time today: the same command does that case again; a smaller limit takes no success away."""
    here = ("--plugin-dir", _declared_by_the_environment(tmp_path))
    command = ["run", "--plugin", "misbehaving", "--variant", "slow", *here, "--engine", "local"]
    command += ["--dataset", make_dataset(2)]
    bench.environment["MINUTES"] = "0.0011"
    first = bench.json(*command, code=1)
    assert first["coverage"] == {"ok": 0, "timeout": 4}
    bench.environment["MINUTES"] = "1"
    again = bench.json(*command)
    assert again["run"] == first["run"]
    assert again["coverage"] == {"ok": 4}
    bench.environment["MINUTES"] = "0.0011"
    assert bench.json(*command)["coverage"] == {"ok": 4}
