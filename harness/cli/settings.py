"""The settings of every command: the home folder and the files in it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.registry.discovery import Registry
    from harness.store.database import Store


#: The home where none is named.
DEFAULT_HOME = Path(".bench")


@dataclass(frozen=True)
class Settings:
    """Options of ``bench`` itself.

    Attributes
    ----------
    home
        Everything is written below this folder.
    db
        The results database, where it is not in the home.
    """

    home: Path
    db: Path | None = None

    @property
    def database(self) -> Path:
        """The results database."""
        return self.db or self.home / "results.db"

    def make_for_us_alone(self) -> Callable[[], None]:
        """Make the home where it does not exist, such that no other user of this machine can look into it.

        Returns
        -------
        callable
            Removes again what was made, where nothing was written into it.
        """
        made = [folder for folder in (self.home, *self.home.parents) if not os.path.lexists(folder)]
        with contextlib.suppress(OSError):  # it is there, or whoever writes into it says why it cannot be made
            self.home.mkdir(mode=0o700, parents=True)

        def remove_unused() -> None:
            with contextlib.suppress(OSError):  # it is used
                for folder in made:
                    folder.rmdir()

        return remove_unused

    def keep_from_git(self) -> None:
        """Have git ignore the home, which holds scans and texts, where it has its usual name and so is ours alone."""
        ignore = self.home / ".gitignore"
        if self.home.name == DEFAULT_HOME.name and self.home.is_dir() and not ignore.exists():
            with contextlib.suppress(OSError):  # a home that may only be read
                ignore.write_text("*\n", encoding="utf-8")

    def open_store(self, *, readonly: bool = False) -> Store:
        """Open the results database; see :class:`harness.store.database.Store` for the errors.

        With `readonly` it must exist; where it can be written it is first migrated.
        """
        from harness.host.file_systems import shared_file_system
        from harness.store.database import Store

        writable = os.access(self.database, os.W_OK) and os.access(self.database.parent, os.W_OK)
        if readonly and writable and not shared_file_system(self.database):
            Store(self.database).close()
        return Store(self.database, readonly=readonly, home=self.home)


pass_settings = click.make_pass_decorator(Settings)

plugin_dir_option = click.option(
    "--plugin-dir",
    "plugin_dirs",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    envvar="BENCH_PLUGIN_DIR",
    help="A plugin's folder, or a folder of plugins, in addition to the installed ones. May be repeated.",
)


def find_plugins(plugin_dirs: tuple[Path, ...]) -> Registry:
    """Find every plugin, and say where one in a named folder takes the place of an installed one."""
    from harness.registry.discovery import discover

    registry = discover(tuple(path.expanduser() for path in plugin_dirs))
    for note in registry.notes:
        click.echo(f"note: {note}", err=True)
    return registry


def print_json(document: object) -> None:
    """Print a document for programs, readable in any locale; what commands a terminal or hides text is escaped."""
    utf8 = "utf" in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    text = json.dumps(document, indent=2, ensure_ascii=not utf8)
    if not text.replace("\n", "").isprintable():
        text = "".join(c if c == "\n" or c.isprintable() else json.dumps(c)[1:-1] for c in text)
    click.echo(text)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of a table.")


def _cut_offs(_: click.Context, __: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter("give millimetres with commas between them, such as 3,6,10,20") from error
    if not all(low < high for low, high in pairwise((0.0, *found))) or not all(map(math.isfinite, found)):
        raise click.BadParameter("give lengths above 0 in ascending order, such as 3,6,10,20")
    return found


def _size_cuts(_: click.Context, __: click.Parameter, value: str | None) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        small, medium = (float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(
            "give two percentages of the scan with a comma between them, such as 0.02,0.2"
        ) from error
    if not 0 < small < medium < 100:
        raise click.BadParameter("give two percentages between 0 and 100, the smaller one first, such as 0.02,0.2")
    return small / 100, medium / 100


#: ``--size-cuts``: where findings are divided by size.
size_cuts_option = click.option(
    "--size-cuts",
    metavar="PERCENT,PERCENT",
    callback=_size_cuts,
    help="Largest share of the scan, in per cent, that is small, and that is medium. By default the 50th and 75th "
    "percentile of all findings of the split.",
)


#: ``--cut-offs``: where detection by size is divided.
cut_offs_option = click.option(
    "--cut-offs",
    metavar="MM,...",
    default="3,6,10,20",
    show_default=True,
    callback=_cut_offs,
    help="Diameters in mm between which detection is counted.",
)
