"""A repository of results: what its workflows may do, what its check finds of honest and of hostile pull requests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pytest
from click.testing import CliRunner

from harness.cli.settings import Settings
from harness.cli.submit import submit
from harness.submissions.pull_request import PullRequest, _Git, _same_data, check_pull_request
from harness.submissions.report import markdown_of_request
from harness.submissions.text_files import MANIFEST, manifest_of
from harness.submissions.verify import read_folder
from leaderboard.commands.leaderboard import build, init_repo
from tests.harness.submissions.conftest import Made, call, measure, write_data

ADDRESS = f"git+https://example.org/owner/groundbench@{'ab' * 20}"


def _git(folder: Path, *arguments: object) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", folder, *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # type: ignore[arg-type]


@dataclass(frozen=True)
class Board:
    """A bare repository with a board that has one row, a checkout of it, and a row that is not there yet."""

    bare: Path
    checkout: Path
    made: Made
    row: Path
    base: str

    def pull(self, change: Callable[[Path], object], name: str) -> PullRequest:
        """Commit a change on a branch, push it, and check it as a pull request in the bare repository."""
        _git(self.checkout, "checkout", "-q", "-B", name, self.base)
        change(self.checkout)
        _git(self.checkout, "add", "-A")
        _git(self.checkout, "commit", "-qm", name)
        _git(self.checkout, "push", "-q", "--force", "origin", f"HEAD:refs/pull/{name}/head")
        return check_pull_request(self.bare, self.base, _git(self.checkout, "rev-parse", "HEAD"))


def _row(made: Made, to: Path, who: str) -> Path:
    (to.parent / "card.toml").write_text(f'who = "{who}"\nprompt = "text"\ntrained_on = []\n')
    arguments = ("--to", to, "--card", to.parent / "card.toml", "--public-split", "test", "--jobs", 1, "--json")
    return Path(json.loads(call(made.home, submit, made.run, *arguments).stdout)["folder"])


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Make a repository by one command, with a key of an organiser and one row, and push it to a bare one."""
    folder = tmp_path_factory.mktemp("board")
    checkout, bare = folder / "checkout", folder / "bare"
    arguments = [str(checkout), "--install", ADDRESS, "--owner", "@me/team", "--public-split", "test"]
    assert CliRunner().invoke(init_repo, arguments).exit_code == 0
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a", "-f", folder / "key"], check=True)
    with (checkout / "signers").open("a") as file:
        file.write(f"organiser {(folder / 'key.pub').read_text()}")
    write_data(folder)
    made = measure(folder)
    _row(made, checkout, "Example Lab")
    subprocess.run(["git", "init", "-q", "-b", "main", checkout], check=True)
    subprocess.run(["git", "init", "-q", "--bare", bare], check=True)
    _git(checkout, "add", "-A")
    _git(checkout, "commit", "-qm", "Begin")
    _git(checkout, "remote", "add", "origin", bare)
    _git(checkout, "push", "-q", "origin", "main")
    second = folder / "second"
    write_data(second)
    for mask in (second / "masks").rglob("1.nii.gz"):  # another model misses more
        mask.unlink()
    for case in (second / "masks").iterdir():
        shutil.copy(case / "0.nii.gz", case / "1.nii.gz")
        _shrink(case / "0.nii.gz")
        _shrink(case / "1.nii.gz")
    other = measure(second, "other")
    row = _row(other, second / "to", "Other Lab")
    return Board(bare, checkout, other, row, _git(checkout, "rev-parse", "HEAD"))


def _shrink(mask: Path) -> None:
    import nibabel as nib
    import numpy as np

    image = nib.load(mask)
    voxels = np.asanyarray(image.dataobj).copy()
    voxels[5:8] = 0
    nib.save(nib.Nifti1Image(voxels, image.affine, image.header), mask)


def _add(board: Board) -> Callable[[Path], Path]:
    """Return what adds the honest row to a checkout."""

    def add(checkout: Path) -> Path:
        target = checkout / board.row.relative_to(board.row.parents[5])
        shutil.copytree(board.row, target)
        return target

    return add


def test_an_honest_pull_request_passes(board: Board) -> None:
    """It adds one folder: every check passes, and the report shows the row."""
    found = board.pull(_add(board), "honest")
    assert found.failed == []
    report = markdown_of_request(found)
    assert "Every check passed" in report
    assert "| place | pass |" in report
    assert "| data | pass |" in report
    assert "| copies | pass |" in report


def _old(checkout: Path) -> Path:
    return next((checkout / "submissions").rglob("card.toml"))


