"""A measured row, made without a container, in a home; and its text folder, to be tampered with."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.cli.score import score
from harness.cli.settings import Settings
from harness.cli.submit import submit
from harness.runs.record import write_record
from harness.scoring.profiles import PROFILES
from harness.store.database import Store
from harness.submissions.text_files import MANIFEST, manifest_of
from tests.harness.scoring.conftest import save

SHAPE = (24, 20, 6)
TEXTS = {"0": "Consolidation, in the right lung\n(\u05e8\u05d9\u05d0\u05d4)", "1": 'Two "nodules" in the left lung'}


@dataclass(frozen=True)
class Made:
    """A home with one measured row; its data set, and its masks."""

    home: Path
    data: Path
    masks: Path
    run: str


def call(home: Path, command: object, *arguments: object, code: int = 0) -> Result:
    """Call a command as the command line would, and check its exit code."""
    result = CliRunner().invoke(command, [*map(str, arguments)], obj=Settings(home))  # type: ignore[arg-type]
    found = getattr(result.exception, "exit_code", result.exit_code)
    assert found == code, (result.output, repr(result.exception))
    return result


def write_data(folder: Path, terms: dict[str, str] | None = None) -> None:
    """Write a data set of six cases without CTs, two findings each, and masks beside it that miss some voxels."""
    rng = np.random.default_rng(0)
    cases = []
    for i in range(6):
        name = f"case_{i}_a_1"
        truth = np.zeros((2, *SHAPE), np.uint8)
        truth[0, 2:12, 3:9, 1:4] = 1
        truth[1, 14:22, 10 : 14 + i, 2:5] = 1
        truth[1, 3:6, 15:19, 0:3] = 2
        save(folder / "data" / "seg" / f"{name}.nii.gz", truth, np.eye(4))
        worse = (truth > 0) * (rng.random(truth.shape) > 0.2)
        for finding in range(2):
            if (i, finding) != (3, 1):  # one mask is missing
                save(folder / "masks" / name / f"{finding}.nii.gz", worse[finding].astype(np.uint8), np.eye(4))
        cases.append(
            {
                "name": f"{name}.nii.gz", "findings": TEXTS, "entity_counts": {"0": 1, "1": 2}, "shape": list(SHAPE),
                "pixels": {str(f): int((truth[f] > 0).sum()) for f in range(2)},
                "categories": {"0": "1f", "1": "2d"}, "protocol": "protocol1",
            }
        )  # fmt: skip
    (folder / "data" / "dataset.json").write_text(json.dumps({"train": [], "val": [], "test": cases}))
    spacings = [{"name": case["name"], "spacing_mm": [0.8, 0.8, 2.0]} for case in cases]
    (folder / "data" / "spacing.json").write_text(json.dumps(spacings))
    stated = {"scores": "yes", "texts": "yes"} if terms is None else terms
    (folder / "data" / "groundbench.json").write_text(json.dumps({"licence": "CC0-1.0", "terms": stated}))


def measure(folder: Path, name: str = "mine", weights: dict[str, str] | None = None) -> Made:
    """Score the masks of a data set, and keep them as a row measured here; its model loads `weights` (digests)."""
    home = folder / "home"
    arguments = (folder / "masks", "--dataset", folder / "data", "--name", name, "--jobs", 1, "--json")
    document = json.loads(call(home, score, *arguments).stdout)
    with Store(home / "results.db") as store:
        scored = store.run(document["run"])
        plan: dict[str, Any] = {
            "contract": 1, "plugin": name, "plugin_version": "1", "variant": "zero-shot", "params": {},
            "weights": {"mode": "pinned", "files": weights} if weights else {}, "image": "sha256:ab",
            "fingerprint": scored.fingerprint, "split": "test", "limit": None, "seed": 0,
            "scorer": scored.plan["scorer"],
        }  # fmt: skip
        key = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
        run = replace(
            scored,
            id=f"{name}-zero-shot-{key[:10]}", plan_key=key, kind="measured", plugin_version="1", variant="zero-shot",
            prompt="text", engine="docker", image_id="sha256:ab", plan=plan, rankable=True, unrankable=[],
            timing={"case_median_s": 1.5, "first_case_s": 2.0},
            record={
                **scored.record, "origin": "/home/somebody/plugin", "content": {"plugin": "ab" * 32},
                "dataset": {**scored.record["dataset"], "path": str(folder / "data" / "dataset.json")},
            },
        )  # fmt: skip
        cases = store.cases(scored.id)
        findings = {case.case: store.findings(scored.id, case.case) for case in cases}
        place = home / "runs" / run.id
        place.mkdir(parents=True)
        write_record(place, run, cases, [row for rows in findings.values() for row in rows])
        metrics = {profile: store.metrics(scored.id, profile) for profile in PROFILES}
        store.save_whole(run, [(case, findings[case.case]) for case in cases], metrics)
        store.remove_run(scored.id)
    shutil.copytree(folder / "masks", place / "masks")
    return Made(home, folder / "data", place / "masks", run.id)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return a home with one measured row."""
    folder = tmp_path_factory.mktemp("travel")
    write_data(folder)
    return measure(folder)


@pytest.fixture(scope="session")
def honest(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the text folder of that row; it is not to be changed."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "card.toml").write_text('who = "Example Lab"\nprompt = "text"\ntrained_on = []\n')
    arguments = ("--to", folder, "--card", folder / "card.toml", "--public-split", "test", "--jobs", 1, "--json")
    return Path(json.loads(call(made.home, submit, made.run, *arguments).stdout)["folder"])


@pytest.fixture
def folder(honest: Path, tmp_path: Path) -> Path:
    """Return a copy of it, to be tampered with."""
    return Path(shutil.copytree(honest, tmp_path / honest.name))


@pytest.fixture
def tamper(folder: Path) -> Callable[[str, Callable[[str], str]], Path]:
    """Return a function that changes a file of the folder, and makes its manifest anew, as a forger would."""

    def change(name: str, edit: Callable[[str], str]) -> Path:
        before = (folder / name).read_text(encoding="utf-8")
        after = edit(before)
        assert after != before, "nothing was changed"
        (folder / name).write_text(after, encoding="utf-8")
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        (folder / MANIFEST).write_bytes(manifest_of(files))
        return folder

    return change
