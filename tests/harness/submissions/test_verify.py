"""A text folder is verified from its text alone, and from its masks; each forgery has a message of its own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.submission import verify
from harness.scoring.profiles import PROFILES
from harness.scoring.sizes import SizeCuts
from harness.scoring.summary import summarise
from harness.submissions.strict_json import write_json
from harness.submissions.tables import read_tables
from harness.submissions.text_files import FINDINGS, RECORD
from harness.submissions.verify import HeldAgainst, SubmissionCheck, read_folder, verify_folder

from .conftest import Made, call

Tamper = Callable[[str, Callable[[str], str]], Path]


def failed(folder: Path, against: HeldAgainst | None = None) -> dict[str, SubmissionCheck]:
    """Return the checks that failed, by name."""
    return {one.name: one for one in verify_folder(folder, against or HeldAgainst())[0] if one.outcome == "FAIL"}


def test_an_honest_folder_passes(honest: Path, made: Made) -> None:
    """Every line passes, or says why it is skipped; the command ends with 0 and prints all of it in three forms."""
    checks, _ = verify_folder(honest, HeldAgainst(made.masks, made.data / "dataset.json", jobs=1))
    assert {one.name: one.outcome for one in checks} == {
        **dict.fromkeys(
            ("reads", "row", "findings", "sums", "masks", "plausible", "card", "rescored", "prompt"), "pass"
        ),
        **dict.fromkeys(("signature", "level"), "skip"),
    }
    assert "0 differences" in next(one.found for one in checks if one.name == "rescored")
    document = json.loads(call(made.home, verify, honest, "--json").stdout)
    assert [one["outcome"] for one in document["checks"]].count("pass") == 7
    assert "| sums | pass |" in call(made.home, verify, honest, "--markdown").stdout


def _sub(pattern: str, by: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, by, text, count=1)


def _many(text: str) -> str:
    head, _, rows = text.partition("\n")
    return f"{head}\n" + "".join(rows.replace(",1f,", f",c{n},").replace("case_", f"case_{n}_") for n in range(70))


#: A change of a file by somebody who makes the manifest anew, the check that fails, and what it says.
FORGERIES: dict[str, tuple[str, Callable[[str], str], str, str]] = {
    "a metric": (
        RECORD, _sub(r'("all": \{[^}]*"n": 12,\s*"value": )0\.\d', r"\g<1>0.9"), "sums", "dice/all",
    ),
    "an interval": (RECORD, _sub(r'("all": \{\s*"cases": 6,\s*"ci95": \[\s*)0\.\d', r"\g<1>0.0"), "sums", "dice/all"),
    "a Dice": (FINDINGS, _sub(r",ok,,0\.\d", ",ok,,0.9"), "findings", "does not follow from its voxels"),
    "a failure with a score": (FINDINGS, _sub(r"(,missing_output,[^,]*),0\.0", r"\g<1>,1.0"), "findings", "a score"),
    "a text": (FINDINGS, _sub("Consolidation", "Atelectasis"), "findings", "does not have the digest"),
    "a finding lost": (FINDINGS, lambda t: t[: t.rindex("case_5_a_1,1")], "reads", "instances of a finding"),
    "a row twice": (FINDINGS, lambda t: t + t.splitlines(keepends=True)[-1], "reads", "twice"),
    "not a number": (FINDINGS, _sub(r",ok,,0\.\d+", ",ok,,nan"), "reads", "all of its digits"),
    "fewer digits": (FINDINGS, _sub(r",ok,,0\.\d+", ",ok,,0.50"), "reads", "all of its digits"),
    "a negative count": (FINDINGS, _sub(",180,", ",-180,"), "reads", "not a whole number"),
    "a category for each": (FINDINGS, _many, "reads", "64 categories"),
    "a column": (FINDINGS, _sub("dice", "score"), "reads", "other columns"),
    "quotes": (FINDINGS, _sub("case_5_a_1,1", '"case_5_a_1",1'), "reads", "not in the form"),
    "another name": (RECORD, lambda t: t.replace('"plugin": "mine"', '"plugin": "rules"'), "row", "digest"),
    "another image": (RECORD, _sub('"image_id": "sha256:ab"', '"image_id": "sha256:ac"'), "row", "image_id"),
    "other content": (RECORD, _sub("ab" * 32, "cd" * 32), "row", "content"),
    "a digest of a mask": ("masks.json", _sub(r'": "[0-9a-f]{4}', '": "0000'), "masks", "another digest"),
    "a key": (RECORD, _sub('"opened": true', '"opened": true,\n "orders": 1'), "reads", "Extra inputs"),
    "a type": (RECORD, _sub('"attempt": 1', '"attempt": true'), "reads", "attempt"),
    "a script as an address": ("masks.json", _sub('"address": ""', '"address": "javascript:a"'), "reads", "address"),
    "a box run as text": (
        RECORD, lambda t: t.replace('"prompt": "text"', '"prompt": "box"'), "card", "the row was made with box",
    ),
    "trained and silent": (
        RECORD, _sub('"fine_tuned": false', '"fine_tuned": true'), "card", "was trained on the train split",
    ),
    "an exposure": (
        RECORD, _sub(r'"of": "unknown",(\s*)"origin": ""', r'"of": "train",\1"origin": "by digest"'), "card",
        "the card says none of ours, the record says train (by digest)",
    ),
    "a card": ("card.toml", lambda t: t + 'rank = "1"\n', "reads", "rank"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forgery_is_named(what: str, tamper: Tamper) -> None:
    """Whoever changes a value and makes the manifest anew is found out by the values beside it."""
    name, edit, check, says = FORGERIES[what]
    found = failed(tamper(name, edit))
    assert says in found[check].found, found


#: Values of another kind at places of a record: where, what, and what is said.
OTHERS: dict[str, tuple[tuple[str, ...], object, str]] = {
    "a group": (("metrics", "mlhc2025", "dice", "all"), None, "something else than a value"),
    "a cell": (("metrics", "mlhc2025", "dice", "all", "value"), "1", "something else than a value"),
    "an interval": (("metrics", "mlhc2025", "dice", "all", "ci95"), [0.0], "something else than a value"),
    "groups in groups": (("metrics", "mlhc2025", "dice", "by_size"), {"a": {"b": {}}}, "something else than a value"),
    "content": (("run", "record", "content"), 3, "content is not a table"),
    "a digest": (("run", "record", "content", "plugin"), 3, "of another kind"),
    "data set": (("run", "record", "dataset"), [], "dataset is not a table"),
    "terms": (("run", "record", "dataset", "terms"), {"scores": "maybe"}, "yes"),
    "cuts": (("run", "record", "sizes", "small"), None, "sizes is not made of numbers"),
    "no cuts": (("run", "record", "sizes"), {"x": {}}, "SizeCuts"),
    "weights": (("run", "record", "weights"), [3], "weights is not a list of tables"),
    "seconds": (("run", "timing", "case_median_s"), "fast", "timing"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_value_of_another_kind_is_a_failed_check(what: str, tamper: Tamper) -> None:
    """Whatever a stranger's record holds, no reader ends in an error of Python, and no board does."""
    (*place, last), value, says = OTHERS[what]

    def edit(text: str) -> str:
        document = json.loads(text)
        inside = document
        for name in place:
            inside = inside[name]
        inside[last] = value
        return write_json(document).decode()

    assert says in failed(tamper(RECORD, edit))["reads"].found


