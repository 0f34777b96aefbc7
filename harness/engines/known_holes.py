"""Versions of what holds a container that are known to have let one out, or code in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Version = tuple[int, ...]


@dataclass(frozen=True)
class Hole:
    """One flaw.

    Attributes
    ----------
    name, what
        Its number, and what it let happen.
    mended
        The first version without it, of every branch that has one; branches after the last never had it.
    """

    name: str
    what: str
    mended: tuple[Version, ...]


#: Component -> its flaws, as its makers published them. Only those that matter to strangers' images and sources.
HOLES: Final[Mapping[str, tuple[Hole, ...]]] = {
    "runc": (
        Hole("CVE-2024-21626", "an image's working folder led to the host", ((1, 1, 12),)),
        Hole("CVE-2025-31133", "masked paths could be replaced, which led to the host", ((1, 2, 8), (1, 3, 3))),
    ),
    "docker": (
        Hole("CVE-2024-23653", "a build could start a container with every right", ((24, 0, 9), (25, 0, 2))),
        Hole(
            "CVE-2024-41110",
            "an authorization plugin could be passed by",
            ((23, 0, 15), (25, 0, 6), (26, 1, 5), (27, 1, 1)),
        ),
    ),
    "nvidia-container-toolkit": (
        Hole("CVE-2024-0132", "an image with a GPU could mount the host", ((1, 16, 2),)),
        Hole("CVE-2025-23359", "the same, in another way", ((1, 17, 4),)),
        Hole("CVE-2025-23266", "an image's LD_PRELOAD ran on the host as root", ((1, 17, 8),)),
    ),
    "git": (
        Hole(
            "CVE-2024-32002",
            "a clone could run code of the repository",
            ((2, 39, 4), (2, 40, 2), (2, 41, 1), (2, 42, 2), (2, 43, 4), (2, 44, 1), (2, 45, 1)),
        ),
        Hole(
            "CVE-2025-48384",
            "a clone with submodules could run code of the repository",
            ((2, 43, 7), (2, 44, 4), (2, 45, 4), (2, 46, 4), (2, 47, 3), (2, 48, 2), (2, 49, 1), (2, 50, 1)),
        ),
    ),
}


def version_of(text: str) -> Version | None:
    """Return the first version number in a text, such as ``git version 2.39.5``; None without one."""
    match = re.search(r"\d{1,4}(?:\.\d{1,6}){1,3}", text[:1000])
    return tuple(map(int, match.group().split("."))) if match else None


def holes_of(component: str, version: Version | None) -> tuple[Hole, ...]:
    """Return the known flaws of a version; none where the version is not known, which is said elsewhere."""
    return tuple(hole for hole in HOLES[component] if version is not None and _has(version, hole))


def _has(version: Version, hole: Hole) -> bool:
    of_branch = [one for one in hole.mended if one[:2] == version[:2]]
    return version < (of_branch[0] if of_branch else hole.mended[-1])
