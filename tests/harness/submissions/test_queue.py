"""An organiser's queue: merged pull requests with a label, the oldest first; a signed commit raises what holds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cli.submission_queue import queue
from harness.errors import DataError
from harness.submissions import queue as queue_module
from harness.submissions.rerun import Rerun
from harness.submissions.travelled import TextFolder
from harness.submissions.verify import SubmissionCheck

from .conftest import Made, call

#: Answers as the host's command does: the list that is there, and it keeps what it is told.
HOST = """#!{python}
import json, os, sys
place = os.environ["HOST"]
if sys.argv[1:3] == ["pr", "list"]:
    assert "merged" in sys.argv
    print(open(place + "/list").read())
else:
    with open(place + "/told", "a") as told:
        told.write(" ".join(sys.argv[1:]) + "\\n" + sys.stdin.read() + "\\n")
"""


def _git(folder: Path, *arguments: object) -> str:
    command = ["git", "-C", folder, *arguments]
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass(frozen=True)
class Lab:
    """A checkout with one row that waits, the organiser's key, and what the host was told."""

    checkout: Path
    row: Path
    options: tuple[object, ...]
    host: Path

    def lists(self, **pulls: list[str]) -> None:
        """Let the host list pull requests, by the day on which they were merged, with their files."""
        listed = [
            {"number": number, "mergedAt": day, "files": [{"path": path} for path in files]}
            for number, (day, files) in enumerate(pulls.items(), 1)
        ]
        (self.host / "list").write_text(json.dumps(listed))

    @property
    def told(self) -> str:
        """What the host was told."""
        return (self.host / "told").read_text() if (self.host / "told").exists() else ""


@pytest.fixture
def lab(honest: Path, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Make a checkout of a bare repository; the plugin of its row is not needed where nothing is run."""
    checkout, bare, host = tmp_path / "checkout", tmp_path / "bare", tmp_path / "host"
    row = checkout / honest.relative_to(honest.parents[5])
    shutil.copytree(honest, row)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "o", "-f", tmp_path / "key"], check=True)
    public = (tmp_path / "key.pub").read_text()
    (checkout / "signers").write_text(f'ada namespaces="groundbench-verification,git" {public}')
    subprocess.run(["git", "init", "-q", "-b", "main", checkout], check=True)
    subprocess.run(["git", "init", "-q", "--bare", bare], check=True)
    for name, value in {"user.name": "Ada", "user.email": "ada@example.org", "commit.gpgsign": "false"}.items():
        _git(checkout, "config", name, value)
    _git(checkout, "add", "-A")
    _git(checkout, "commit", "-qm", "Begin")
    _git(checkout, "remote", "add", "origin", bare)
    host.mkdir()
    (host / "gh").write_text(HOST.format(python=sys.executable))
    (host / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{host}:{os.environ['PATH']}")
    monkeypatch.setenv("HOST", str(host))
    word = ("--raise-as", "ada", "--key", tmp_path / "key", "--dataset", made.data)
    found = Lab(checkout, row, ("--repo", checkout, *word, "--plugin-dir", tmp_path / "mine"), host)
    plugin = tmp_path / "mine"
    plugin.mkdir()
    (plugin / "plugin.toml").write_text(
        'name = "mine"\ntitle = "M"\nsummary = "S"\nversion = "1"\nadapter = "adapter:Mine"\n'
    )
    (plugin / "adapter.py").write_text("")
    found.lists(**{"2026-11-02": [str(path.relative_to(checkout)) for path in row.iterdir()]})
    return found


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Path]]:
    """Return a function that lets every row end with an outcome, and returns the list of those that were run."""

    def set_outcome(outcome: str) -> list[Path]:
        run: list[Path] = []

        def again(folder: TextFolder, how: Rerun) -> tuple[SubmissionCheck, float]:
            assert how.jitter
            run.append(folder.place)
            return SubmissionCheck("run again", outcome, "the mean Dice differs by 0.01", "ask"), 0.01  # type: ignore[arg-type]

        monkeypatch.setattr(queue_module, "run_again", again)
        return run

    return set_outcome


def test_a_row_that_holds_is_raised_by_a_signed_commit(lab: Lab, runs: Callable[[str], list[Path]], made: Made) -> None:
    """The word and the commit are signed, nothing else is committed, the label goes, and nothing waits any more."""
    run = runs("pass")
    (lab.checkout / "lying about").write_text("x")
    dry = call(made.home, queue, *lab.options, "--dry-run")
    assert dry.stdout == f"#1: {lab.row}\n"
    assert (run, lab.told) == ([], "")
    said = call(made.home, queue, *lab.options)
    assert run == [lab.row]
    assert "push" in said.stdout
    assert json.loads((lab.row / "verification.json").read_text())["level"] == "reproduced"
    _git(lab.checkout, "-c", f"gpg.ssh.allowedSignersFile={lab.checkout / 'signers'}", "verify-commit", "HEAD")
    changed = _git(lab.checkout, "show", "--name-only", "--format=%s", "HEAD").splitlines()
    assert changed[0] == "Raise mine zero-shot to reproduced"
    assert sorted(Path(name).name for name in changed[2:]) == ["verification.json", "verification.json.sig"]
    assert "pr comment 1" in lab.told
    assert "| run again | pass |" in lab.told
    assert "pr edit 1 --remove-label rerun" in lab.told
    assert "0 wait" in call(made.home, queue, *lab.options).stderr


def test_a_row_that_does_not_hold_stays_as_it_is(lab: Lab, runs: Callable[[str], list[Path]], made: Made) -> None:
    """Nothing is committed; the pull request is told why, and loses its label."""
    runs("FAIL")
    before = _git(lab.checkout, "rev-parse", "HEAD")
    assert "differs by 0.01" in str(call(made.home, queue, *lab.options, code=4).exception)
    assert _git(lab.checkout, "rev-parse", "HEAD") == before
    assert not (lab.row / "verification.json").exists()
    assert "| run again | FAIL |" in lab.told
    assert "--remove-label" in lab.told


def test_what_cannot_be_run_here_goes_on_waiting(lab: Lab, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row whose plugin or data set is not here keeps its label, and does not stop those after it."""
    said = call(made.home, queue, *lab.options[:-2])
    assert "no plugin" in said.stderr
    assert "goes on waiting" in said.stderr

    def other_data(*_: object) -> None:
        raise DataError("it was measured on other data", fix="give its data set")

    monkeypatch.setattr(queue_module, "run_again", other_data)
    assert "other data; it goes on waiting" in call(made.home, queue, *lab.options).stderr
    assert lab.told == ""


def test_the_oldest_comes_first_and_a_path_leads_nowhere_else(lab: Lab, tmp_path: Path) -> None:
    """What the host lists are strangers' names: what lies outside submissions/ or behind a link is not looked at."""
    own = str((lab.row / "card.toml").relative_to(lab.checkout))
    outside = Path(shutil.copytree(lab.row, tmp_path / "outside"))
    (lab.checkout / "submissions" / "link").symlink_to(lab.row.parents[3])
    lab.lists(
        **{
            "2026-11-09": [own],
            "2026-11-03": ["README.md", str(outside / "card.toml"), own.replace("submissions/", "submissions/../")],
            "2026-11-02": [own.replace("submissions/", "submissions/link/"), "submissions/a/b/c/d/e/f", "", "../x"],
            "2026-11-01": [own, own.replace("card.toml", "record.json")],
        }
    )
    assert [(one.number, one.folders) for one in queue_module.waiting(lab.checkout, "rerun")] == [
        (4, (lab.row,)),
        (1, (lab.row,)),
    ]
