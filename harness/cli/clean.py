"""``bench clean``: removes containers, folders and images that groundbench made and no longer needs, by label only."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import click

from harness.cli.settings import Settings, json_option, pass_settings
from harness.errors import PrerequisiteError

#: Seconds after which an unfinished download or build counts as abandoned.
_ABANDONED_S = 24 * 3600


@click.command()
@click.option("--images", is_flag=True, help="Also the images of plugins; the next run builds them again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@json_option
@pass_settings
def clean(settings: Settings, /, *, images: bool, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Remove containers of runs that died, their scratch folders and, with --images, the images built here.

    Also unfinished downloads and files that are more than a day old. Lists them and asks before removing anything.
    Results, masks, logs, checkpoints and the state of trainings, weights, sources and data sets are never touched.
    """
    from harness.engines.docker import DockerEngine
    from harness.sandbox.folder import remove_tree

    try:
        engine = DockerEngine()
    except PrerequisiteError:
        engine = None
    built = engine.images() if engine and images else []
    found = {
        "containers": [str(container.name) for container in engine.strays()] if engine else [],
        "images": [tag for tag, _ in built],
        "folders": [str(path) for path in _scratch(settings.home)],
    }
    anything = any(found.values())
    if as_json:
        click.echo(json.dumps({"schema": 1, "removed": anything and not dry_run, **found}, indent=2))
    else:
        _show(found, sum(taken for _, taken in built))
    if dry_run or not anything:
        return
    if not yes and not as_json:
        click.confirm("remove all of this?", abort=True, err=True)
    if engine:
        engine.reap()
        for tag in found["images"]:
            engine.remove_image(tag)
    still = {str(path) for path in _scratch(settings.home)}  # a run may have begun while we asked
    for folder in found["folders"]:
        with contextlib.suppress(OSError):
            if folder in still:
                remove_tree(Path(folder))  # written by a container: may be deep, full and without permissions


def _show(found: dict[str, list[str]], image_bytes: int) -> None:
    from harness.cli.tables import size

    for kind, names in found.items():
        for name in names:
            click.echo(f"{kind[:-1]}  {name}")
    if image_bytes:
        click.echo(f"the images take up to {size(image_bytes)}; they may share layers")
    if not any(found.values()):
        click.echo("nothing to remove")


def _scratch(home: Path) -> list[Path]:
    """Return the scratch folders of runs that no process holds, and abandoned downloads and files."""
    import fcntl

    found = []
    for folder in sorted((home / "runs").glob("*/shards/*")):
        lock = folder.parents[1] / "lock"
        if lock.is_file():
            with lock.open("rb") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
        found.append(folder)
    begun = [path for name in ("sources", "weights", "wheels") for path in (home / name).glob(".partial-*")]
    begun += (home / "datasets").glob(".*.partial")
    return [*found, *sorted(path for path in begun if _abandoned(path))]


def _abandoned(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_S
    except FileNotFoundError:  # finished just now
        return False
