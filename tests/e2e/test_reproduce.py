"""The paper's table, run row by row: what runs each row, what it lacks, and the verdict beside the paper."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.allocation import Allocation
from harness.engines.nvidia import Gpu
from harness.registry.discovery import Registry, discover
from leaderboard.board.paper import plan
from leaderboard.board.reported import read_references, read_reported

if TYPE_CHECKING:
    from conftest import Bench

TABLE = [
    *("MedSAM2, box", "SAM2, box", "SegVol, box", "BiomedParse, text", "BiomedParse, text, fine-tuned"),
    *("SegVol, text", "SegVol, text, fine-tuned", "SAT, text", "SAT, text, fine-tuned"),
    "MedSAM2 Text, text, fine-tuned",
]

#: What is said of a row of a model that finds nothing.
BELOW = "all 5 below"

#: Stand-ins for models of the paper: one that runs, one that is slow, one that fails, one whose weights are missing.
PLUGIN = """
from pathlib import Path
from harness import Model, Resources, Variant, Weights, hookimpl

def stand_in(name, title, deed, weights=(), **options):
    variant = Variant("only", params={"deed": deed}, weights=tuple(file.name for file in weights), **options)
    return Model(
        name=name, title=title, summary="Stands in.", version="1", root=Path(__file__).parent, variants=(variant,),
        resources=Resources(memory_gb=0.5), weights=weights, adapter="adapter:StandIn",
    )

@hookimpl
def bench_models():
    released = Weights("w.pth", "owner/name", "w.pth", "", "0" * 64, 3 * 10**9, "MIT", gated=True)
    return [
        stand_in("quick", "BiomedParse", "quick"),
        stand_in("slow", "SegVol", "slow"),
        stand_in("failing", "SAT", "failing"),
        stand_in("gated", "MedSAM2 Text", "quick", (released,), fine_tuned=True),
    ]
"""

ADAPTER = """
import time
import numpy as np
from groundbench_sdk import Adapter

class StandIn(Adapter):
    def load(self, job):
        self.deed = job.params["deed"]

    def predict(self, case):
        if self.deed == "failing":
            raise ValueError("nothing is found")
        if self.deed == "slow":
            time.sleep(1.5)
        for finding in case.findings:
            yield finding.id, np.zeros(case.shape, bool)
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """Return the folder of the stand-ins' plugin."""
    folder = tmp_path / "stand_ins"
    folder.mkdir()
    (folder / "__init__.py").write_text(PLUGIN)
    (folder / "adapter.py").write_text(ADAPTER)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


@pytest.fixture
def asked(stand_ins: Path, make_dataset: Callable[..., Path]) -> Callable[..., list[object]]:
    """Return a function that makes the command for some stand-ins on three cases."""
    data = make_dataset(3)

    def command(plugins: str) -> list[object]:
        start = ["reproduce", "--plugin", plugins, "--plugin-dir", stand_ins]
        return [*start, "--dataset", data, "--engine", "local"]

    return command


def _row(registry: Registry, home: Path, asked: int = 0, here: Allocation | None = None, name: str = "") -> Any:
    return next(row for row in plan(read_reported(), registry, home, asked, here or Allocation()) if row.name == name)


def test_rows_come_in_the_tables_order(tmp_path: Path) -> None:
    """Without plugins every row is there and says that none runs it."""
    rows = plan(read_reported(), Registry(), tmp_path, 0, Allocation())
    assert [row.name for row in rows] == TABLE
    assert {row.lacking for row in rows} == {("no plugin runs this row",)}


def test_what_a_row_lacks_comes_with_what_brings_it(tmp_path: Path) -> None:
    """An empty home lacks sources, weights and GPUs; a GPU has to be asked for, be there, and be large enough."""
    registry, name = discover(()), "SegVol, text, fine-tuned"
    row = _row(registry, tmp_path, name=name)
    assert (row.plugin.name, row.variant.name) == ("segvol", "text-fine-tuned")
    files, gpus = row.lacking
    assert "upstream code (segvol-segment" in files
    assert "weights (SegVol_v1.pth)" in files
    assert "`bench get --plugin segvol`" in files
    assert "`--gpus 1`" in gpus
    small, large = Gpu("a", "small", 24_000), Gpu("b", "large", 80_000)
    absent = Allocation(problem="nvidia-smi is not on PATH")
    assert _row(registry, tmp_path, 1, absent, name).lacking[1] == "1 GPU requested: nvidia-smi is not on PATH"
    assert "66 GB" in _row(registry, tmp_path, 1, Allocation((small,), (small,)), name).lacking[1]
    assert len(_row(registry, tmp_path, 1, Allocation((large,), (large,)), name).lacking) == 1


