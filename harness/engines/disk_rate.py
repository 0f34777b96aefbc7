"""How fast a container may write to the disk of its output folder, where control groups can limit that.

A container reads its image and the CT of its case, which the page cache keeps; what it writes to a disk lies in
``out/`` alone, and the same file written over and over is no more bytes. Limited by rate, it leaves the disk to others.
"""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISBLK
from typing import Any, Final

#: Bytes and requests a second: a mask of a chest CT is a megabyte, and a slow disk writes fewer.
WRITE_BYTES_S: Final = 200_000_000
WRITE_REQUESTS_S: Final = 2_000


def write_limits(folder: Path, kernel: str) -> dict[str, Any]:
    """Return the options of a container, in the words of the Docker SDK, that bound how fast it writes to a disk.

    Parameters
    ----------
    folder
        The output folder.
    kernel
        The kernel's release as the engine's daemon tells it: another machine's disks have other names.

    Returns
    -------
    dict
        Empty where no disk is known below `folder` (a network's file system, memory, btrfs, ZFS) or the daemon runs on
        another kernel.
    """
    disk = disk_of(folder) if kernel == os.uname().release else None
    if disk is None:
        return {}
    return {
        "device_write_bps": [{"Path": str(disk), "Rate": WRITE_BYTES_S}],
        "device_write_iops": [{"Path": str(disk), "Rate": WRITE_REQUESTS_S}],
    }


def disk_of(folder: Path, *, known: Path = Path("/sys/dev/block"), devices: Path = Path("/dev")) -> Path | None:
    """Return the device of the whole disk that the file system of `folder` lies on; None where that cannot be told.

    Parameters
    ----------
    folder
        A folder that exists.
    known
        The kernel's list of disks and their partitions by number (``sysfs(5)``).
    devices
        Where the device files are.
    """
    number = folder.stat().st_dev
    try:
        entry = (known / f"{os.major(number)}:{os.minor(number)}").resolve(strict=True)
        disk = entry.parent if (entry / "partition").exists() else entry
        device = devices / disk.name.replace("!", "/")
        status = device.stat()
        numbers = (disk / "dev").read_text(encoding="ascii").strip()
    except OSError:
        return None
    found = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return device if S_ISBLK(status.st_mode) and found == numbers else None
