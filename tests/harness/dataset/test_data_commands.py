"""``bench data validate | info | fetch`` from the outside: exit codes, one JSON document, expected errors only."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Bench = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def bench(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Call ``bench data ...`` as the installed command would."""

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["bench", "--home", str(home), "data", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    return call


def test_validate_says_what_is_wrong_and_ends_with_4(sound: Any, bench: Bench) -> None:
    """A person gets level, code, place and fix; the exit code says bad data."""
    (sound.root / "ct" / "train_3_b_2.nii.gz").unlink()
    done = bench("validate", str(sound.root))
    assert done.returncode == 4
    assert "error missing-ct test/train_3_b_2: " in done.stdout
    assert "  fix: download it" in done.stdout
    assert done.stdout.endswith("set: 3 cases in train, val, test; 1 error, 0 warnings, 0 notes\n")
    assert done.stderr == ""


def test_validate_of_a_sound_set_ends_with_0_and_writes_nothing(sound: Any, bench: Bench, home: Path) -> None:
    """One JSON document on standard output, and not even a home."""
    done = bench("validate", str(sound.root), "--deep", "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert (document["ok"], document["problems"], document["splits"]["val"]) == (True, [], 1)
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["validate", "SET", "--split", "tset"], 2, "did you mean test?"),
        (["validate", "SET", "--quick", "--deep"], 2, "exclude each other"),
        (["validate", "nothing/here"], 2, "the data set nothing/here does not exist"),
        (["validate", "EMPTY"], 4, "does not contain any of dataset.json"),
        (["info", "SET", "--split", "tset"], 2, "did you mean test?"),
        (["info", "nowhere"], 2, "no data set is named 'nowhere'"),
        (["info", "EMPTY"], 4, "does not contain any of dataset.json"),
        (["fetch", "rexgrounding"], 2, "did you mean rexgroundingct?"),
        (["fetch", "rexgroundingct", "--ct-rate", "SET"], 2, "both downloads are needed"),
        (["fetch", "rexgroundingct", "--list"], 2, "--rexgroundingct PATH"),
        (["fetch", "rexgroundingct", "--split", "val"], 2, "--split goes with --list"),
    ],
)
def test_slips_and_bad_data_have_their_exit_codes(
    sound: Any, bench: Bench, arguments: list[str], code: int, message: str
) -> None:
    """Usage is 2, bad data is 4; the message says what to do, and no traceback shows."""
    places = {"SET": str(sound.root), "EMPTY": str(sound.root / "ct")}
    done = bench(*(places.get(argument, argument) for argument in arguments))
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_info_prints_table_3_and_the_fingerprint(sound: Any, bench: Bench) -> None:
    """All 14 rows, splits and grids; the second call finds the digests in the home."""
    done = bench("info", str(sound.root))
    assert done.returncode == 0
    for text in (
        "Pulmonary nodules and masses",
        "Honeycombing",
        "100.0",
        "fingerprint: sha256:",
        "16 x 14 x 10 voxels",
    ):
        assert text in done.stdout
    document = json.loads(bench("info", str(sound.root), "--split", "val", "--json").stdout)
    assert document["total"]["findings"] == 2
    assert [row["count"] for row in document["categories"] if row["code"] == "2d"] == [2]
    assert document["fingerprint"].startswith("sha256:")
    quiet = json.loads(bench("info", str(sound.root), "--no-fingerprint", "--json").stdout)
    assert quiet["fingerprint"] is None


def test_fetch_guides_while_the_data_is_not_here(bench: Bench) -> None:
    """To read the guide is what the command is for."""
    done = bench("fetch", "rexgroundingct")
    assert done.returncode == 0
    for text in ("hf download rajpurkarlab/ReXGroundingCT", "ibrahimhamamci/CT-RATE", "CC BY-NC-SA 4.0", "--list"):
        assert text in done.stdout
    assert done.stderr == ""


def test_fetch_links_and_the_name_is_known_from_then_on(maker: Any, bench: Bench, tmp_path: Path) -> None:
    """What was linked opens by name; fetching again says where it is."""
    folder = "../CT-RATE/dataset/train_fixed/train_1/train_1_b"
    maker.case("val", "train_1_b_2", folders=(folder, "segmentations"))
    maker.write()
    paths = ("--rexgroundingct", str(maker.root), "--ct-rate", str(tmp_path / "CT-RATE"))
    listed = bench("fetch", "rexgroundingct", *paths[:2], "--list", "--split", "val")
    assert listed.stdout == "dataset/train_fixed/train_1/train_1_b/train_1_b_2.nii.gz\n"
    done = bench("fetch", "rexgroundingct", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert "linked 1 of 1 CTs" in done.stdout
    assert done.stdout.endswith("next: bench data validate rexgroundingct --quick\n")
    assert bench("validate", "rexgroundingct", "--quick").returncode == 0
    assert "is linked at" in bench("fetch", "rexgroundingct").stdout