def test_voxtells_figures_are_made_by_its_own_variant(tmp_path: Path) -> None:
    """The row is that of version 1.1; rows of the board that nothing here makes say so."""
    references = read_references()
    (row,) = plan(references["voxtell"], discover(()), tmp_path, 0, Allocation())
    assert row.plugin is not None
    assert row.variant is not None
    assert (row.plugin.name, row.variant.name) == ("voxtell", "zero-shot")
    board = plan(references["challenge"], discover(()), tmp_path, 0, Allocation())
    assert {row.theirs.title for row in board if row.plugin} == {
        "VoxTell-ZS + orientation correction",
        "voxtell_v1.1_zeroshot_test_submission",
    }


def test_a_dry_run_says_what_each_row_needs(bench: Bench, asked: Callable[..., list[object]]) -> None:
    """Bytes and log-ins as declared, training by the paper's account; nothing is run, and nothing is written."""
    document = bench.json(*asked("gated,quick"), "--dry-run")
    quick, gated = document["rows"]
    assert (quick["row"], quick["verdict"], quick["needs"]["training"]) == ("BiomedParse, text", "ready", "")
    needs = gated["needs"]
    assert (needs["weights_bytes"], needs["unknown_sizes"], needs["log_ins"]) == (3 * 10**9, [], ["owner/name"])
    assert "about one day" in needs["training"]
    assert needs["build_bytes"] is None
    assert not bench.home.exists()
    text = bench(*asked("gated"), "--dry-run").stdout
    assert "weights: 3.0 GB" in text
    assert "log-in at the hub: owner/name" in text
    assert "owner/name wants a log-in at the hub" in text
    assert "`bench get --plugin gated`" in text
    shown = bench("reproduce", "--dry-run", "--plugin", "segvol").stdout
    assert "`bench data fetch rexgroundingct`" in shown
    assert "about 10.0 GB of free disk to build it" in shown
    assert "size unknown: SegVol_v1.pth" in shown


def test_a_plugin_that_runs_no_row_is_refused(bench: Bench) -> None:
    """The error names those that do; an unknown name is refused as everywhere."""
    assert "segvol" in bench("reproduce", "--dry-run", "--plugin", "rules", code=2).stderr
    assert "did you mean segvol" in bench("reproduce", "--dry-run", "--plugin", "segvl", code=2).stderr


def test_without_the_papers_data_a_row_that_could_run_says_how_to_get_them(bench: Bench, stand_ins: Path) -> None:
    """The data set is the paper's by default; that it is missing is not the fault of a row, and ends the command."""
    refused = bench("reproduce", "--plugin", "quick", "--plugin-dir", stand_ins, "--engine", "local", code=3)
    assert "the data set rexgroundingct:mlhc2025 has not been downloaded" in refused.stderr
    assert "`bench data fetch rexgroundingct`" in refused.stderr


def test_rows_that_cannot_run_do_not_stop_those_that_can(bench: Bench, asked: Callable[..., list[object]]) -> None:
    """One row finds nothing and lies below, one lacks its weights; asked again, the same run answers."""
    ran, lacking = bench.json(*asked("gated,quick"))["rows"]
    assert (ran["row"], ran["verdict"]) == ("BiomedParse, text", BELOW)
    average = ran["cells"][0]
    assert (average["column"], average["verdict"]) == ("average", "below")
    assert average["ours"] == {"value": 0.0, "ci95": None, "n": 6}
    assert average["reported"] == {"value": 0.013, "ci95": [0.009, 0.019], "n": None}
    assert any("other data: 3 cases" in line for line in ran["why"])
    assert (lacking["row"], lacking["cells"], lacking["verdict"]) == (TABLE[-1], [], "not run")
    assert "weights (w.pth; owner/name wants a log-in at the hub) have not been downloaded" in lacking["why"][0]
    again = bench(*asked("gated,quick"))
    assert f"{ran['run']} is already finished" in again.stderr
    assert f"BiomedParse, text (quick only): {BELOW}" in again.stdout
    line = next(line for line in again.stdout.splitlines() if line.startswith("Average"))
    assert line.split() == ["Average", "0.000", "0.013", "[0.009\N{EN DASH}0.019]", "below"]


def test_a_row_that_fails_says_so_and_the_next_one_runs(bench: Bench, asked: Callable[..., list[object]]) -> None:
    """The model's failure is its row's, with the run to look at; the command ends with 1."""
    ran, failed = bench.json(*asked("failing,quick"), code=1)["rows"]
    assert (ran["verdict"], failed["verdict"]) == (BELOW, "not run")
    assert failed["why"][0] == "every finding failed"
    assert f"`bench results show {failed['run']}`" in failed["why"][1]
    only = bench(*asked("gated"), code=3)
    assert "weights (w.pth; owner/name wants a log-in at the hub) have not been downloaded" in only.stdout
    assert "no row could be run" in only.stderr


