"""A finished site goes where it can be hosted, unless something is wrong with it."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from harness.errors import PrerequisiteError, UsageError
from harness.store.database import Store
from leaderboard.site import publish
from leaderboard.site.build import build_site
from leaderboard.site.folder import MARKER
from tests.leaderboard.site.conftest import invoke

pytestmark = pytest.mark.costly


def test_private_site_is_not_published(full_store: Store, tmp_path: Path) -> None:
    """A site for private eyes leaves only when that is said in so many words."""
    build_site(full_store, tmp_path / "site")
    with pytest.raises(UsageError, match="private eyes"):
        publish.read_site(tmp_path / "site", allow_private=False)
    assert publish.read_site(tmp_path / "site", allow_private=True)


def test_folder_and_archive(site: Path, tmp_path: Path) -> None:
    """A published folder and archive hold exactly the site; the same site gives the same archive."""
    result = invoke("publish", str(site), "--folder", str(tmp_path / "www"), "--zip", str(tmp_path / "a.zip"))
    assert result.exit_code == 0, result.output
    names = (site / MARKER).read_text().splitlines()
    for name in names:
        assert (tmp_path / "www" / name).read_bytes() == (site / name).read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert sorted(archive.namelist()) == sorted(names)
    publish.to_archive(publish.read_site(site, allow_private=False), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a git repository with one commit on main and a file that is not committed."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "somebody@example.org")
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    (folder / "draft.txt").write_text("not committed")
    (folder / ".gitignore").write_text("*.html\n")
    return folder


def test_branch_holds_the_site_and_the_checkout_stays(site: Path, repository: Path) -> None:
    """The branch gets the site, ignored names included; checkout, index and main stay; twice adds no commit."""
    before = git(repository, "status", "--porcelain")
    for _ in range(2):
        result = invoke("publish", str(site), "--branch", "gh-pages", "--repo", str(repository))
        assert result.exit_code == 0, result.output
    assert "push origin gh-pages" in result.output
    listed = git(repository, "ls-tree", "-r", "--name-only", "gh-pages").splitlines()
    assert sorted(listed) == sorted((site / MARKER).read_text().splitlines())
    assert git(repository, "rev-list", "--count", "gh-pages") == "1"
    assert git(repository, "status", "--porcelain") == before
    assert git(repository, "branch", "--show-current") == "main"


def test_branch_that_is_checked_out_is_refused(site: Path, repository: Path) -> None:
    """Publishing never changes what somebody works on; a folder without git is a prerequisite."""
    files = publish.read_site(site, allow_private=False)
    with pytest.raises(UsageError, match="checked out"):
        publish.to_branch(files, repository, "main")
    with pytest.raises(PrerequisiteError, match="git refused"):
        publish.to_branch(files, site, "gh-pages")


def test_workflow_is_written_and_checks_what_it_hosts(tmp_path: Path) -> None:
    """The ready workflow checks site and repository; it needs no results database and opens no split."""
    path = tmp_path / ".github" / "workflows" / "leaderboard.yml"
    address = f"git+https://host.example/owner/groundbench@{'0' * 40}"
    assert invoke("publish", "--workflow", str(path), "--install", address).exit_code == 0
    text = path.read_text()
    assert re.findall("pip install .*", text) == [f'pip install "{address}"']
    assert "ADDRESS" not in text
    assert re.findall("run: bench .*", text) == ["run: bench leaderboard check site --repo ./"]
    assert "--public-split" not in text


@pytest.mark.parametrize(
    "address",
    [
        "",
        "groundbench",
        "git+https://host.example/owner/groundbench",
        "git+https://host.example/owner/groundbench@main",
        f"git+https://name:secret@host.example/owner/groundbench@{'0' * 40}",
        f'git+https://host.example/owner/x"; echo@{"0" * 40}',
    ],
)
def test_workflow_installs_a_pinned_commit_only(tmp_path: Path, address: str) -> None:
    """A package's name, a branch, a password and a shell's quotes are refused, and no file is written."""
    path = tmp_path / "leaderboard.yml"
    error = invoke("publish", "--workflow", str(path), "--install", address).exception
    assert isinstance(error, UsageError)
    assert "--install git+https://" in error.fix
    assert not path.exists()


def test_nowhere_to_publish_to(site: Path) -> None:
    """Without a target the command says what targets there are."""
    assert isinstance(invoke("publish", str(site)).exception, UsageError)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_archive_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder without permission is a prerequisite."""
    tmp_path.chmod(0o500)
    with pytest.raises(PrerequisiteError):
        publish.to_archive({}, tmp_path / "a" / "b.zip")