def _edit_old(checkout: Path) -> None:
    _old(checkout).write_text('who = "Me"\n')


def _remove_old(checkout: Path) -> None:
    shutil.rmtree(_old(checkout).parent)


def _add_to_old(checkout: Path) -> None:
    (_old(checkout).parent / "training.json").write_text("{}\n")


def _link(checkout: Path) -> None:
    (checkout / "submissions" / "data").mkdir()
    (checkout / "submissions" / "data" / "link").symlink_to("/etc/passwd")


def _script(checkout: Path) -> None:
    (checkout / "submissions" / "setup.py").write_text("import os\n")


def _workflow(checkout: Path) -> None:
    path = checkout / ".github" / "workflows" / "check.yml"
    path.write_text(path.read_text().replace("contents: read", "contents: write"))


def _key(checkout: Path) -> None:
    with (checkout / "signers").open("a") as file:
        file.write("me ssh-ed25519 AAAA\n")


def _nothing(checkout: Path) -> None:
    _git(checkout, "commit", "--allow-empty", "-qm", "nothing")
    (checkout / "README.md").touch()


def _part(checkout: Path) -> None:
    folder = checkout / "submissions" / "a-00000000" / "test" / "m" / "v" / "2026-11-30-000000000000"
    folder.mkdir(parents=True)
    (folder / "card.toml").write_text("")


def _forged_level(checkout: Path) -> None:
    folder = _old(checkout).parent
    word = {
        "schema": 1, "manifest": "ab" * 32, "level": "sealed", "day": "2026-11-30", "by": "organiser",
        "harness": "groundbench", "how": "run again", "tolerance": 0.0, "difference": 0.0,
    }  # fmt: skip
    (folder / "verification.json").write_text(json.dumps(word, indent=1, sort_keys=True) + "\n")


