"""``bench data phantom``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.errors import UsageError
from harness.phantom.command import _SIZES, phantom
from harness.phantom.grid import SIZES

pytestmark = pytest.mark.costly


def test_prints_one_document(tmp_path: Path) -> None:
    """--json puts one document on stdout and the progress on stderr."""
    out = tmp_path / "out"
    result = CliRunner().invoke(phantom, [str(out), "--cases", "1", "--seed", "3", "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["path"] == str(out)
    assert (document["cases"], document["splits"]) == (1, {"test": 1, "train": 0, "val": 0})
    assert document["findings"] >= 1
    assert "1/1" in result.stderr


def test_says_what_it_made(tmp_path: Path) -> None:
    """Without --json it is a sentence."""
    result = CliRunner().invoke(phantom, [str(tmp_path / "out"), "--cases", "1"])
    assert "cases 1 (train 0, val 0, test 1)" in result.stdout


def test_refuses_a_stranger(tmp_path: Path) -> None:
    """A folder that is not a phantom is a usage error with a fix."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as raised:
        CliRunner().invoke(phantom, [str(tmp_path)], catch_exceptions=False)
    assert raised.value.exit_code == 2
    assert raised.value.fix


@pytest.mark.parametrize("options", [["--cases", "0"], ["--size", "huge"], ["--seed", "-1"], ["--seed", "x"]])
def test_wrong_options_are_usage_errors(tmp_path: Path, options: list[str]) -> None:
    """Click refuses them with exit code 2."""
    result = CliRunner().invoke(phantom, [str(tmp_path / "out"), *options])
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_help_needs_no_numpy() -> None:
    """Importing the command imports neither numpy nor nibabel; its sizes are those of the grid."""
    code = "import sys, harness.phantom.command; print(sorted({'numpy', 'nibabel', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert _SIZES == SIZES
