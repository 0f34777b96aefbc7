"""What hosts of repositories read: the workflow, the issue forms, the citation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github"


@pytest.mark.parametrize(
    "workflow", [".github/workflows/audit.yml", ".github/workflows/ci.yml", "leaderboard/assets/workflow.yml"]
)
def test_actions_are_pinned_by_commit(workflow: str) -> None:
    """A tag can be moved to other code, a commit cannot; the comment says which version it is."""
    used = re.findall(r"uses: (.*)", (ROOT / workflow).read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_the_workflow_runs_what_anybody_can_run() -> None:
    """CI is one script of the repository; its token may read the code and nothing else."""
    text = (GITHUB / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.search(r"^permissions:\n  contents: read\n\n", text, flags=re.MULTILINE)
    assert re.findall(r"^        run: .*? (\S+)$", text, flags=re.MULTILINE) == [".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111, ".ci/run cannot be executed"


def test_only_the_job_that_hosts_may_write() -> None:
    """The job that runs an installed package may read the code and nothing else; the one that hosts runs no package."""
    text = (ROOT / "leaderboard/assets/workflow.yml").read_text(encoding="utf-8")
    everywhere, _, jobs = text.partition("jobs:\n")
    build, _, deploy = jobs.partition("  deploy:\n")
    assert "permissions: {}\n" in everywhere
    assert "write" not in build
    assert "run:" not in deploy.replace("runs-on:", "")


def test_every_issue_form_asks_for_the_doctor() -> None:
    """The issue form asks for the one document that describes the machine."""
    forms = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
    assert len(forms) == 3
    for form in forms:
        assert "`bench doctor --json`" in form.read_text(encoding="utf-8"), form.name


def test_the_citation_names_a_release() -> None:
    """The version to be cited is one that the changelog describes."""
    (version,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert f"\n## {version} (" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_what_is_not_released_has_a_version_of_its_own() -> None:
    """Between two releases the version says so: a number made now cannot pass for one of the release."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    unreleased = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("## Unreleased")[1].split("\n## ")[0]
    assert version.endswith(".dev0") == bool(unreleased.strip())


@pytest.mark.costly
@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("models-smoke", 3),
        ("fidelity", 3),
        ("fidelity FIDELITY_PYTHON=/no/such/python", 3),
        ("audit", 0),
        ("audit ADVISORIES=none", 2),
        ("curation-classifier PROMPTS=none", 4),
        ("fuzz FUZZ_TARGETS=none", 2),
        ("sbom SBOM=/dev/null/folder", 2),
    ],
)
def test_a_target_that_lacks_something_says_so(target: str, code: int, tmp_path: Path) -> None:
    """Where data of others are not there, a target of make ends with a sentence and no traceback."""
    name, *given = target.split()
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (recipe,) = re.findall(rf"^{name}: .*\n(?:\t.*\n)*\t(.*)\n\n", text, flags=re.MULTILINE)
    values = {"BIN": str(Path(sys.executable).parent), "FUZZ_SECONDS": "1", **dict(one.split("=") for one in given)}
    asked = {name: value for name, value in values.items() if name.startswith("FIDELITY")}
    command = re.sub(r"\$\((\w+)\)", lambda named: values.get(named[1], ""), recipe)
    nowhere = {"GROUNDBENCH_REAL_DATA": str(tmp_path), "FIDELITY_UPSTREAM": str(tmp_path), "BENCH_HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={**os.environ, **nowhere, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout + done.stderr
    assert "Traceback" not in done.stderr
