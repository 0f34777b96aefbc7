"""A results database of an earlier version opens, and says the same as before."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from harness.rows import FindingDetails, FindingRow, MaskProblem
from harness.scoring.profiles import PROFILES
from harness.scoring.summary import summarise
from harness.store.database import Store

#: What version 0.1.0 wrote: the demo's run of ``rules``, with a warning on the mask of its first finding.
OLD = Path(__file__).with_name("results_0_1_0.sql")

RUN = "rules-zero-shot-8629ac6b56"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a results database as version 0.1.0 left it."""
    path = tmp_path / "results.db"
    database = sqlite3.connect(path)
    database.executescript(OLD.read_text(encoding="utf-8"))
    database.close()
    return path


def _values(path: Path, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    database = sqlite3.connect(path)
    rows = database.execute(f"select {columns} from {table} order by rowid").fetchall()  # noqa: S608 - our own names
    database.close()
    return rows


def _names(path: Path, table: str) -> list[str]:
    database = sqlite3.connect(path)
    names = [row[1] for row in database.execute(f"pragma table_info({table})")]
    database.close()
    return names


def test_columns_get_the_words_of_the_glossary(old: Path) -> None:
    """``case_id`` becomes ``case``, a finding's ``ordinal`` becomes ``index``; no value changes."""
    before = {table: _values(old, table) for table in ("runs", "cases", "findings")}
    metrics = _values(old, "metrics")
    assert "case_id" in _names(old, "cases")
    Store(old).close()
    assert before == {table: _values(old, table) for table in before}
    assert _values(old, "metrics", ", ".join(_names(old, "metrics")[:-1])) == metrics
    assert set(_values(old, "metrics", "cases")) == {(None,)}  # of how many cases they are was not stored
    assert _names(old, "cases")[:3] == ["run", "case", "ordinal"]
    assert _names(old, "findings")[:4] == ["run", "case", "finding", "index"]


def test_every_number_is_computed_as_it_was_stored(old: Path) -> None:
    """The metrics of the old findings, computed now, are the stored ones; intervals follow newer rules."""
    with Store(old) as store:
        compared = 0
        for name, profile in PROFILES.items():
            now = summarise(store.findings(RUN), profile)
            for metric, groups in store.metrics(RUN, name).items():
                for group in groups.keys() & {"all", "per_case", "focal"}:
                    known, computed = groups[group], now[metric][group]
                    assert (known["value"], known["n"]) == (computed["value"], computed["n"]), (name, metric, group)
                    compared += 1
                if "by_size" in groups:
                    assert groups["by_size"]["small"]["value"] == now[metric]["by_size"]["small"]["value"]
    assert compared > 20


def test_cases_and_findings_are_read(old: Path) -> None:
    """Rows come in the order of the split, verdict and details as records."""
    with Store(old) as store:
        assert [case.case for case in store.cases(RUN)] == [f"phantom_{number}_a_1" for number in range(1, 5)]
        first, *others = store.findings(RUN)
        assert len(store.findings(RUN, "phantom_2_a_1")) < len(others)
    assert (first.case, first.finding, first.index) == ("phantom_1_a_1", "0", 0)
    assert first.verdict is not None
    assert first.verdict.problems == (
        MaskProblem(
            code="identity_affine",
            level="warning",
            message="the mask declares no position",
            cause="saved with numpy.eye(4)",
            fix="save with the CT's own affine",
        ),
    )
    assert first.details.truth_entities == 1
    assert all(row.verdict is not None and row.verdict.level == "ok" for row in others)


def test_saving_what_was_read_changes_no_byte(old: Path) -> None:
    """Verdicts and details are written as the JSON that they were read from."""
    before = _values(old, "findings")
    with Store(old) as store:
        findings: dict[str, list[FindingRow]] = {}
        for row in store.findings(RUN):
            findings.setdefault(row.case, []).append(row)
        for case in store.cases(RUN):
            store.save_case(RUN, case, findings[case.case])
    assert sorted(_values(old, "findings")) == sorted(before)


def test_keys_of_other_versions_are_tolerated(old: Path) -> None:
    """A key that this version does not know is ignored; one that an older version did not write is None."""
    database = sqlite3.connect(old)
    details = json.dumps({"truth_entities": 2, "of_the_future": 1})
    verdict = json.dumps({"level": "ok", "problems": [], "of_the_future": 1})
    database.execute("update findings set details = ?, verdict = ?", [details, verdict])
    database.commit()
    database.close()
    with Store(old) as store:
        row = store.findings(RUN)[0]
    assert row.details == FindingDetails(truth_entities=2)
    assert row.verdict is not None
    assert row.verdict.level == "ok"
