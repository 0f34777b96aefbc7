"""``bench weights``: released weights, fetched ahead of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.lazy import LazyGroup
from harness.cli.settings import Settings, json_option, pass_settings, plugin_dir_option, print_json
from harness.cli.stored import declared, fetch_all, log, plugin_option, verify_all
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.upstream.weights import WeightsStore

weights = LazyGroup(
    name="weights",
    help="Fetch, add, list and verify the weights that plugins declare; export trained ones.",
    no_args_is_help=True,
    lazy={
        "fetch": ("harness.cli.weights:fetch", "Download the declared files from the model hub."),
        "add": ("harness.cli.weights:add", "Add a local file."),
        "list": ("harness.cli.weights:list_weights", "List the declared weights and whether they are present."),
        "export": ("harness.cli.weights_export:export", "Copy the checkpoint of a run, where it may be shared."),
        "pin": ("harness.cli.weights_pin:pin", "Print the digests that the hub states, as a patch of declarations."),
        "verify": ("harness.cli.weights:verify", "Read the stored weights again and compare their digests."),
    },
)


def _store(settings: Settings) -> WeightsStore:
    from harness.upstream.weights import WeightsStore

    return WeightsStore(settings.home / "weights")


@click.command()
@plugin_option
@click.option("--name", help="Only the file of this name.")
@plugin_dir_option
@pass_settings
def fetch(settings: Settings, /, plugin: str | None, name: str | None, plugin_dirs: tuple[Path, ...]) -> None:
    """Download the declared files from the model hub; files that are already present are skipped.

    An interrupted download resumes, and a file that cannot be had does not stop the others. HF_TOKEN, or
    the log-in of `hf auth login`, opens gated repositories whose terms you accepted; HF_ENDPOINT names
    another hub.
    """
    from harness.upstream.hub import fetch as download

    found = declared(lambda model: model.weights, plugin_dirs, plugin, name)
    if not found:
        log(f"nothing to fetch: {plugin or 'every plugin'} does without released weights")
    store = _store(settings)
    fetch_all(found, lambda file: click.echo(download(file, store, log)))


@click.command()
@click.option(
    "--from", "path", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The file."
)
@plugin_option
@click.option("--name", help="Name of the declared weights that the file is; needed only where they are not pinned.")
@plugin_dir_option
@pass_settings
def add(settings: Settings, /, path: Path, plugin: str | None, name: str | None, plugin_dirs: tuple[Path, ...]) -> None:
    """Add a local file: it is identified by its SHA-256 and copied into the home.

    Example: bench weights add --from ~/Downloads/sam2.1_hiera_tiny.pt
    """
    candidates = list(declared(lambda model: model.weights, plugin_dirs, plugin, name))
    if not candidates:
        raise UsageError("no weights are declared", fix="see `bench weights list`")
    _store(settings).add(candidates, path, log, named=name is not None)


@click.command("list")
@plugin_option
@plugin_dir_option
@json_option
@pass_settings
def list_weights(settings: Settings, /, plugin: str | None, plugin_dirs: tuple[Path, ...], *, as_json: bool) -> None:
    """List the declared weights and whether they are present."""
    store = _store(settings)
    rows: list[dict[str, Any]] = []
    for file, plugins in declared(lambda model: model.weights, plugin_dirs, plugin).items():
        path, received = store.find(file), store.received(file)
        rows.append(
            {
                "name": file.name,
                "plugins": plugins,
                "here": path is not None,
                "size": path.stat().st_size if path else file.size,
                "pinned": file.pinned,
                "hub": received.hub if received else "",
                "sha256": file.sha256 or (received.sha256 if received else ""),
                "repo": file.repo,
                "repo_type": file.repo_type,
                "file": file.file,
                "url": file.url,
                "revision": file.revision or (received.revision if received else ""),
                "licence": file.licence,
                "note": file.note,
                "commercial": file.commercial,
                "gated": file.gated,
                "origin": file.origin,
            }
        )
    if as_json:
        print_json({"schema": 1, "weights": rows})
        return
    from harness.cli.tables import print_table, size

    print_table(
        ["weights", "plugins", "here", "size", "SHA-256", "licence", "from"],
        [
            [
                file["name"],
                ", ".join(file["plugins"]),
                "yes" if file["here"] else "no",
                size(file["size"] or None),
                (file["sha256"][:12] or "—") + _pinned_by(file),
                file["licence"] + (" (gated)" if file["gated"] else ""),
                file["origin"],
            ]
            for file in rows
        ],
        right=(3,),
    )


def _pinned_by(file: dict[str, Any]) -> str:
    from harness.upstream.weights import PUBLIC_HUB

    if file["pinned"]:
        return ""
    return f" (the hub's, at {file['revision'][:12]})" if file["hub"] == PUBLIC_HUB else " (not pinned)"


@click.command()
@plugin_option
@plugin_dir_option
@json_option
@pass_settings
def verify(settings: Settings, /, plugin: str | None, plugin_dirs: tuple[Path, ...], *, as_json: bool) -> None:
    """Read every byte of the stored weights again and compare their digests.

    Exits with 3 when some are missing, with 4 when some were changed.
    """
    store = _store(settings)
    found = declared(lambda model: model.weights, plugin_dirs, plugin)
    verify_all(found, lambda file: store.check(file, again=True), as_json=as_json)
