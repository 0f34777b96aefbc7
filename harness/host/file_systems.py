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
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.ceph-fuse",
    "fuse.ceph",
    "fuse.s3fs",
    "fuse.rclone",
    "fuse.juicefs",
    "fuse.davfs2",
    "fuse.gcsfuse",
    "fuse.mount-s3",
    "fuse.moosefs",
]


def shared_file_system(path: Path) -> str:
    """Return the kind of the file system of `path` where other machines may write to it too; empty where not.

    Parameters
    ----------
    path
        A file or folder; it need not exist.
    """
    kind = _file_system(os.path.realpath(path))
    return kind if kind in _SHARED else ""


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
