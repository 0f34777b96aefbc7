"""The files of the site that are the same on every board: its own, and software by others with its licence."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Vendored:
    """One library: where it is from, its place in the site, and that of its licence."""

    name: str
    version: str
    licence: str
    origin: str  #: the archive that the script is from
    sha256: str  #: of the script, as it lies in that archive
    script: str
    notice: str


NIIVUE = Vendored(
    name="NiiVue",
    version="0.69.0",
    licence="BSD-2-Clause",
    origin="https://registry.npmjs.org/@niivue/niivue/-/niivue-0.69.0.tgz",
    sha256="47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af",
    script="assets/vendor/niivue/niivue.umd.js",
    notice="assets/vendor/niivue/LICENSE.txt",
)

#: The scripts of the viewer, in the order in which they are loaded.
VIEWER_SCRIPTS = tuple(
    f"assets/viewer/{name}.js"
    for name in ("data", "paths", "paint", "address", "parts", "pointer", "controls", "viewer")
)

#: The files of the viewer but for those of the volume viewer.
VIEWER = ("assets/viewer.css", *VIEWER_SCRIPTS)

#: Loads the volume viewer when it is asked for.
VOLUME_SCRIPT = "assets/viewer/volume.js"


def asset(path: str) -> bytes:
    """Read a file of the package's ``assets`` folder; `path` is relative to the site."""
    return resources.files("leaderboard").joinpath(*path.split("/")).read_bytes()
