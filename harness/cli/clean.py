"""``bench clean``: removes containers, folders and images that groundbench made and no longer needs, by label only."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from harness.cli.settings import Settings, json_option, pass_settings, print_json
from harness.errors import PrerequisiteError, UsageError
from harness.images.own import OwnImages

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

    Of images those that this home has built or imported, by its own list: whatever was built from them, or carries
    another tag, stays and is named. Also unfinished downloads and files that are more than a day old. Lists them and
    asks before removing anything, and says what could not be looked at: of a run on another host or in another PID
    namespace nothing is removed until it has not shown a sign of life for ten minutes.
    Results, masks, logs, checkpoints and the state of trainings, weights, sources and data sets are never touched.
    """
    found, unseen, left, image_bytes = _look(settings.home, images=images)
    anything = any(found.values())
    asks = anything and not dry_run and not yes
    if not as_json or asks:  # nobody is asked about what was not shown
        _show(found, image_bytes, err=as_json)
        for line in unseen:
            click.echo(f"not looked at: {line}", err=True)
        for tag in left:
            click.echo(
                f"left: {tag} (not built by this home; if you need it no more: `docker image rm {tag}`)", err=True
            )
    if asks:
        try:
            click.confirm("remove all of this?", abort=True, err=True)
        except click.Abort as error:
            if sys.stdin.isatty():
                raise
            raise UsageError("nothing was removed: clean asks first", fix="answer y, or add --yes") from error
    failed = _remove(settings.home, found) if anything and not dry_run else {}
    if as_json:
        gone = {kind: [name for name in names if name not in failed] for kind, names in found.items()}
        removed = anything and not dry_run
        print_json({"schema": 1, "removed": removed, **gone, "left": left, "not_looked_at": unseen})
    for name, why in failed.items():
        click.echo(f"not removed: {name}: {why}", err=True)


def _look(home: Path, *, images: bool) -> tuple[dict[str, list[str]], list[str], list[str], int]:
    """Return what can go, by kind; what could not be looked at, and why; images that stay; bytes of those that go."""
    from harness.engines import answering_engine

    unseen, containers = [], []
    marked: list[tuple[str, str, int]] = []
    made = OwnImages(home / "images").made()
    try:
        engine = answering_engine()
        for stray in engine.strays():
            if stray.kept:
                unseen.append(f"the owner of container {stray.name}: {stray.kept}")
            else:
                containers.append(stray.name)
        marked = engine.images() if images else []
    except PrerequisiteError as error:
        unseen.append(f"containers{' and images' if images else ''}: {error.message}")
    folders = [str(path) for path in _scratch(home, unseen)]
    found = {
        "containers": containers,
        "images": [tag for tag, one, _ in marked if (tag, one) in made],
        "folders": folders,
    }
    left = [tag for tag, one, _ in marked if (tag, one) not in made]
    return found, unseen, left, sum(taken for tag, one, taken in marked if (tag, one) in made)


def _remove(home: Path, found: dict[str, list[str]]) -> dict[str, str]:
    """Remove what was found and still has no owner; return what stayed, with the reason."""
    from harness.engines import answering_engine
    from harness.sandbox.folder import remove_tree

    failed: dict[str, str] = {}
    if found["containers"] or found["images"]:
        engine = answering_engine()
        failed |= engine.remove_strays(found["containers"])
        made = OwnImages(home / "images").made()
        for tag in found["images"]:
            # Of the ids that it has had here, the one that it has now.
            reasons = [engine.remove_image(tag, one) for name, one in made if name == tag]
            if "" not in reasons:
                failed[tag] = reasons[0]
    still = {str(path) for path in _scratch(home, [])}  # a run may have begun while we asked
    for folder in found["folders"]:
        if folder not in still:
            failed[folder] = "it is in use by now"
            continue
        try:
            remove_tree(Path(folder))  # written by a container: may be deep, full and without permissions
        except OSError as error:
            failed[folder] = error.strerror or str(error)
    return failed


def _show(found: dict[str, list[str]], image_bytes: int, *, err: bool) -> None:
    from harness.cli.tables import size

    for kind, names in found.items():
        for name in names:
            click.echo(f"{kind[:-1]}  {name}", err=err)
    if image_bytes:
        click.echo(f"the images take up to {size(image_bytes)}; they may share layers", err=err)
    if not any(found.values()):
        click.echo("nothing to remove", err=err)


def _scratch(home: Path, unseen: list[str]) -> list[Path]:
    """Return the scratch folders of runs that no process holds, and abandoned downloads and files.

    A folder about whose run nothing is known is added to `unseen`, with the reason.
    """
    from harness.runs.lock import is_held

    found = []
    for folder in sorted((home / "runs").glob("*/shards/*")):
        held = is_held(folder.parents[1])
        if held is None:
            unseen.append(f"{folder}: its lock cannot be read")
        elif not held:
            found.append(folder)
    begun = [path for name in ("sources", "weights", "wheels", "images") for path in (home / name).glob(".partial-*")]
    begun += (home / "datasets").glob(".*.partial")
    return [*found, *sorted(path for path in begun if _abandoned(path))]


def _abandoned(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_S
    except FileNotFoundError:  # finished just now
        return False
