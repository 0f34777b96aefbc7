"""Ways to publish a finished site: a folder, an archive, a branch of a git repository, a workflow of a host."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from harness.errors import DataError, PrerequisiteError, UsageError
from leaderboard.pages.vendor import asset
from leaderboard.site.check import check_site, is_public
from leaderboard.site.folder import MARKER, replace_folder
from leaderboard.site.withheld import committed

#: A commit of a git repository, as pip takes it; without quotes, blanks or a user's name and password.
_PINNED = re.compile(r"git\+https://[A-Za-z0-9.:-]+(?:/[A-Za-z0-9._~-]+)+@[0-9a-f]{40}")


def read_site(site: Path, *, allow_private: bool) -> dict[str, bytes]:
    """Return the files of a site that is in order and may be published.

    Raises
    ------
    DataError
        The site does not exist, or has problems.
    UsageError
        It was built for private eyes, and `allow_private` is false.
    """
    problems = check_site(site)
    if problems:
        raise DataError(
            f"{site} is not fit to be published: {problems[0].where} {problems[0].what}",
            fix="`bench leaderboard check` lists everything; build it again",
        )
    names = (site / MARKER).read_text(encoding="utf-8").splitlines()
    files = {name: (site / name).read_bytes() for name in names}
    if not is_public(site) and not allow_private:
        raise UsageError(
            f"{site} was built for private eyes: it shows the cases of every split",
            fix="build it with --visibility public, or give --allow-private",
        )
    return files


def to_folder(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write the site to `folder`, which holds nothing else."""
    replace_folder(folder, files)
    return folder / "index.html"


def to_archive(files: Mapping[str, bytes], archive: Path) -> Path:
    """Write the site as a zip archive; the same site gives the same bytes."""
    part = archive.with_name(f".{archive.name}.part")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as stream:  # noqa: TID251 - writes
            for name in sorted(files):
                stream.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)  # dated 1980, always
        part.rename(archive)
    except OSError as error:
        raise PrerequisiteError(
            f"cannot write {archive}: {error.strerror or error}", fix="check the folder, or choose another path"
        ) from error
    return archive


def to_branch(files: Mapping[str, bytes], repository: Path, branch: str) -> str:
    """Commit the site, and nothing else, to a branch; the checkout and its index stay as they are.

    Returns
    -------
    str
        The commit, short; the branch's old one where nothing changed.

    Raises
    ------
    PrerequisiteError
        Git is not there, or refuses.
    DataError
        A results database is committed in the repository.
    """
    reference = f"refs/heads/{branch}"
    _git(repository, "check-ref-format", "--branch", branch)
    if branch == _git(repository, "branch", "--show-current"):
        raise UsageError(f"{branch} is checked out in {repository}", fix="publish to another branch, such as gh-pages")
    has_checkout = _git(repository, "rev-parse", "--is-bare-repository") == "false"
    if has_checkout and (beside := next(committed(repository), None)):
        raise DataError(
            f"{repository / beside[0]} {beside[1]}",
            fix="remove it from the repository and from its history before anything of it is pushed",
        )
    with tempfile.TemporaryDirectory() as folder:
        replace_folder(Path(folder, "site"), files)
        Path(folder, "site", MARKER).unlink()
        scratch = {
            "GIT_INDEX_FILE": str(Path(folder, "index")),
            "GIT_DIR": _git(repository, "rev-parse", "--absolute-git-dir"),
        }
        _git(Path(folder, "site"), "--work-tree=.", "add", "--all", "--force", ".", **scratch)
        tree = _git(repository, "write-tree", **scratch)
    parent = _git(repository, "for-each-ref", "--format=%(objectname)", reference)
    if parent and _git(repository, "rev-parse", f"{parent}^{{tree}}") == tree:
        return parent[:12]
    parents = ["-p", parent] if parent else []
    commit = _git(repository, "commit-tree", tree, *parents, "-m", "Publish the leaderboard")
    _git(repository, "update-ref", reference, commit, parent)
    return commit[:12]


def write_workflow(path: Path, address: str) -> Path:
    """Write a workflow file that checks the site in the repository's folder ``site`` and hosts it.

    Parameters
    ----------
    path
        The file.
    address
        Where the workflow installs groundbench from: ``git+https://HOST/OWNER/NAME@COMMIT``, with all 40 digits of
        the commit, so that the same code checks the board every time.

    Raises
    ------
    UsageError
        `address` is not of this form.
    PrerequisiteError
        The file cannot be written.
    """
    require_pinned(address)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(asset("assets/workflow.yml").replace(b"ADDRESS", address.encode()))
    except OSError as error:
        raise PrerequisiteError(f"cannot write {path}: {error.strerror or error}", fix="choose another path") from error
    return path


def require_pinned(address: str) -> None:
    """Raise UsageError unless an address names a commit of a git repository, with all of its digits."""
    if not _PINNED.fullmatch(address):
        raise UsageError(
            f"the workflow cannot install groundbench from {address or 'an address that is not given'}",
            fix="name a commit of a git repository of groundbench: --install git+https://HOST/OWNER/NAME@COMMIT, where "
            "COMMIT is what `git rev-parse HEAD` prints in a clone (40 hexadecimal digits)",
        )


def _git(repository: Path, *arguments: str, **environment: str) -> str:
    command = ["git", "-C", str(repository.resolve()), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    except OSError as error:
        raise PrerequisiteError("publishing to a branch needs git", fix="install git, or use --folder") from error
    except subprocess.CalledProcessError as error:
        raise PrerequisiteError(
            f"git refused in {repository}: {error.stderr.strip() or error}", fix="give --repo a git repository"
        ) from error
    return answer.stdout.strip()