def test_an_interrupted_row_goes_on_where_it_was(bench: Bench, asked: Callable[..., list[object]]) -> None:
    """Ctrl-C while the second of three is at work: the table is shown all the same, and the same command goes on."""
    process = bench.popen(*asked("failing,quick,slow"), "--json")
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if re.match(r"  \d/9 slow-only", line):
            process.send_signal(signal.SIGINT)
            break
    out, rest = process.communicate(timeout=60)
    assert process.returncode == 130, "".join(seen) + rest
    quick, slow_row, failing = json.loads(out)["rows"]
    assert quick["verdict"] == BELOW
    assert [(row["verdict"], row["why"]) for row in (slow_row, failing)] == [("not run", ["interrupted"])] * 2
    again = bench(*asked("quick,slow"), "--json")
    rows = json.loads(again.stdout)["rows"]
    assert [row["verdict"] for row in rows] == [BELOW, BELOW]
    assert rows[0]["run"] == quick["run"]
    kept = next(line for line in again.stderr.splitlines() if "kept from before" in line)
    assert re.search(r"\b[12] kept from before", kept), kept
    shown = bench.json("results", "show", rows[1]["run"])
    assert len(shown["cases"]) == 3


@pytest.fixture
def release(bench: Bench, splits_writer: Callable[..., Path]) -> Path:
    """Return a release in the home, as `bench data fetch` leaves it: two indexes over the same scans."""
    folder = splits_writer(bench.home / "datasets" / "rexgroundingct", lambda n: f"train_{n}_a_1")
    index = json.loads((folder / "dataset.json").read_text())
    (folder / "MLHC_dataset_version.json").write_text(json.dumps({split: index[split] for split in ("train", "test")}))
    (folder / "dataset.json").write_text(
        json.dumps({"train": index["train"], "val": index["test"], "test": index["val"]})
    )
    (folder / "seg" / index["val"][0]["name"]).unlink()  # the masks of the main index's test split are not public
    return folder


def test_a_release_is_reproduced_on_the_papers_edition(bench: Bench, release: Path, stand_ins: Path) -> None:
    """By default; that its numbers are not the paper's is said. A dry run asks for what the run will ask for."""
    command = ["reproduce", "--plugin", "quick,gated", "--plugin-dir", stand_ins, "--engine", "local"]
    planned = bench.json(*command, "--dry-run")
    assert planned["dataset"] == {"name": "rexgroundingct:mlhc2025", "lacking": []}
    assert "2 cases of rexgroundingct:mlhc2025, test" in planned["claims"]["the paper"]
    ran = bench.json(*command)["rows"][0]
    assert (ran["verdict"], bench.json("results", "show", ran["run"])["dataset"]["name"]) == (
        BELOW, "rexgroundingct:mlhc2025",
    )  # fmt: skip
    private = bench(*command, "--dataset", "rexgroundingct:base", "--dry-run").stdout
    assert "split 'test' of rexgroundingct:base lacks the ground truth of train_5_a_1" in private
    assert "lacks the ground truth" in bench(*command, "--dataset", "rexgroundingct:base", code=2).stderr
    (release / "seg" / "train_1_a_1.nii.gz").unlink()
    quick, trained = bench.json(*command, "--dry-run")["rows"]
    assert quick["lacking"] == []
    assert trained["lacking"][1].startswith(
        "split 'train' of rexgroundingct:mlhc2025 lacks the ground truth of train_1_a_1; "
    )


def test_a_dry_run_sees_a_patient_in_two_splits(bench: Bench, release: Path, stand_ins: Path) -> None:
    """What would refuse every row is told of the data set, with the fix, and not only by the run."""
    path = release / "MLHC_dataset_version.json"
    index = json.loads(path.read_text())
    [first, other] = (index[split][0]["name"] for split in ("train", "test"))
    index["train"][0]["name"] = new = other.replace("_a_", "_b_")
    for folder in ("ct", "seg"):
        (release / folder / first).rename(release / folder / new)
    path.write_text(json.dumps(index))
    command = ["reproduce", "--plugin", "quick", "--plugin-dir", stand_ins, "--engine", "local"]
    (message, fix) = bench.json(*command, "--dry-run")["dataset"]["lacking"]
    assert "patient-in-two-splits" in message
    assert "keep all scans of a patient in one split" in fix
    assert "patient-in-two-splits" in bench(*command, code=4).stderr


def test_a_run_without_a_data_set_takes_the_papers_where_it_is_there(
    bench: Bench, release: Path, stand_ins: Path
) -> None:
    """It is named before anything runs; without the release it is the phantom."""
    ran = bench("run", "--plugin", "quick", "--plugin-dir", stand_ins, "--engine", "local", "--json")
    first = ran.stderr.splitlines()[0]
    assert first.endswith("no --dataset given: rexgroundingct:mlhc2025, the set of the paper")
    assert json.loads(ran.stdout)["dataset"]["name"] == "rexgroundingct:mlhc2025"
    shown = bench("data", "info", "rexgroundingct:mlhc2025").stdout
    assert "test: by its content no published edition" in shown
    assert "0 of 22 numbers that the paper states of its set agree" in shown
    assert "  train: scans: 4, in the paper 1,614" in shown
