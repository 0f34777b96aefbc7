"""The Podman engine, through its socket: what it does otherwise than Docker, and what it cannot do.

It takes no ``nr_inodes`` for temporary file systems (their files count as the container's memory); its own limits of
processes may be more than its service may set; it does not tell when the kernel ended a process for memory; it ignores
requests for GPUs before version 5.4, and takes them by their names in the Container Device Interface since.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from docker.types import DeviceRequest, Ulimit

from harness.engines.base import ContainerSpec
from harness.engines.daemon import Address, daemon_address
from harness.engines.sealed import SealedEngine
from harness.engines.seccomp import is_podman
from harness.errors import PrerequisiteError, UsageError

#: Processes of all containers of one user together; those of each are limited by `pids`.
_PROCESSES = 4096

#: The first version whose socket heeds requests for devices (containers/podman#25171).
_GPUS_SINCE = (5, 4)

_SOCKET = "podman/podman.sock"


class PodmanEngine(SealedEngine):
    """Runs images on Podman's service.

    Raises
    ------
    PrerequisiteError
        When it does not answer.
    UsageError
        When it is Docker that answers.
    """

    name = "podman"
    title = "Podman"
    tells_oom = False

    def __init__(self, address: Address | None = None, *, runtime: str = "") -> None:
        super().__init__(address or podman_address(), runtime=runtime)
        if not is_podman(self.version):
            self.client.close()
            raise UsageError(
                f"what answers in the place of Podman is Docker {self.version.get('Version')}",
                fix="set CONTAINER_HOST to Podman's socket, such as unix:///run/podman/podman.sock; or --engine docker",
            )

    def own_limits(self) -> list[Ulimit]:
        """Name a number of processes: Podman's own default may be more than its service is allowed to set."""
        return [Ulimit(name="nproc", soft=_PROCESSES, hard=_PROCESSES)]

    def own_options(self, spec: ContainerSpec) -> dict[str, Any]:
        """Return GPUs by their names in the Container Device Interface.

        Raises
        ------
        PrerequisiteError
            When this version would ignore them without a word.
        """
        if spec.gpu_ids:
            self.require_gpus()
        names = [f"nvidia.com/gpu={gpu}" for gpu in spec.gpu_ids]
        return {
            "security_opt": ["no-new-privileges:true"],
            "device_requests": [DeviceRequest(driver="cdi", device_ids=names)] if names else None,
        }

    def require_gpus(self) -> None:
        """Raise PrerequisiteError where this version ignores requests for GPUs."""
        version = str(self.version.get("Version", ""))
        if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _GPUS_SINCE:
            raise PrerequisiteError(
                f"Podman {version} ignores requests for GPUs: the model would compute on the CPU",
                fix="Podman 5.4 or newer with `nvidia-ctk cdi generate`; --engine docker; or leave out --gpus",
                lacking="gpu",
            )


def podman_address() -> Address:
    """Return where Podman's service is: ``CONTAINER_HOST``, what `docker` would use if named, or the usual socket.

    Raises
    ------
    PrerequisiteError
        When what is named cannot be understood.
    """
    if host := os.environ.get("CONTAINER_HOST"):
        return Address(host, "named by CONTAINER_HOST", engine="Podman")
    if os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT"):
        return daemon_address()
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    places = [Path("/run") / _SOCKET, Path(runtime) / _SOCKET]
    found = next((place for place in places if os.access(place, os.W_OK)), places[os.getuid() != 0])
    return Address(f"unix://{found}", "the usual place: CONTAINER_HOST is not set", engine="Podman")
