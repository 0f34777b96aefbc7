"""``bench sources``: upstream code at its pinned commits, fetched ahead of a build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.lazy import LazyGroup
from harness.cli.settings import Settings, json_option, pass_settings, plugin_dir_option, print_json
from harness.cli.stored import declared, fetch_all, log, plugin_option, verify_all
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.upstream.sources import SourceStore

sources = LazyGroup(
    name="sources",
    help="Fetch, add, list and verify the upstream code that plugins declare.",
    no_args_is_help=True,
    lazy={
        "fetch": ("harness.cli.sources:fetch", "Fetch the declared commits from their repositories."),
        "add": ("harness.cli.sources:add", "Add commits from a local clone, mirror or archive."),
        "list": ("harness.cli.sources:list_sources", "List the declared sources and whether they are present."),
        "verify": ("harness.cli.sources:verify", "Compare the fetched files with their tree hashes."),
    },
)

_name_option = click.option("--name", help="Only the source of this name.")


def _store(settings: Settings) -> SourceStore:
    from harness.upstream.sources import SourceStore

    return SourceStore(settings.home / "sources")


@click.command()
@plugin_option
@_name_option
@plugin_dir_option
@pass_settings
def fetch(settings: Settings, /, plugin: str | None, name: str | None, plugin_dirs: tuple[Path, ...]) -> None:
    """Fetch the declared commits from their repositories; commits that are already present are skipped.

    A commit that cannot be had does not stop the others.
    """
    from harness.upstream.repositories import Clones

    found = declared(lambda model: model.sources, plugin_dirs, plugin, name)
    if not found:
        log(f"nothing to fetch: {plugin or 'every plugin'} does without upstream sources")
    store = _store(settings)
    with Clones.open(store.root, log) as clones:
        fetch_all(found, lambda source: click.echo(store.fetch(source, log, clones)))


@click.command()
@click.option(
    "--from",
    "path",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="A clone, a bare repository, or an archive (.zip, .tar.gz) of one commit.",
)
@plugin_option
@_name_option
@plugin_dir_option
@pass_settings
def add(settings: Settings, /, path: Path, plugin: str | None, name: str | None, plugin_dirs: tuple[Path, ...]) -> None:
    """Add declared commits from a local clone, mirror or archive, without the network.

    A commit is identified by its id in a repository, and by its tree hash in an archive.

    Example: bench sources add --from ~/mirrors/MedSAM2.git
    """
    candidates = list(declared(lambda model: model.sources, plugin_dirs, plugin, name))
    if not candidates:
        raise UsageError("no source is declared", fix="see `bench sources list`")
    for source in _store(settings).add(candidates, path, log):
        click.echo(_store(settings).folder(source))


@click.command("list")
@plugin_option
@plugin_dir_option
@json_option
@pass_settings
def list_sources(settings: Settings, /, plugin: str | None, plugin_dirs: tuple[Path, ...], *, as_json: bool) -> None:
    """List the declared sources and whether they are present."""
    store = _store(settings)
    rows: list[dict[str, Any]] = [
        {
            "name": source.name,
            "plugins": plugins,
            "here": store.has(source),
            "commit": source.commit,
            "tree": source.tree,
            "licence": source.licence,
            "git": source.git,
            "mirrors": list(source.mirrors),
            "folder": str(store.folder(source)),
        }
        for source, plugins in declared(lambda model: model.sources, plugin_dirs, plugin).items()
    ]
    if as_json:
        print_json({"schema": 1, "sources": rows})
        return
    from harness.cli.tables import print_table

    print_table(
        ["source", "plugins", "here", "commit", "licence", "from"],
        [
            [
                source["name"],
                ", ".join(source["plugins"]),
                "yes" if source["here"] else "no",
                source["commit"][:12],
                source["licence"],
                source["git"],
            ]
            for source in rows
        ],
    )


@click.command()
@plugin_option
@plugin_dir_option
@json_option
@pass_settings
def verify(settings: Settings, /, plugin: str | None, plugin_dirs: tuple[Path, ...], *, as_json: bool) -> None:
    """Compare all fetched files with the tree hashes of their commits.

    Exits with 3 when some are missing, with 4 when some were changed.
    """
    verify_all(declared(lambda model: model.sources, plugin_dirs, plugin), _store(settings).check, as_json=as_json)
