"""Software by others that the site may hold, each with its licence beside it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Vendored:
    """One library: its name, its place in the site, and that of its licence."""

    name: str
    version: str
    licence: str
    script: str
    notice: str


NIIVUE = Vendored(
    name="NiiVue",
    version="0.69.0",
    licence="BSD-2-Clause",
    script="assets/vendor/niivue/niivue.umd.js",
    notice="assets/vendor/niivue/LICENSE.txt",
)


def asset(path: str) -> bytes:
    """Read a file of the package's ``assets`` folder; `path` is relative to the site."""
    return resources.files("leaderboard").joinpath(*path.split("/")).read_bytes()
