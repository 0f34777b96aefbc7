"""``bench leaderboard``: turn the results database into a site, look at it, check it, publish it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from harness.cli.settings import print_json, size_cuts_option
from harness.errors import UnknownName, UsageError
from leaderboard.commands.figure import figure


@click.group(no_args_is_help=True)
def leaderboard() -> None:
    """Turn the results database into a static site."""


leaderboard.add_command(figure)

site_argument = click.argument("site", type=click.Path(path_type=Path, file_okay=False), required=False)


@leaderboard.command()
@click.option("--db", type=click.Path(path_type=Path), help="Results database; by default the one of the home.")
@click.option(
    "--submissions",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Text folders, as `bench submit` writes them, in place of a database.",
)
@click.option(
    "--signers",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="With --submissions: keys of the organisers (as ssh-keygen's allowed_signers) who may raise a row's level.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the site: new, empty, or made by this command before.",
)
@click.option(
    "--visibility",
    type=click.Choice(["private", "public"]),
    default="private",
    show_default=True,
    help="Who will see it. For the public, only sums over at least five findings leave a split that is not named with "
    "--public-split.",
)
@click.option(
    "--public-split", "public_splits", multiple=True, metavar="SPLIT", help="Cases of this split may be shown publicly."
)
@click.option(
    "--cases",
    type=click.Choice(["none", "public"]),
    default="none",
    show_default=True,
    help="Pictures of the cases that may be shown; they need the data sets and the masks of the runs.",
)
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    help="A data set, by path or name: its pictures for --cases, and its terms of today. May be repeated.",
)
@click.option(
    "--runs", type=click.Path(path_type=Path), help="Folder of the runs and their masks; by default HOME/runs."
)
@size_cuts_option
@click.option(
    "--statements",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Statements of your own (TOML), tested on the rows beside the paper's.",
)
@click.option(
    "--board",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="What you say on the board (TOML): title, text, contact, rules, logo, order of the data sets.",
)
@click.option("--figures/--no-figures", default=True, help="Draw figures and write Parquet files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def build(
    ctx: click.Context,
    db: Path | None,
    submissions: Path | None,
    signers: Path | None,
    out: Path,
    *,
    visibility: str,
    public_splits: tuple[str, ...],
    cases: str,
    datasets: tuple[str, ...],
    runs: Path | None,
    size_cuts: tuple[float, float] | None,
    statements: Path | None,
    board: Path | None,
    figures: bool,
    as_json: bool,
) -> None:
    """Write the leaderboard as a folder of pages that needs no server.

    The same database gives the same bytes, and so do the same text folders, in whatever order they came. Rows are held
    against their records, and metrics against findings: what does not follow from them is shown without its numbers.

    Example: bench leaderboard build --out site/ --visibility public --public-split val
    """
    from harness.dataset import find_dataset, open_dataset
    from harness.dataset.fingerprint import fingerprint_of
    from harness.runs.judged import require_sound_runs
    from harness.runs.removal import CACHE
    from harness.scoring.sizes import SizeCuts
    from harness.store.database import Store
    from leaderboard.board.organiser import Organiser, read_organiser
    from leaderboard.published.privacy import PrivacyPolicy
    from leaderboard.published.statements import read_own_statements, read_statements
    from leaderboard.site.build import Options, build_site
    from leaderboard.site.derived import derived_store

    home = ctx.obj.home
    if submissions is not None and db is not None:
        raise UsageError("--db and --submissions are two sources", fix="give one of them")
    if signers is not None and submissions is None:
        raise UsageError("--signers is of text folders", fix="give --submissions, or leave it out")
    if cases == "public" and not datasets:
        raise UsageError("--cases public needs the data", fix="name the data sets with --dataset")
    if public_splits and visibility == "private":
        raise UsageError("--public-split needs --visibility public", fix="a private site shows every split")
    own = () if statements is None else read_own_statements(statements, [one.id for one in read_statements()])
    organiser, logo = (Organiser(), {}) if board is None else read_organiser(board)
    opened = [open_dataset(find_dataset(name, home), cache=home / "datasets") for name in datasets]
    log = partial(click.echo, err=True)
    source = (
        Store(db or ctx.obj.database, readonly=True, home=home)
        if submissions is None
        else derived_store(submissions, signers, log)
    )
    with source as store:
        rows = store.runs()
        require_sound_runs(rows, home)
        used = {run.split for run in rows}  # the volumes of no other split are read
        _require_known(public_splits, used.union(*(data.splits for data in opened)), log if submissions else None)
        terms = {fingerprint_of(data, split): data.terms for data in opened for split in used & data.splits.keys()}
        policy = PrivacyPolicy(public=visibility == "public", open_splits=frozenset(public_splits), terms=terms)
        options = Options(
            policy=policy,
            figures=figures,
            datasets=tuple(opened) if cases == "public" else (),
            runs=(runs if submissions is None else None) or store.home / "runs",
            statements=own,
            log=log,
            size_cuts=None if size_cuts is None else SizeCuts(*size_cuts, of="fixed"),
            organiser=organiser,
            logo=logo,
            kept=home / CACHE / "board.db" if home.is_dir() else None,
        )
        index = build_site(store, out, options)
    if as_json:
        click.echo(json.dumps({"schema": 1, "index": str(index), "visibility": visibility}))
    else:
        click.echo(f"The leaderboard is at {index}")


def _require_known(public: tuple[str, ...], known: set[str], log: Callable[[str], None] | None) -> None:
    """Refuse a public split that no row has: misspelt, it would stay closed. A repository may be ahead of its rows."""
    for split in public:
        if known and split not in known:
            if log is None:
                raise UnknownName("split", split, known)
            log(f"warning: no row is of the split {split!r}, which is to be public")


@leaderboard.command()
@site_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free one.")
@click.pass_context
def serve(ctx: click.Context, site: Path | None, host: str, port: int) -> None:
    """Show a site in a browser, until interrupted; by default HOME/site.

    A site needs no server: opening its index.html does as well.
    """
    from leaderboard.site.serve import make_server

    with make_server(site or ctx.obj.home / "site", host, port) as server:
        bound, number = server.server_address[:2]
        click.echo(f"http://{bound if isinstance(bound, str) else bound.decode()}:{number}/ (Ctrl-C stops it)")
        server.serve_forever()


@leaderboard.command()
@site_argument
@click.option(
    "--repo",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Git repository that hosts the site: it must be for the public, and no other database committed beside it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def check(ctx: click.Context, site: Path | None, *, repo: Path | None, as_json: bool) -> None:
    """Check a site before it is published: links, outside addresses, numbers, weights, checksums, foreign files.

    A site for the public is also searched for cases of closed splits, and for texts and pictures that the terms of
    their data set do not allow.

    Example: bench leaderboard check site/ --repo ./
    """
    from harness.errors import DataError
    from leaderboard.site.check import check_repository, check_site

    folder = site or ctx.obj.home / "site"
    of_site = check_site(folder)
    problems = of_site + ([] if repo is None else check_repository(repo, folder))
    if as_json:
        found = [{"where": problem.where, "what": problem.what} for problem in problems]
        print_json({"schema": 1, "site": str(folder), "problems": found})
    else:
        for problem in problems:
            click.echo(f"{problem.where}: {problem.what}")
    if problems:
        if not of_site:
            raise DataError(
                f"{repo} may not host the site as it is",
                fix="remove what is named from the repository and from its history, before anything of it is pushed; "
                "build a site for the public with --visibility public",
            )
        raise DataError(f"{folder} has {len(problems)} problems", fix="build it again: `bench leaderboard build`")
    if not as_json:
        click.echo(f"{folder} is in order")


@leaderboard.command()
@site_argument
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Copy it to this folder: new, empty, or published before."
)
@click.option("--zip", "archive", type=click.Path(path_type=Path, dir_okay=False), help="Write it as this archive.")
@click.option("--branch", help="Commit it to this branch of --repo, e.g. gh-pages; nothing is pushed.")
@click.option(
    "--repo",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Git repository of --branch; by default the current folder.",
)
@click.option(
    "--workflow",
    type=click.Path(path_type=Path),
    help="Write a workflow that checks and hosts the site in a repository's folder `site`.",
)
@click.option(
    "--install",
    "address",
    default="",
    metavar="git+https://HOST/OWNER/NAME@COMMIT",
    help="Where the workflow of --workflow installs groundbench from: a commit of a git repository.",
)
@click.option("--allow-private", is_flag=True, help="Publish a site that was built for private eyes.")
@click.pass_context
def publish(
    ctx: click.Context,
    site: Path | None,
    *,
    folder: Path | None,
    archive: Path | None,
    branch: str | None,
    repo: Path,
    workflow: Path | None,
    address: str,
    allow_private: bool,
) -> None:
    """Put a site where it can be hosted: a folder, an archive, a branch of a repository.

    Example: bench leaderboard publish site/ --branch gh-pages --repo ../board
    """
    from leaderboard.site import publish as ways

    if not any((folder, archive, branch, workflow)):
        raise UsageError("nowhere to publish to", fix="give --folder, --zip, --branch or --workflow")
    if workflow is not None:
        click.echo(f"The workflow is at {ways.write_workflow(workflow, address)}")
    if not any((folder, archive, branch)):
        return
    files = ways.read_site(site or ctx.obj.home / "site", allow_private=allow_private)
    if folder is not None:
        click.echo(f"The site is at {ways.to_folder(files, folder)}")
    if archive is not None:
        click.echo(f"The archive is at {ways.to_archive(files, archive)}")
    if branch is not None:
        commit = ways.to_branch(files, repo, branch)
        click.echo(f"Branch {branch} of {repo} is at {commit}; publish it with: git -C {repo} push origin {branch}")


@leaderboard.command("init-repo")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--install",
    "address",
    required=True,
    metavar="git+https://HOST/OWNER/NAME@COMMIT",
    help="Where its workflows install groundbench from: a commit of a git repository.",
)
@click.option("--owner", "owners", multiple=True, required=True, metavar="@NAME", help="Who merges. May be repeated.")
@click.option("--title", default="Results", show_default=True, help="Name of the board.")
@click.option(
    "--public-split", "public_splits", multiple=True, metavar="SPLIT", help="Cases of this split may be shown publicly."
)
def init_repo(
    folder: Path, *, address: str, owners: tuple[str, ...], title: str, public_splits: tuple[str, ...]
) -> None:
    """Write a repository of results: README, owners, template and three workflows. Nothing is overwritten.

    A pull request adds text folders and nothing else. One workflow computes them again, without secrets and without
    running anything of the pull request; one shows the report; one builds and hosts the board from main.
    """
    from leaderboard.repository.template import write_repository

    for path in write_repository(folder, title=title, address=address, owners=owners, public_splits=public_splits):
        click.echo(f"wrote {path}")
    click.echo(f"next: add the organisers' keys to {folder / 'signers'}, then")
    begin = "" if (folder / ".git").exists() else f"git -C {folder} init -b main && "
    click.echo(f"      {begin}git -C {folder} add . && git -C {folder} commit -m 'Begin'")
