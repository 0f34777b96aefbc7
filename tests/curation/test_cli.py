"""The command group ``bench curate`` starts fast, and works offline without the libraries of a language model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_help_imports_nothing_heavy() -> None:
    """The help of the group and of a command loads neither numpy nor a client of a language model."""
    code = (
        "import sys, json\n"
        "from click.testing import CliRunner\n"
        "from curation.cli import curate\n"
        "for name in ('run', 'categorize', 'review', 'qc', 'intake', 'annotate', 'finalize'):\n"
        "    assert CliRunner().invoke(curate, [name, '--help']).exit_code == 0\n"
        "heavy = ('numpy', 'openai', 'sklearn', 'nibabel', 'scipy', 'nrrd')\n"
        "print(json.dumps([name for name in heavy if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert json.loads(done.stdout) == []


def test_offline_asks_no_model_and_fits_nothing(
    three_reports: Path, tmp_path: Path, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole offline pipeline runs without the client of a language model and without scikit-learn."""
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert bench("run", three_reports, "--out", tmp_path / "out").exit_code == 0
