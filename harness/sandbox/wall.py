"""What a program's last words say about the wall around it, and the declaration that opens the wall where it may.

A container has no network, a root that cannot be written, and limits; a program that runs into one of them seldom
says so. The reason of its failure then names what surrounds it and what to declare.
"""

from __future__ import annotations

import re
import sys

#: Patterns of messages, in the order in which they decide, and what they mean.
_MEANINGS: tuple[tuple[str, str], ...] = (
    (
        (
            r"name resolution|Name or service not known|nodename nor servname|Network is unreachable|"
            r"Max retries exceeded|NewConnectionError|LocalEntryNotFound|OfflineMode|URLError|ENETUNREACH|EAI_AGAIN|"
            r"couldn't connect to|Failed to resolve|No route to host"
        ),
        (
            "a container has no network: declare the file as one of the model's weights, or put it into the image in "
            "the Dockerfile"
        ),
    ),
    (
        (
            r"failed to map segment from shared object|Permission denied: '?/tmp|/tmp/\S+: Permission denied|"
            r"cannot execute.*'?/tmp/|noexec"
        ),
        "files in /tmp cannot be executed: declare exec_tmp=True in the model's resources",
    ),
    (
        (
            r"Bus error|SIGBUS|unable to (?:write to|mmap|open) (?:\d+ bytes )?.*(?:/torch_|shared memory)|"
            r"insufficient shared memory|No space left on device.*/dev/shm"
        ),
        "shared memory is too small: declare more shm_gb in the model's resources",
    ),
    (
        r"No space left on device.*/tmp|/tmp\S*.*No space left on device",
        "the space in /tmp is used up: declare more tmp_gb in the model's resources",
    ),
    (
        r"File too large|Errno 27|SIGXFSZ",
        "a file is larger than the output folder may become: declare more out_gb in the model's resources",
    ),
    (
        r"Read-only file system|Errno 30|EROFS",
        (
            "only /bench/out and /tmp can be written: let the program keep its caches below $HOME, which is /tmp, or "
            "make them in the Dockerfile"
        ),
    ),
    (
        r"getpwuid\(\): uid not found|no user with uid|I have no name|cannot find name for user ID",
        (
            "the container's user has a number and no entry in /etc/passwd: take the name from USER, as "
            "getpass.getuser() does, and folders from HOME"
        ),
    ),
    (
        (
            r"can't start new thread|Cannot fork|fork: retry|pthread_create failed|"
            r"Resource temporarily unavailable|BlockingIOError: \[Errno 11\]"
        ),
        "the number of processes and threads is limited: declare more pids in the model's resources",
    ),
    (
        (
            r"No CUDA GPUs are available|Found no NVIDIA driver|Torch not compiled with CUDA|CUDA driver version is "
            r"insufficient|no CUDA-capable device|libcuda\.so\.1: cannot open"
        ),
        "the container has no GPU: run it with --gpus, or let the model use the devices of its job",
    ),
    (
        r"Too many open files|Errno 24",
        "4,096 files may be open at once: close those that are not needed, or load with fewer workers",
    ),
)


def explained(reason: str, *, isolated: bool = True) -> str:
    """Return a failure's reason, with what it means where it tells of the wall around a container, or lack of one.

    Parameters
    ----------
    reason
        One line, from the program or about its end.
    isolated
        Whether it ran in a container, and not as a process of this machine.
    """
    if not isolated and "ModuleNotFoundError: No module named" in reason:
        return f"{reason} (the local engine runs the adapter in bench's own Python, {sys.executable}: install it there)"
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, reason):
            return f"{reason} ({meaning})"
    return reason
