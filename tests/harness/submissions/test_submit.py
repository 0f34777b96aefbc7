"""A row becomes a text folder: only a proven one, only what may leave, and never over another folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.cli.results import list_results, show
from harness.cli.results_import import import_rows
from harness.cli.submission import verify as verify_folder_command
from harness.cli.submit import submit
from harness.cli.verify import verify
from harness.store.database import Store

from .conftest import TEXTS, Made, call, measure, write_data


def _copy(made: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.home, tmp_path / "home"))


def test_nothing_of_the_machine_leaves(honest: Path, made: Made) -> None:
    """No path, no host, no age or sex; the place of the folder follows from its content."""
    everything = b"".join(path.read_bytes() for path in honest.iterdir())
    for secret in (str(made.home), "/home/somebody", str(made.data)):
        assert secret.encode() not in everything
    *_, data, split, plugin, variant, name = honest.parts
    assert data.startswith("data-")
    assert (split, plugin, variant) == ("test", "mine", "zero-shot")
    assert len(name.rpartition("-")[2]) == 12
    content = json.loads((honest / "record.json").read_text())["content"]
    assert content["plugin"] == "ab" * 32
    assert content["image"] == "sha256:ab"


def test_a_row_that_is_not_proven_stays(made: Made, tmp_path: Path) -> None:
    """A database with +0.5 submits nothing, and is listed without its numbers and its level."""
    home = _copy(made, tmp_path)
    with Store(home / "results.db") as store, store.write() as db:
        db.execute("update metrics set value = value + 0.5 where metric = 'dice'")
    result = call(home, submit, made.run, "--to", tmp_path / "to", "--jobs", 1, code=4)
    assert "is not what its masks give" in str(result.exception)
    assert not (tmp_path / "to").exists()
    (honest,), (forged,) = (json.loads(call(one, list_results, "--json").stdout)["runs"] for one in (made.home, home))
    assert (honest["level"], "dice" in honest["metrics"]) == ("measured", True)
    assert (forged["level"], forged["rankable"], forged["metrics"]) == ("reported", False, {})
    assert "does not follow from its record" in call(home, list_results).stderr
    assert "not confirmed by its plan" in call(home, show, made.run).stdout


def test_weights_that_were_trained_here_leave_as_such(tmp_path: Path) -> None:
    """A checkpoint of this home, loaded as weights, is known by its digest: no card calls its row zero-shot."""
    write_data(tmp_path)
    made = measure(tmp_path, weights={"w": "1" * 64})
    key = "abcdef0123456789"
    files = {"forest": {"bytes": 1, "sha256": "1" * 64}}
    (made.home / "checkpoints" / key).mkdir(parents=True)
    record = {"key": key, "sha256": "3" * 64, "files": files}
    (made.home / "checkpoints" / key / "record.json").write_text(json.dumps(record))
    card = tmp_path / "card.toml"
    arguments = (made.run, "--to", tmp_path / "to", "--card", card, "--public-split", "test", "--jobs", 1, "--json")
    card.write_text('who = "Example Lab"\nprompt = "text"\ntrained_on = []\n')
    refused = str(call(made.home, submit, *arguments, code=4).exception)
    assert "the card says none of ours, the record says train (by digest: its weights are of the training" in refused
    assert "exposure  train (by digest" in call(made.home, show, made.run).stdout
    card.write_text('who = "Example Lab"\nprompt = "text"\ntrained_on = ["data/train"]\n')
    folder = json.loads(call(made.home, submit, *arguments).stdout)["folder"]
    call(made.home, verify_folder_command, folder)
    (imported,) = json.loads(call(tmp_path / "other", import_rows, folder, "--json").stdout)["rows"]
    assert json.loads(call(tmp_path / "other", show, imported["run"], "--json").stdout)["exposure"] == "train"


def test_nothing_is_overwritten_and_a_dry_run_writes_nothing(honest: Path, made: Made) -> None:
    """The same row again is the same folder, which is there; --dry-run says what would leave."""
    to = honest.parents[5]
    arguments = (made.run, "--to", to, "--card", to / "card.toml", "--public-split", "test", "--jobs", 1)
    before = {path.name: path.stat().st_mtime_ns for path in honest.iterdir()}
    assert "already there" in str(call(made.home, submit, *arguments, code=2).exception)
    assert "would be written to" in call(made.home, submit, *arguments, "--dry-run").stdout
    assert {path.name: path.stat().st_mtime_ns for path in honest.iterdir()} == before


def test_a_closed_split_gives_digests_and_means(made: Made, tmp_path: Path) -> None:
    """No case, no text and no score of a finding leaves it; the folder verifies, and is imported by its masks only."""
    result = call(made.home, submit, made.run, "--to", tmp_path, "--jobs", 1)
    assert "means and digests leave, no findings" in result.stderr
    (record,) = tmp_path.rglob("record.json")
    assert {path.name for path in record.parent.iterdir()} == {"record.json", "masks.json", "card.toml", "SHA256SUMS"}
    everything = b"".join(path.read_bytes() for path in record.parent.iterdir())
    assert b"case_0" not in everything
    assert not any(text.splitlines()[0].encode() in everything for text in TEXTS.values())
    assert {tuple(groups) for groups in json.loads(record.read_text())["metrics"]["mlhc2025"].values()} == {("all",)}
    call(made.home, verify_folder_command, record.parent)
    refused = call(tmp_path / "other", import_rows, record.parent, code=4)
    assert "closed split" in str(refused.exception)


@pytest.mark.parametrize("terms", [{}, {"scores": "yes"}], ids=["nothing stated", "no texts"])
def test_terms_decide_what_leaves(terms: dict[str, str], tmp_path: Path) -> None:
    """A split is public where its terms allow scores; texts leave as digests unless they may. Both still prove."""
    write_data(tmp_path, terms)
    made = measure(tmp_path)
    arguments = (made.run, "--to", tmp_path / "to", "--public-split", "test", "--jobs", 1)
    if not terms:
        assert "do not allow single scores" in str(call(made.home, submit, *arguments, code=4).exception)
        return
    call(made.home, submit, *arguments)
    everything = b"".join(path.read_bytes() for path in (tmp_path / "to").rglob("*") if path.is_file())
    assert b"nodules" not in everything
    other = tmp_path / "other"
    row = json.loads(call(other, import_rows, tmp_path / "to", "--json").stdout)["rows"][0]
    proven = call(other, verify, row["run"], "--masks", made.masks, "--dataset", made.data, "--jobs", 1, "--json")
    assert json.loads(proven.stdout)["differences"] == []


def test_masks_are_packed_and_stay_the_same(honest: Path, made: Made, tmp_path: Path) -> None:
    """The archive holds the masks of the row: scored again from it, nothing differs."""
    archive = tmp_path / "masks.zip"
    arguments = (made.run, "--to", tmp_path, "--public-split", "test", "--jobs", 1)
    call(made.home, submit, *arguments, "--pack", archive, "--masks-at", "https://example.org/masks.zip")
    (record,) = tmp_path.rglob("record.json")
    lie = json.loads((record.parent / "masks.json").read_text())["lie"]
    assert lie["nbytes"] == archive.stat().st_size
    assert lie["address"] == "https://example.org/masks.zip"
    options = ("--masks", archive, "--dataset", made.data, "--jobs", 1)
    row = json.loads(call(tmp_path / "other", import_rows, record.parent, *options, "--json").stdout)["rows"][0]
    assert row["level"] == "rescored"
    assert json.loads(call(tmp_path / "other", verify, row["run"], *options, "--json").stdout)["differences"] == []