HOSTILE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "link": (_link, "paths", "a link"),
    "script": (_script, "paths", "a text folder has no such file"),
    "old": (_edit_old, "paths", "changes or removes what is there"),
    "removed": (_remove_old, "paths", "changes or removes what is there"),
    "added-to-old": (_add_to_old, "paths", "adds to an old row"),
    "workflow": (_workflow, "paths", "outside submissions/"),
    "key": (_key, "paths", "signers: it lies outside submissions/"),
    "part": (_part, "reads", "submissions/a-00000000/test/m/v/2026-11-30-000000000000 lacks"),
    "level": (_forged_level, "level", "is of another folder"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_pull_request_is_named(what: str, board: Board) -> None:
    """A link, a script, a change of an old row, of a workflow or of the keys, a forged level: each says what it is."""
    change, check, says = HOSTILE[what]
    found = board.pull(change, what)
    assert not [one for one in found.failed if "/groundbench-" in one.found]  # where the check reads it
    assert says in " ".join(one.found for one in found.failed if one.name == check), found.failed


def test_ten_megabytes_and_programs_are_refused(board: Board) -> None:
    """The size of an object is known before it is read; an executable file is none of a text folder."""

    def large(checkout: Path) -> None:
        folder = _add(board)(checkout)
        (folder / "findings.csv").write_bytes(b"x" * 10**7)

    assert "10,000,000 bytes, more than" in " ".join(one.found for one in board.pull(large, "large").failed)

    def program(checkout: Path) -> None:
        (_add(board)(checkout) / "card.toml").chmod(0o755)

    assert "a program" in " ".join(one.found for one in board.pull(program, "program").failed)


def test_a_history_that_crosses_the_boards_hides_nothing(board: Board) -> None:
    """Two beginnings: held against the one that lacks a row, its removal would not be seen, and a merge would do it."""
    tree = _git(board.checkout, "rev-parse", f"{board.base}^{{tree}}")

    def commit(of: str, *parents: str) -> str:
        return _git(board.checkout, "commit-tree", "-m", "c", *(text for one in parents for text in ("-p", one)), of)

    _git(board.checkout, "checkout", "-q", "-B", "crossing", board.base)
    _git(board.checkout, "rm", "-rq", "--cached", "submissions")
    empty = _git(board.checkout, "write-tree")
    _git(board.checkout, "reset", "-q", "--hard", board.base)
    begun = commit(empty)
    theirs, ours = commit(empty, begun), commit(tree, begun)
    main, head = commit(tree, ours, theirs), commit(empty, theirs, ours)
    _git(board.checkout, "push", "-q", "--force", "origin", f"{main}:refs/heads/m", f"{head}:refs/pull/c/head")
    (found,) = check_pull_request(board.bare, main, head).failed
    assert found.found == "its history crosses that of the board: it begins at 2 commits"
    alone = commit(tree)
    _git(board.checkout, "push", "-q", "origin", f"{alone}:refs/pull/d/head")
    (found,) = check_pull_request(board.bare, main, alone).failed
    assert found.found == "its history has no commit of the board's"


def test_a_row_edited_with_its_numbers_a_copy_and_a_wrong_place_are_named(board: Board) -> None:
    """What the text alone can show, the check shows."""

    def anew(folder: Path) -> None:
        (folder / MANIFEST).write_bytes(manifest_of({path.name: path.read_bytes() for path in folder.iterdir()}))

    def edited(checkout: Path) -> None:
        folder = _add(board)(checkout)
        text = (folder / "record.json").read_text()
        (folder / "record.json").write_text(
            re.sub(
                r'("all": \{[^}]*"n": 12,\s*"value": )0\.\d',
                r"\g<1>0.9",
                text,
                count=1,
            )
        )
        anew(folder)

    found = board.pull(edited, "edited")
    assert {"sums", "place"} <= {one.name for one in found.failed}

    def copied(checkout: Path) -> None:
        old = _old(checkout).parent
        folder = Path(shutil.copytree(old, old.with_name("2026-11-30-000000000000")))
        (folder / "card.toml").write_text((folder / "card.toml").read_text().replace("Example", "Another"))
        anew(folder)

    found = board.pull(copied, "copied")
    (copies,) = (one for one in found.failed if one.name == "copies")
    assert "11 of 11 masks are those of" in copies.found
    assert "Example Lab" in copies.found


def test_the_easy_half_and_another_truth_are_no_rows_of_the_split(board: Board) -> None:
    """What every row of a split has alike, its findings and their truths, is held against the rows that are there."""
    there = dict(_Git(board.bare).tables(board.base))
    (old,) = there
    honest = read_folder(board.row)
    assert honest.tables is not None
    place = "/".join([*PurePosixPath(old).parts[:3], "other"])
    assert _same_data(honest, place, there).outcome == "pass"
    assert _same_data(honest, "submissions/other-0/test/x", there).outcome == "skip"
    findings = honest.tables.findings
    for changed, outcome, says in (
        (findings[:4], "FAIL", "case_2_a_1/0 is missing"),
        ([replace(findings[0], truth_voxels=7), *findings[1:]], "FAIL", "case_0_a_1/0: its text, category or truth"),
        ([replace(findings[0], category="2h"), *findings[1:]], "FAIL", "case_0_a_1/0: its text, category or truth"),
        ([*findings, replace(findings[0], finding="9")], "note", "1 of its findings are in no other row"),
    ):
        texts = honest.tables.texts | {("case_0_a_1", "9"): "ab" * 32}
        folder = replace(honest, tables=replace(honest.tables, findings=tuple(changed), texts=texts))
        found = _same_data(folder, place, there)
        assert (found.outcome, says in found.found) == (outcome, True), found


def test_the_script_of_the_check_runs_against_the_repository(board: Board, tmp_path: Path) -> None:
    """The line of the workflow is run as it stands, in a clone of the base, with both commits in its environment."""
    _git(board.checkout, "checkout", "-q", "-B", "line", board.base)
    _add(board)(board.checkout)
    _git(board.checkout, "add", "-A")
    _git(board.checkout, "commit", "-qm", "line")
    _git(board.checkout, "push", "-q", "--force", "origin", "HEAD:refs/pull/7/head")
    head = _git(board.checkout, "rev-parse", "HEAD")
    subprocess.run(["git", "clone", "-q", "-b", "main", board.bare, tmp_path / "base"], check=True)
    lines = re.findall(
        r"^ +(?:- )?run: (.*)$", (tmp_path / "base/.github/workflows/check.yml").read_text(), re.MULTILINE
    )
    fetch, install, check, show = lines
    assert ADDRESS in install
    environment = {
        **os.environ, "NUMBER": "7", "BASE": board.base, "HEAD": head, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    for line in (fetch, check, show):
        subprocess.run(["bash", "-ec", line], cwd=tmp_path / "base", env=environment, check=True, capture_output=True)
    assert "Every check passed" in (tmp_path / "summary").read_text()


def test_the_workflows_may_do_what_they_need_and_no_more(board: Board) -> None:
    """Never `pull_request_target`, no secrets, actions by commit; nothing is written but a comment and the pages."""
    workflows = {path.name: path.read_text() for path in (board.checkout / ".github" / "workflows").iterdir()}
    assert set(workflows) == {"check.yml", "comment.yml", "publish.yml"}
    for text in workflows.values():
        assert "pull_request_target" not in text
        assert "secrets." not in text
        assert "\npermissions: {}\n" in text
        assert re.findall(r"uses: (\S+)", text) == re.findall(r"uses: (actions/[a-z-]+@[0-9a-f]{40})\b", text)
        for line in re.findall(r"run: (.*)", text):
            assert "${{" not in line, "a value of an event is no part of a script"
    writes = {name: re.findall(r"([a-z-]+): write", text) for name, text in workflows.items()}
    assert writes == {"check.yml": [], "comment.yml": ["pull-requests"], "publish.yml": ["pages", "id-token"]}
    assert "head.ref" not in workflows["comment.yml"]
    assert "--board board.toml" in workflows["publish.yml"]
    assert "--public-split test\n" in workflows["publish.yml"]
    assert "* @me/team" in (board.checkout / ".github" / "CODEOWNERS").read_text()


HOST = """#!{python}
import json, os, sys
place = sys.argv[2]
if "/files" in place:
    print(json.dumps([{{"filename": os.environ["CHANGED"]}}]))
elif "/comments" in place:
    open(os.environ["POSTED"], "w").write(json.load(sys.stdin)["body"])
    print("{{}}")
else:
    print(json.dumps([{{"number": 7, "head": {{"sha": "abc"}}}}, {{"number": 8, "head": {{"sha": "def"}}}}]))
"""


@pytest.mark.parametrize("changed", ["submissions/x/card.toml", ".github/workflows/check.yml"])
def test_the_comment_shows_a_report_and_obeys_nothing_in_it(changed: str, board: Board, tmp_path: Path) -> None:
    """A stranger's report is text in a code block, cut; that of a request that changes its own check is not shown."""
    (tmp_path / "gh").write_text(HOST.format(python=sys.executable))
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "report.md").write_text("@everyone `````\n![x](https://evil.example)\x1b[2J" + "x" * 10**6)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "REPOSITORY": "o/r", "OWNER": "o", "BRANCH": "b&state=closed",
        "COMMIT": "def", "CHANGED": changed, "POSTED": str(tmp_path / "posted"),
    }  # fmt: skip
    script = board.checkout / ".github" / "comment.py"
    _git(board.checkout, "checkout", "-q", "main")
    command = [sys.executable, "-I", script, tmp_path / "report.md"]
    subprocess.run(command, env=environment, check=True)  # type: ignore[arg-type]
    posted = (tmp_path / "posted").read_text()
    assert len(posted) < 31_000
    if changed.startswith("submissions/"):
        assert posted.count("``````") == 2
        assert "\x1b" not in posted
    else:
        assert "proves nothing" in posted
        assert "everyone" not in posted


