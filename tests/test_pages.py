"""What pages print as a session at a console can be pasted: block after block, in one folder, in the page's order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.costly
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_in_order(page: Path, tmp_path: Path) -> None:
    """Every command ends well, and none needs more than the page says."""
    tool = tmp_path / "tools" / "bench"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n')
    tool.chmod(0o755)
    folder = tmp_path / "reader"
    folder.mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    environment = {**inherited, "PATH": f"{tool.parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    script = "set -eu\n" + "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stderr


def test_the_pages_for_newcomers_have_such_blocks() -> None:
    """The pages that somebody new pastes from cannot fall out of the test above."""
    assert {"ten-minutes", "score-masks"} <= {page.stem for page in PAGES}
