"""Ways to run an image: each module one engine, behind one small interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import PrerequisiteError

if TYPE_CHECKING:
    from harness.engines.base import Engine


def choose_engine(name: str) -> Engine:
    """Return the engine named `name`; ``auto`` is Docker where a daemon answers and ``local`` otherwise.

    Raises
    ------
    PrerequisiteError
        When ``docker`` is requested and no daemon answers.
    """
    from harness.engines.docker import DockerEngine
    from harness.engines.local import LocalEngine

    if name == "local":
        return LocalEngine()
    try:
        return DockerEngine()
    except PrerequisiteError:
        if name == "docker":
            raise
        return LocalEngine()
