"""Libraries of others that a site carries come with their licence, and are what their authors published."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

from leaderboard.pages.vendor import NIIVUE, asset

ROOT = Path(__file__).resolve().parents[3]


def test_the_script_and_its_licence_are_there() -> None:
    """The script is byte for byte the one of its archive, and the licence is the one that is named."""
    assert hashlib.sha256(asset(NIIVUE.script)).hexdigest() == NIIVUE.sha256
    assert b"Redistribution and use in source and binary forms" in asset(NIIVUE.notice)
    assert f"{NIIVUE.name} {NIIVUE.version} ({NIIVUE.licence})".encode() in asset(NIIVUE.notice)


def test_the_packages_licence_names_everything_in_it() -> None:
    """The licence expression is ours and those of the vendored libraries, no more and no fewer."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    headings = re.findall(r"^=+\n.* \(([\w.-]+)\)\n=+$", asset(NIIVUE.notice).decode(), flags=re.MULTILINE)
    assert len(headings) > 5
    assert project["license"].split(" AND ") == sorted({"Apache-2.0", *headings})


def test_the_package_carries_every_licence_text() -> None:
    """Each vendored folder has a licence file, and the package's metadata take it along."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    carried = {path for pattern in project["license-files"] for path in ROOT.glob(pattern)}
    folders = [path for path in (ROOT / "leaderboard" / "assets" / "vendor").iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        assert carried.intersection(folder.iterdir()), f"{folder.name} has no licence file that the package carries"
