"""What the build of an image installs is named by digest, and so is what builds it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FILES = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
_WITH_STEPS = [name for name in _FILES if name.endswith(("Dockerfile", ".md")) or re.match(r"tests/.*\.py$", name)]


def _unsafe(text: str) -> list[str]:
    """Return the steps of Dockerfiles in a text that install packages in a way that lets others choose what runs."""
    steps = re.findall(r"^ *RUN .*\bpip\d* .*$", text.replace("\\\n", " "), flags=re.MULTILINE)
    return [
        step
        for step in steps
        if re.search(r"\b(install|download|wheel)\b", step)
        and not ("--require-hashes" in step and re.search("--only-binary :all:|--no-build-isolation", step))
    ]


@pytest.mark.parametrize("name", [name for name in _WITH_STEPS if "RUN " in (ROOT / name).read_text(encoding="utf-8")])
def test_each_step_names_what_it_installs_and_what_builds_it(name: str) -> None:
    """Digests alone leave open what builds a package that comes as source only: pip fetches the newest."""
    assert _unsafe((ROOT / name).read_text(encoding="utf-8")) == []


def test_the_rule_notices() -> None:
    """Without digests, without one of the two options, or over two lines: each is found."""
    run = "RUN" + " python -m pip install"
    assert _unsafe(f"{run} -r a.txt\n")
    assert _unsafe(f"{run} --require-hashes -r a.lock\n")
    assert _unsafe(f"{run} --require-hashes \\\n    -r a.lock\n")
    assert not _unsafe(f"{run} --require-hashes \\\n    --no-build-isolation -r a.lock\n")
    assert not _unsafe("RUN python -m pip --version\n")
