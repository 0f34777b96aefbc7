"""Without the extra `curate` everything offline works, and what needs it says how to get it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from curation.classifier.train import train
from curation.llm.endpoint import Settings, connect
from harness.errors import PrerequisiteError

ROOT = Path(__file__).resolve().parents[2]


def test_training_names_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without scikit-learn the error gives the line for pip."""
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(PrerequisiteError) as missing:
        train([])
    assert "pip install 'groundbench[curate]'" in missing.value.fix


def test_a_model_names_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the OpenAI SDK the error gives the line for pip."""
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(PrerequisiteError) as missing:
        connect(Settings("m"))
    assert "pip install 'groundbench[curate]'" in missing.value.fix


def test_help_imports_nothing_heavy() -> None:
    """The help of the group and of a command loads neither numpy nor the extras."""
    code = (
        "import sys, json\n"
        "from click.testing import CliRunner\n"
        "from curation.cli import curate\n"
        "for name in ('run', 'categorize', 'review', 'qc', 'intake', 'annotate', 'finalize'):\n"
        "    assert CliRunner().invoke(curate, [name, '--help']).exit_code == 0\n"
        "heavy = ('numpy', 'openai', 'sklearn', 'nibabel', 'scipy')\n"
        "print(json.dumps([name for name in heavy if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    assert json.loads(done.stdout) == []


def test_offline_needs_no_extra(
    three_reports: Path, tmp_path: Path, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole offline pipeline runs without them."""
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert bench("run", three_reports, "--out", tmp_path / "out").exit_code == 0