def _forged(folder: Path) -> None:
    """Raise a Dice with all that follows from it: voxels and metrics; only the masks know better."""
    read = read_folder(folder)
    perfect = re.sub(
        rb"(case_0_a_1,0,.*\n.*?,ok,,)[^,]*,180,\d+,\d+", rb"\g<1>1.0,180,180,180", read.files[FINDINGS], count=1
    )
    assert perfect != read.files[FINDINGS]
    tables = read_tables({**read.files, FINDINGS: perfect})
    cuts = SizeCuts.recorded(read.record.run.record)
    document = json.loads(read.files[RECORD])
    document["metrics"] = {name: summarise(tables.findings, PROFILES[name], cuts=cuts) for name in document["metrics"]}
    (folder / FINDINGS).write_bytes(perfect)
    (folder / RECORD).write_bytes(write_json(document))


def test_a_record_edited_with_its_numbers_fails_at_the_masks(folder: Path, tamper: Tamper, made: Made) -> None:
    """Numbers that agree with each other pass the text, as reported; scored again they do not."""
    _forged(folder)
    tamper("SHA256SUMS", lambda text: text + " ")
    assert failed(folder) == {}
    against = HeldAgainst(made.masks, made.data / "dataset.json", jobs=1)
    found = failed(folder, against)
    assert set(found) == {"rescored"}
    assert "case_0_a_1/0" in found["rescored"].found
    refused = call(made.home, verify, folder, "--masks", made.masks, "--dataset", made.data, "--jobs", 1, code=4)
    assert "rescored: case_0_a_1/0" in str(refused.exception)


def test_boxes_sold_as_text_fail_where_the_truth_is_at_hand(
    honest: Path, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the numbers of voxels in the folder, also without its masks; of another data set nothing is said.

    Where no home is given, no digest of the data set's files is remembered anywhere.
    """
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("harness.submissions.verify.made_from_boxes", lambda *_: "its masks follow from boxes")
    found = failed(honest, HeldAgainst(dataset=made.data / "dataset.json"))
    assert {name: one.found for name, one in found.items()} == {"prompt": "its masks follow from boxes"}
    assert failed(honest) == {}
    data = Path(shutil.copytree(made.data, tmp_path / "data"))
    (data / "dataset.json").write_text((data / "dataset.json").read_text().replace("Two", "Three"))
    said, _ = verify_folder(honest, HeldAgainst(dataset=data / "dataset.json"))
    assert [one.outcome for one in said if one.name == "prompt"] == ["skip"]
    assert not list(Path.cwd().iterdir())


def test_masks_that_are_others_fail(honest: Path, made: Made, tmp_path: Path) -> None:
    """A mask that was changed after the row was made is named, and so is a data set of other content."""
    masks = Path(shutil.copytree(made.masks, tmp_path / "masks"))
    shutil.copy(masks / "case_1_a_1" / "1.nii.gz", masks / "case_1_a_1" / "0.nii.gz")
    found = failed(honest, HeldAgainst(masks, made.data / "dataset.json", jobs=1))
    assert "case_1_a_1/0" in found["rescored"].found
    data = Path(shutil.copytree(made.data, tmp_path / "data"))
    index = (data / "dataset.json").read_text().replace("Two", "Three")
    (data / "dataset.json").write_text(index)
    assert "was measured on" in failed(honest, HeldAgainst(made.masks, data / "dataset.json", jobs=1))["rescored"].found
