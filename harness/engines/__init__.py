"""Ways to run an image: each module one engine, behind one small interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import PrerequisiteError

if TYPE_CHECKING:
    from harness.engines.base import Engine


def choose_engine(name: str, *, trusted: bool) -> Engine:
    """Return the engine named `name`; ``auto`` is Docker, and ``local`` only where no container engine is installed.

    Parameters
    ----------
    name
        ``docker``, ``local`` or ``auto``.
    trusted
        Whether the model's code comes with groundbench: only such code runs without isolation unless ``local`` is
        requested by name.

    Raises
    ------
    PrerequisiteError
        When the daemon does not answer; or no engine is installed and the code is a stranger's.
    """
    from harness.engines.daemon import engine_trace
    from harness.engines.docker import DockerEngine
    from harness.engines.local import LocalEngine

    if name == "local":
        return LocalEngine()
    if name == "docker" or engine_trace():
        return DockerEngine()
    if not trusted:
        raise PrerequisiteError(
            "no container engine is installed here, and this plugin does not come with groundbench: its code would run "
            "on this machine with your rights",
            fix="install Docker; or, for code that you trust, say so with --engine local",
            lacking="engine",
        )
    return LocalEngine()
