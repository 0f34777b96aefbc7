"""What an image may not declare, since an engine acts on it outside the container, as root, before the container runs.

A working folder below ``/proc`` or ``/sys`` led out of containers (CVE-2024-21626), a variable of the dynamic linker
into the GPU toolkit's hook (CVE-2025-23266); a volume over a system folder hides what every container has there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

#: Folders that are the kernel's: neither a volume nor the working folder may lie there.
_KERNEL = ("/proc", "/sys", "/dev")

#: Folders of the system, over which no volume may lie; those of the wall are mounted over whatever an image declares.
_SYSTEM = (*_KERNEL, "/bin", "/boot", "/etc", "/lib", "/lib64", "/run", "/sbin", "/usr")

#: Variables of the GPU toolkit that an image may set; it acts on others outside the container.
_NVIDIA = ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_REQUIRE_", "NVIDIA_DISABLE_REQUIRE")


def broken_rule(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what an image declares and may not, continuing "the image …", and what to do; None where all is well.

    Parameters
    ----------
    config
        Its ``Config``, as the engine has it.
    """
    for path in sorted(volumes_of(config)):
        if path == "/" or _below(path, _SYSTEM):
            return (
                f"declares a volume at {path}",
                "remove it from the Dockerfile; volumes are not needed: /tmp and /bench/out are writable",
            )
    folder = posixpath.normpath(f"/{str(config.get('WorkingDir') or '/').lstrip('/')}")
    if _below(folder, _KERNEL):
        return f"declares the working folder {folder}", "let WORKDIR in the Dockerfile name a folder of its own"
    for name, value in _variables(config):
        if name.startswith("LD_") and not (name == "LD_LIBRARY_PATH" and _are_own(value)):
            return (
                f"sets the variable {name} of the dynamic linker",
                "remove it from the Dockerfile and set it in the adapter; LD_LIBRARY_PATH may name absolute folders",
            )
    if not config.get("Entrypoint") and not config.get("Cmd"):
        return (
            "does not declare a command to run",
            'end its Dockerfile with ENTRYPOINT ["python", "-m", "groundbench_sdk", "adapter:YourAdapter"]',
        )
    return None


def volumes_of(config: Mapping[str, Any]) -> set[str]:
    """Return the folders that an image declares as volumes."""
    return {posixpath.normpath(f"/{path.lstrip('/')}") for path in config.get("Volumes") or {}}


def blanked(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of the GPU toolkit that an image may not set, as empty."""
    return {name: "" for name, _ in _variables(config) if name.startswith("NVIDIA_") and not name.startswith(_NVIDIA)}


def _variables(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for line in config.get("Env") or ():
        name, _, value = str(line).partition("=")
        yield name, value


def _below(path: str, folders: tuple[str, ...]) -> bool:
    return f"{path}/".startswith(tuple(f"{folder}/" for folder in folders))


def _are_own(value: str) -> bool:
    """Return whether all parts of a search path are absolute folders, and none can be written or is the kernel's."""
    parts = [posixpath.normpath(part) for part in value.split(":") if part]
    return all(part.startswith("/") and not _below(part, (*_KERNEL, "/bench", "/tmp")) for part in parts)  # noqa: S108
