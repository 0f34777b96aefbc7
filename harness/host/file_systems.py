"""The file system that a path lies on: SQLite's write-ahead log needs memory that all its users share.

Over a network they share none, and a database in that mode is damaged there without a message
(https://sqlite.org/wal.html).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

#: Where the kernel lists what is mounted for this process.
MOUNTS = Path("/proc/self/mountinfo")

#: File systems that several machines may write to, by the kernel's names.
_SHARED = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "afs",
    "glusterfs",
    "pvfs2",
    "orangefs",
    "panfs",
    "ocfs2",
    "gfs2",
    "davfs",
    "vboxsf",
    "virtiofs",
    "fuse",
]

#: File systems in user space that lie on local disks; what lies behind any other, nobody but its program knows.
_LOCAL_FUSE = ["fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs", "fuse.lxcfs"]


def shared_file_system(path: Path) -> str:
    """Return the kind of the file system of `path` where other machines may write to it too; empty where not.

    One in user space (FUSE) counts as such unless it is known to lie on a local disk.

    Parameters
    ----------
    path
        A file or folder; it need not exist.
    """
    kind = _file_system(os.path.realpath(path))
    return kind if kind in _SHARED or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE) else ""


def _file_system(path: str) -> str:
    """Return the kind of the file system of a real path: that of the last mount of the longest folder above it."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    found, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        place = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split()[4])
        within = path == place or path.startswith(f"{place.rstrip('/')}/")
        if within and len(place) >= len(found):
            found, kind = place, after.split()[0]
    return kind
