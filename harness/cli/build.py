"""``bench build``: the images of models, ahead of a run."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.settings import Settings, find_plugins, json_option, pass_settings, plugin_dir_option, print_json
from harness.cli.stored import log, say_what_is_asked
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.images.torch import TorchBuild

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.option("--plugin", "plugins", required=True, metavar="NAME[,NAME]", help="Models to build; see `bench list`.")
@click.option(
    "--device",
    type=click.Choice(["cuda", "cpu"]),
    default="cuda",
    show_default=True,
    help="cpu changes only the build of torch, for runs without GPUs; the CUDA build runs on a CPU too.",
)
@click.option("--wheels", type=_FOLDER, help="With --device cpu: folder with a CPU wheel of torch.")
@click.option("--torch-index", metavar="URL", help="With --device cpu: package index that has CPU builds of torch.")
@plugin_dir_option
@json_option
@pass_settings
def build(
    settings: Settings,
    /,
    plugins: str,
    device: str,
    wheels: Path | None,
    *,
    torch_index: str | None,
    plugin_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Build the images of models ahead of a run, and choose the build of torch for runs without GPUs.

    `bench run` builds missing images by itself. Sources must have been fetched: see `bench sources`.

    Example: bench build --plugin tiny --device cpu --wheels ./wheels
    """
    from harness.engines import answering_engine
    from harness.images.rights import redistribution
    from harness.images.torch import choose

    registry = find_plugins(plugin_dirs)
    chosen = [registry.get(name.strip()) for name in plugins.split(",") if name.strip()]
    if not chosen:
        raise UsageError("--plugin is empty", fix="see `bench list`")
    say_what_is_asked(plugin.model for plugin in chosen)
    torch = _torch(settings.home, device, wheels, torch_index)
    engine = answering_engine()
    rows: list[dict[str, Any]] = []
    for plugin in chosen:
        began = time.monotonic()
        with choose(plugin, torch, settings.home):
            image = engine.prepare(plugin, home=settings.home, gpus=device == "cuda", log=log)
        rows.append(
            {
                "plugin": plugin.name,
                "tag": image.tag,
                "id": image.id,
                "bytes": image.size,
                "torch": image.device,
                "redistribution": str(redistribution(plugin.model, cuda=image.device == "cuda")[0]),
                "seconds": round(time.monotonic() - began, 1),
            }
        )
    if as_json:
        print_json({"schema": 1, "images": rows})
        return
    from harness.cli.tables import print_table, seconds, size

    print_table(
        ["plugin", "image", "size", "torch", "may be passed on", "took"],
        [
            [r["plugin"], r["tag"], size(r["bytes"]), r["torch"] or "—", r["redistribution"], seconds(r["seconds"])]
            for r in rows
        ],
        right=(2, 5),
    )


def _torch(home: Path, device: str, wheels: Path | None, index: str | None) -> TorchBuild:
    from harness.images.torch import cpu_build, cpu_requirements, cuda_build, download_wheels

    if device == "cuda":
        if wheels or index:
            raise UsageError("--wheels and --torch-index need --device cpu", fix="add it; the CUDA build is locked")
        return cuda_build()
    if (wheels is None) == (index is None):
        raise UsageError(
            "--device cpu needs a CPU build of torch, from one place",
            fix="give --wheels FOLDER or --torch-index URL; or leave --device out: the CUDA build runs on a CPU too",
        )
    if wheels is not None:
        return cpu_build(wheels, home)
    assert index is not None  # noqa: S101 - one of both, by the check above
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=_made(home / "wheels")) as folder:
        download_wheels(index, cpu_requirements(), Path(folder))
        return cpu_build(Path(folder), home)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