def test_nothing_is_overwritten(board: Board, tmp_path: Path) -> None:
    """A folder that has one of the files is left as it is; an address that is no commit writes nothing."""
    before = (board.checkout / "README.md").read_text()
    refused = CliRunner().invoke(init_repo, [str(board.checkout), "--install", ADDRESS, "--owner", "@me"])
    assert "already there" in str(refused.exception)
    assert (board.checkout / "README.md").read_text() == before
    for option, value in (("--install", "groundbench"), ("--owner", "me; rm"), ("--public-split", "a b")):
        given = {"--install": ADDRESS, "--owner": "@me", option: value}
        arguments = [str(tmp_path / "new"), *(part for pair in given.items() for part in pair)]
        assert CliRunner().invoke(init_repo, arguments).exit_code != 0
    assert not (tmp_path / "new").exists()


def test_boards_are_the_same_whatever_the_order(board: Board, tmp_path: Path) -> None:
    """The same folders, found in another order and added in another order, give the same bytes."""
    _git(board.checkout, "checkout", "-q", "main")
    sites = []
    for name, order in {"a": (0, 1), "b": (1, 0)}.items():
        folders = [_old(board.checkout).parent, board.row]
        for number in order:
            place = folders[number].relative_to(folders[number].parents[5])
            # Another place below the folder, so that it is found at another time.
            shutil.copytree(folders[number], tmp_path / name / f"{'zy'[order.index(number)]}" / place)
        out = tmp_path / f"site-{name}"
        arguments = ["--submissions", str(tmp_path / name), "--out", str(out), "--no-figures"]
        result = CliRunner().invoke(build, arguments, obj=Settings(tmp_path / "home"))
        assert result.exit_code == 0, (result.output, result.exception)
        sites.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert sites[0] == sites[1]
    assert {b"Example Lab", b"Other Lab"} <= {
        one for one in (b"Example Lab", b"Other Lab") if one in b"".join(sites[0].values())
    }
