"""Let a user add packages beside those that are installed: the steps of a plugin's build run without root.

Called while a base image is built, as ``python open_up.py UID GID``. Only folders change their owner: pip can put new
files into them, while no file is copied into another layer of the image.
"""  # noqa: INP001

import os
import sys
import sysconfig
from pathlib import Path

owner, group = (int(number) for number in sys.argv[1:])
paths = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "scripts", "data", "include")}
prefix = Path(sysconfig.get_path("data"))
paths |= {path for name in ("share", "etc", "include") for path in (prefix / name).rglob("*") if path.is_dir()}
paths |= {prefix / name for name in ("share", "etc", "include")}
for path in sorted(paths):
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, owner, group, follow_symlinks=False)
