"""Two readers: answers, agreement, decisions, and what the senior reader lets into the data set."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.annotation.readings import ADJUDICATION, agreement, compare
from curation.annotation.tasks import read_tasks
from curation.pipeline import write_records
from curation.records import CategorizedFinding, SelectedReport
from curation.volumes import read_array
from harness.dataset import open_dataset
from harness.errors import DataError, UsageError
from tests.curation.annotation.conftest import SHAPE, key, save, truth

SCANS = ("p_1_a_1", "p_2_a_1", "p_3_a_1")


def answer(folder: Path, scan: str, n: int, text: str) -> None:
    """Fill in an answer, as a spreadsheet would save it."""
    path = folder / scan / "answers.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = list(csv.reader(lines, delimiter=";" if ";" in lines[0] else ","))
    rows[n + 1][2] = text
    path.write_text("\n".join(";".join(row) for row in rows), encoding="utf-8-sig")


def fill(path: Path, column: str, values: dict[str, str]) -> None:
    """Fill in a column of a sheet by finding."""
    rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    for row in rows:
        row[column] = values.get(row["finding"], row[column])
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def readers(selected: Path, tmp_path: Path, bench: Any) -> tuple[Path, Path]:
    """Tasks of three scans, and what two readers made of them."""
    for out in ("tasks", "one", "two"):
        result = bench(
            "annotate", "export", selected, "--cts", tmp_path / "cts", "--out", tmp_path / out, "--most-entities", 1,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    for name in SCANS[:2]:
        for n in (0, 1):
            save(tmp_path / f"one/{name}/{key(name, n)}.nii.gz", truth(n))
            half = truth(n) * (np.arange(SHAPE[0]) % 2 == 0)[:, None, None].astype(np.uint8)
            save(tmp_path / f"two/{name}/{key(name, n)}.nii.gz", truth(n) if name == SCANS[0] else half)
    for folder in ("one", "two"):
        answer(tmp_path / folder, SCANS[2], 0, "Not visible ")
    save(tmp_path / f"one/{SCANS[2]}/{key(SCANS[2], 1)}.nii.gz", truth(1))
    answer(tmp_path / "two", SCANS[2], 1, "not localizable")
    return tmp_path / "one", tmp_path / "two"


@pytest.fixture
def selected(selected: Path) -> Path:
    """Three of the scans."""
    findings = tuple(
        CategorizedFinding(text=text, codes=("L0",), abnormal=True, prior=False, category="2d")
        for text in ("3 mm nodule in the right lung", "Two nodules in the right lung")
    )
    write_records(selected, [SelectedReport(id=name, findings=findings) for name in SCANS])
    return selected


def test_from_two_readers_to_a_data_set(readers: tuple[Path, Path], tmp_path: Path, bench: Any) -> None:
    """Answers and masks are compared, decided, settled, checked, reviewed; each verdict holds for its mask alone."""
    tasks = tmp_path / "tasks"
    for reader in readers:
        result = bench("annotate", "import", tasks, "--from", reader, "--out", f"{reader}-masks")
        assert result.exit_code == 0, result.output
        assert "2 entities, where 1 were asked for; all kept" in result.output
    first, second = (f"{reader}-masks" for reader in readers)
    result = bench("annotate", "compare", tasks, first, second, "--out", tmp_path / "both", "--agree", 0.9, "--json")
    document = json.loads(result.stdout)
    assert (document["findings"], document["to_decide"]) == (6, 3)
    assert document["agreement"]["all"] == document["agreement"]["2d"]
    assert document["agreement"]["2d"]["dice"] == pytest.approx((1 + 1 + 2 / 3 + 2 / 3) / 4)
    assert document["agreement"]["2d"]["kappa"] == pytest.approx((5 / 6 - 21 / 36) / (1 - 21 / 36))
    assert "mean Dice" in bench("annotate", "compare", tasks, first, second, "--out", tmp_path / "x").output
    sheet = tmp_path / "both" / ADJUDICATION
    again = bench("annotate", "compare", tasks, first, second, "--out", tmp_path / "both")
    assert isinstance(again.exception, UsageError)
    settle = ("annotate", "settle", tasks, sheet, "--masks", first, "--masks", second, "--out", tmp_path / "masks")
    assert bench(*settle).exit_code == 4
    decisions = {key(SCANS[1], 0): "2", key(SCANS[1], 1): "3", key(SCANS[2], 1): "not  Localizable"}
    fill(sheet, "decision", decisions)
    result = bench(*settle)
    assert result.exit_code == 4
    assert "'3' names none of 2 readers" in result.output
    fill(sheet, "decision", {key(SCANS[1], 1): "1"})
    assert bench(*settle).exit_code == 0
    labels, _ = read_array(tmp_path / f"masks/{SCANS[1]}/{key(SCANS[1], 0)}.nii.gz")
    assert np.count_nonzero(labels) == np.count_nonzero(truth(0)) // 2
    assert not (tmp_path / f"masks/{SCANS[2]}/{key(SCANS[2], 1)}.nii.gz").exists()
    _reviewed(tmp_path, bench)


def _reviewed(tmp_path: Path, bench: Any) -> None:
    """Let a senior reader look at each settled mask, and make the data set of those that are accepted."""
    tasks = tmp_path / "tasks"
    finalize = ("finalize", "--tasks", tasks, "--masks", tmp_path / "masks", "--out", tmp_path / "set", "--val", 0)
    result = bench(*finalize)
    assert isinstance(result.exception, DataError)
    assert "do not make" in result.exception.message  # drawn with one entity each: nothing to test on
    finalize = (*finalize, "--test", 0, "--gate", "every")
    result = bench(*finalize)
    assert isinstance(result.exception, DataError)
    assert "4 of 4 masks wait for a verdict" in result.exception.message
    assert not (tmp_path / "set").exists()
    verdicts = tmp_path / "set-qc/review.csv"
    fill(verdicts, "verdict", {key(SCANS[0], 0): "Accept", key(SCANS[0], 1): "accept", key(SCANS[1], 0): "reject"})
    result = bench(*finalize, "--review", verdicts)
    assert "1 of 3 masks wait" in str(result.exception)
    assert "reject" in verdicts.read_text(encoding="utf-8-sig")  # the row of the one that is out stays
    fill(verdicts, "verdict", {key(SCANS[1], 1): "accept"})
    result = bench(*finalize, "--review", verdicts)
    assert result.exit_code == 0, result.output
    assert "rejected in review" in result.output
    assert "not visible: it is not to be seen on the CT" in result.output
    cases = list(open_dataset(tmp_path / "set"))
    assert [(case.id, len(case.findings)) for case in cases] == [(SCANS[0], 2), (SCANS[1], 1)]
    assert json.loads((tmp_path / "set/dataset.json").read_text())["train"][0]["most_entities"] == 1
    assert (tmp_path / "set/qc.json").exists()


def test_answers_and_drawings_exclude_each_other(readers: tuple[Path, Path], tmp_path: Path, bench: Any) -> None:
    """A drawing with an answer, an unknown word, an answer to another text: refused or named, exit code 4."""
    one = readers[0]
    answer(one, SCANS[0], 0, "not visible")
    answer(one, SCANS[2], 0, "perhaps")
    path = one / SCANS[1] / "answers.csv"
    path.write_text(path.read_text(encoding="utf-8-sig") + "7-0123abcd,Another text,not visible\n")
    result = bench("annotate", "import", tmp_path / "tasks", "--from", one, "--out", tmp_path / "m", "--json")
    assert result.exit_code == 4
    document = json.loads(result.stdout)
    rows = {row["finding"]: row for row in document["findings"]}
    assert "remove one of the two" in rows[key(SCANS[0], 0)]["reason"]
    assert rows[key(SCANS[2], 0)]["state"] == "refused"
    assert "'perhaps' is not an answer" in rows[key(SCANS[2], 0)]["reason"]
    assert [item["name"] for item in document["unused"]] == ["answers.csv: 7-0123abcd"]


def test_decisions_are_about_masks(readers: tuple[Path, Path], tmp_path: Path, bench: Any) -> None:
    """A mask that was drawn again after the decision does not come in by it; what readers left open is told."""
    tasks = tmp_path / "tasks"
    for reader in readers:
        bench("annotate", "import", tasks, "--from", reader, "--out", f"{reader}-masks")
    first, second = (Path(f"{reader}-masks") for reader in readers)
    bench("annotate", "compare", tasks, first, second, "--out", tmp_path / "both")
    save(readers[0] / f"{SCANS[0]}/{key(SCANS[0], 0)}.nii.gz", truth(1))
    (readers[0] / f"{SCANS[0]}/{key(SCANS[0], 1)}.nii.gz").unlink()
    bench("annotate", "import", tasks, "--from", readers[0], "--out", first)
    result = bench(
        "annotate", "settle", tasks, tmp_path / "both" / ADJUDICATION, "--masks", first, "--masks", second,
        "--out", tmp_path / "m",
    )  # fmt: skip
    assert "drawn it again since" in result.output
    assert "reader 1 has no mask" in result.output
    pairs = compare(read_tasks(tasks), first, second)
    assert agreement(pairs)["all"]["findings"] == 5
    assert agreement(pairs[:0])["all"] == dict.fromkeys(("kappa", "dice", "kappa_voxels")) | {"findings": 0, "drawn": 0}
