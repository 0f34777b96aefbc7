"""``bench images``: images as files, from the machine that builds them to those that run them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.lazy import LazyGroup
from harness.cli.settings import Settings, find_plugins, json_option, pass_settings, plugin_dir_option, print_json
from harness.cli.stored import log
from harness.errors import DataError, PrerequisiteError, UsageError
from harness.status import Answer

if TYPE_CHECKING:
    from harness.registry.discovery import Plugin

images = LazyGroup(
    name="images",
    help="Export images to files, import them on machines that do not build, and compare two builds.",
    no_args_is_help=True,
    lazy={
        "export": ("harness.cli.images:export", "Write the images of models as archives, building missing ones."),
        "compare": (
            "harness.cli.images:compare",
            "Compare two exported images, such as two builds of one plugin.",
        ),
        "import": ("harness.cli.images:import_images", "Make exported images available on this machine."),
    },
)

_plugin_option = click.option(
    "--plugin", "plugins", required=True, metavar="NAME[,NAME]", help="The models; see `bench list`."
)


@click.command()
@_plugin_option
@click.option(
    "--device",
    type=click.Choice(["cuda", "cpu"]),
    default="cuda",
    show_default=True,
    help="cpu: the image for runs without GPUs, with the build of torch that `bench build` chose for it.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "docker", "podman"]),
    default="auto",
    show_default=True,
    help="The engine that builds and holds the image.",
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@plugin_dir_option
@json_option
@pass_settings
def export(
    settings: Settings,
    /,
    plugins: str,
    device: str,
    engine: str,
    folder: Path,
    *,
    plugin_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Write the images of models into FOLDER as archives, building those that are missing.

    Each is a tar file with a record beside it: the digest of its configuration, which is the identity of its content
    in every engine, and the digest of what it was built from. An archive that is there already is kept.

    Passing an image on is passing on the code in it. Where somebody's code has no licence, nothing is written.

    Example: bench images export --plugin rules /shared/images
    """
    from harness.engines import choose_engine
    from harness.images.archive import archive_of

    wanted = _chosen(plugins, plugin_dirs)
    for plugin in wanted:
        _require_rights(plugin)
    chosen = choose_engine(engine, trusted=False)
    rows = []
    for plugin in wanted:
        image = chosen.prepare(plugin, home=settings.home, gpus=device == "cuda", log=log)
        record = chosen.export(image, folder)
        rows.append({**_row(record), "archive": str(archive_of(record, folder))})
    _print(rows, "archive", as_json=as_json)


@click.command("import")
@_plugin_option
@click.option(
    "--engine",
    type=click.Choice(["auto", "docker", "podman", "apptainer"]),
    default="auto",
    show_default=True,
    help="The engine that will run the image; apptainer keeps it as a .sif file in the home.",
)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@plugin_dir_option
@json_option
@pass_settings
def import_images(
    settings: Settings,
    /,
    plugins: str,
    engine: str,
    folder: Path,
    *,
    plugin_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Make the images in FOLDER available on this machine; one that it has already is left alone.

    Only images of the models as they are declared here: the code that an archive was built from is compared with
    the code of the plugin. Nothing is built.

    Example: bench images import --plugin rules --engine apptainer /shared/images
    """
    from harness.engines import choose_engine
    from harness.images.archive import records
    from harness.images.build import context_of

    chosen = choose_engine(engine, trusted=False)
    found = records(folder)
    rows = []
    for plugin in _chosen(plugins, plugin_dirs):
        contexts = {context_of(plugin, settings.home, gpus=gpus).digest() for gpus in (True, False)}
        named = [record for record in found if record.plugin == plugin.name]
        fit = {record.context: record for record in reversed(named) if record.context in contexts}  # the newest of each
        if not fit:
            raise DataError(
                f"{folder} does not contain an image of {plugin.name!r} as it is here"
                + (f"; {len(named)} of other code, or with another build of torch" if named else ""),
                fix=f"`bench images export --plugin {plugin.name} {folder}` where the same code is",
                path=folder,
            )
        for record in fit.values():
            image = chosen.take_in(record, folder, settings.home, log)
            rows.append({**_row(record), "image": image.tag or image.id})
    _print(rows, "image", as_json=as_json)


@click.command()
@click.argument("first", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("second", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
def compare(first: Path, second: Path, *, as_json: bool) -> None:
    """Compare two exported images file by file, and say what differs.

    Kind, content, mode and owner of every file, and the settings of the image; times are counted and differ in every
    build. Ends with exit code 4 where anything but times differs.

    Example: bench images compare first/rules-1f0a.tar second/rules-77be.tar
    """
    from harness.images.compare import compare_images

    found = compare_images(first, second)
    if as_json:
        rows = [{"path": one.path, "what": one.what, "reason": one.reason} for one in found.differences]
        print_json({"schema": 1, "paths": found.paths, "differences": rows, "times": found.times})
    else:
        from harness.cli.tables import counted, print_table

        if found.differences:
            rows = [{"path": one.path, "what": one.what, "reason": one.reason or "—"} for one in found.differences]
            print_table(["path", "differs in", "because it is"], [list(row.values()) for row in rows], fold=(2,))
        click.echo(
            f"{counted(found.paths, 'path')}: {counted(len(found.differences), 'difference')}, "
            f"{len([one for one in found.differences if not one.reason])} of them without a known reason; "
            f"{counted(found.times, 'path')} with another time alone"
        )
    if found.differences:
        click.get_current_context().exit(DataError.exit_code)


def _chosen(plugins: str, plugin_dirs: tuple[Path, ...]) -> list[Plugin]:
    registry = find_plugins(plugin_dirs)
    chosen = [registry.get(name.strip()) for name in plugins.split(",") if name.strip()]
    if not chosen:
        raise UsageError("--plugin is empty", fix="see `bench list`")
    return chosen


def _require_rights(plugin: Plugin) -> None:
    """Raise PrerequisiteError where an image of a model may not be passed on, whichever build of torch it holds."""
    from harness.images.rights import redistribution

    answer, reason = redistribution(plugin.model, cuda=False)
    if answer is Answer.NO:
        raise PrerequisiteError(
            f"the image of {plugin.name!r} may not be passed on: {reason}",
            fix=f"build it on each machine that runs it: `bench get --plugin {plugin.name}`, then "
            f"`bench build --plugin {plugin.name}`; or ask its authors for a licence",
        )


def _row(record: Any) -> dict[str, Any]:
    return {
        "plugin": record.plugin,
        "config": record.config,
        "context": record.context,
        "torch": record.device,
        "bytes": record.size,
    }


def _print(rows: list[dict[str, Any]], place: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": 1, "images": rows})
        return
    from harness.cli.tables import print_table, size

    print_table(
        ["plugin", "image", "size", "torch", place],
        [[row["plugin"], row["config"][:19], size(row["bytes"]), row["torch"] or "—", row[place]] for row in rows],
        right=(2,),
    )
