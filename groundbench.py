"""The command ``bench``, and the one importable name of groundbench's own beside its SDK's.

The packages of this repository have plain names (``harness``, ``plugins``, ...) that other people's packages may have
too. A wheel holds them in the folder ``groundbench_rooms``, where no other wheel writes: its ``groundbench.pth`` adds
that folder to the end of Python's path, so that nobody's packages are hidden, and the command puts it at the beginning,
so that ours are not hidden from it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_HERE = Path(__file__).resolve().parent
_INSTALLED = _HERE / "groundbench_rooms"

#: The folder that holds the packages: that of an installed wheel, or the repository's.
ROOMS = _INSTALLED if _INSTALLED.is_dir() else _HERE


def import_ours_first() -> None:
    """Put our packages before others of their names, for this process and its workers."""
    sys.path[:0] = [str(ROOMS), str(ROOMS / "containers" / "sdk")]


def main() -> None:
    """Run ``bench``."""
    import_ours_first()
    from harness.cli import main as bench

    bench()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that checks a plugin as a part of its own tests."""
    group = parser.getgroup("groundbench")
    group.addoption(
        "--groundbench",
        action="append",
        default=[],
        metavar="FOLDER",
        help="Also check the groundbench plugin in this folder, as `bench plugin check` does; may be repeated.",
    )
    group.addoption(
        "--groundbench-engine", default="auto", metavar="ENGINE", help="What runs it: auto, docker, apptainer or local."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load what checks plugins, when a test run is asked for it."""
    if config.getoption("--groundbench"):
        import_ours_first()
        from harness.authoring import as_tests

        config.pluginmanager.register(as_tests, "groundbench-check")


if __name__ == "__main__":
    main()
