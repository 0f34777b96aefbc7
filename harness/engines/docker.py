"""The Docker engine: what is its own beside what every engine with a daemon does."""

from __future__ import annotations

from typing import Any

from docker.types import DeviceRequest

from harness.engines.base import ContainerSpec
from harness.engines.daemon import Address
from harness.engines.sealed import SealedEngine
from harness.engines.seccomp import is_podman, own_filter
from harness.errors import UsageError

#: Limit of files and folders in ``/tmp`` and in each volume of the image.
MAX_TEMPORARY_FILES = 100_000


class DockerEngine(SealedEngine):
    """Runs images on the Docker daemon that the environment names, or on the one at an address.

    Raises
    ------
    PrerequisiteError
        When no daemon answers.
    UsageError
        When it is Podman that answers.
    """

    name = "docker"
    title = "the Docker daemon"

    def __init__(self, address: Address | None = None, *, runtime: str = "") -> None:
        super().__init__(address, runtime=runtime)
        if is_podman(self.version):
            self.client.close()
            raise UsageError(
                f"what answers in the place of Docker is Podman {self.version.get('Version')}",
                fix="--engine podman, or --engine auto, which takes what answers",
            )

    def temporary_option(self) -> str:
        """Bound the number of temporary files: empty ones take the host's memory, not the container's."""
        return f",nr_inodes={MAX_TEMPORARY_FILES}"

    def own_options(self, spec: ContainerSpec) -> dict[str, Any]:
        """Return GPUs by their ids, a filter of system calls, and no name servers of the host."""
        gpus = DeviceRequest(device_ids=list(spec.gpu_ids), capabilities=[["gpu", "compute", "utility"]])
        return {
            # Instead of the host's name servers and domains, which the daemon would write into the container.
            "dns": ["127.0.0.1"],
            "dns_search": ["."],
            "security_opt": ["no-new-privileges:true", *own_filter(self.version)],
            "device_requests": [gpus] if spec.gpu_ids else None,
        }
