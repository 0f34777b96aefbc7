"""docs/curation.md: its walk from three reports to a scored data set runs as written; its tables are the code's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from curation.cli import curate
from curation.volumes import read_array
from harness.dataset import open_dataset

pytestmark = pytest.mark.costly

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/curation.md").read_text(encoding="utf-8")


def test_the_walk(tmp_path: Path) -> None:
    """Both walks succeed, command by command: the oracle scores 1, and DICOM gives the very voxels of the phantom."""
    section = TEXT.partition("## Ten minutes, offline")[2].partition("\n## The steps")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(blocks) >= 8
    tools = tmp_path / "bin"
    tools.mkdir()
    main = "import harness.cli as c; c.cli.lazy['curate'] = ('curation.cli:curate', ''); c.main()"
    for name, call in (("bench", f'"{sys.executable}" -c "{main}"'), ("python", f'"{sys.executable}"')):
        (tools / name).write_text(f'#!/bin/sh\nexec {call} "$@"\n')
        (tools / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    script = "set -e\n" + "\n".join(blocks)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    dataset = open_dataset(tmp_path / "dataset")
    assert {case.split for case in dataset} == {"train", "val", "test"}
    summary = json.loads((tmp_path / "curated/summary.json").read_text())
    assert summary["set_aside"] == 0
    assert sum(len(case.findings) for case in dataset) >= summary["findings"] * 0.9
    oracle = next(line for line in done.stdout.splitlines() if line.startswith("oracle"))
    assert "1.000" in oracle
    for case in open_dataset(tmp_path / "dataset2"):
        assert case.age in {60, 61, 62}
        assert np.array_equal(read_array(case.ct)[0], read_array(tmp_path / f"patients/ct/{case.id}.nii.gz")[0])
        assert (tmp_path / f"seg/{case.id}.dcm").exists()
    report = json.loads((tmp_path / "qc/qc.json").read_text())
    assert report["counts"]["error"] == 0


def test_every_command_is_documented() -> None:
    """Each command of the group is in the text, and every code of the quality control in its table."""
    for name in curate.lazy:
        assert re.search(rf"`?(?:bench )?curate {name}\b|`{name}`", TEXT), name
    source = "".join(path.read_text() for path in (ROOT / "curation/qc").glob("*.py"))
    codes = set(re.findall(r'Problem\(\s*Level\.[A-Z]+, "([a-z-]+)"', source))
    table = TEXT.partition("## Quality control of masks")[2]
    assert {row.split("|")[1].strip(" `") for row in table.splitlines() if row.startswith("| `")} == codes


@pytest.mark.parametrize("name", list(curate.lazy))
def test_every_command_has_help(name: str) -> None:
    """Each command loads, and says what it does."""
    import click

    command = curate.get_command(click.Context(curate), name)
    assert command is not None
    assert command.help
