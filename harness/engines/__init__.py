"""Ways to run an image: each module one engine, behind one small interface."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from harness.errors import PrerequisiteError, UsageError

if TYPE_CHECKING:
    from harness.engines.base import Engine
    from harness.engines.sealed import SealedEngine

#: The engines that can be requested by name; ``auto`` chooses among them.
ENGINES = ("docker", "podman", "apptainer", "local")


def choose_engine(name: str, *, trusted: bool) -> Engine:
    """Return the engine named `name`; ``auto`` is what answers in Docker's place, or ``local`` without any engine.

    Parameters
    ----------
    name
        One of `ENGINES`, or ``auto``; after a colon a runtime of its daemon, as in ``docker:runsc``.
    trusted
        Whether the model's code comes with groundbench: only such code runs without isolation unless ``local`` is
        requested by name.

    Raises
    ------
    PrerequisiteError
        When the engine does not answer or is not installed; or none is, and the code is a stranger's.
    UsageError
        When another engine answers in the place of the requested one, or it has no such runtime.
    """
    name, _, runtime = name.partition(":")
    if runtime and name in {"apptainer", "local"}:
        raise UsageError(f"the engine {name} has no runtimes", fix="leave --runtime out, or use --engine docker")
    match name:  # each loads what it needs, which for Docker's is much
        case "docker":
            from harness.engines.docker import DockerEngine

            return DockerEngine(runtime=runtime)
        case "podman":
            from harness.engines.podman import PodmanEngine

            return PodmanEngine(runtime=runtime)
        case "apptainer":
            from harness.engines.apptainer import ApptainerEngine

            return ApptainerEngine()
    from harness.engines.local import LocalEngine

    if name == "local":
        return LocalEngine()
    from harness.engines.daemon import engine_trace

    if engine_trace():
        return answering_engine(runtime)
    if runtime:
        raise PrerequisiteError("no container engine is installed here, so it has no runtimes", fix="install Docker")
    if not trusted:
        raise PrerequisiteError(
            "no container engine is installed here, and this plugin does not come with groundbench: its code would run "
            "on this machine with your rights",
            fix="install Docker; --engine apptainer where that is installed; or, for code that you trust, say so with "
            "--engine local",
            lacking="engine",
        )
    return LocalEngine()


def answering_engine(runtime: str = "") -> SealedEngine:
    """Return the engine whose daemon answers where the environment names one: Docker, or Podman in its place.

    Raises
    ------
    PrerequisiteError
        When none answers.
    """
    from harness.engines.daemon import connect, daemon_address
    from harness.engines.docker import DockerEngine
    from harness.engines.podman import PodmanEngine
    from harness.engines.seccomp import is_podman

    address = daemon_address()
    with contextlib.closing(connect(address)) as client:
        podman = is_podman(client.version())
    return PodmanEngine(address, runtime=runtime) if podman else DockerEngine(address, runtime=runtime)
