"""What the locks of the repository name: for the list of parts and for the audit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH = "containers/base/torch.lock"
SDK = "containers/base/sdk.lock"


@dataclass(frozen=True, order=True)
class Pin:
    """One package of a lock: its normalised name, its version, and the environment it is for ("" for all)."""

    name: str
    version: str
    marker: str = ""

    @property
    def purl(self) -> str:
        """Address of the package in the form that scanners compare."""
        return f"pkg:pypi/{self.name}@{self.version}"


def normalised(name: str) -> str:
    """Return the one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(lock: Path) -> list[Pin]:
    """Return the packages of a lock, sorted."""
    lines = re.findall(
        r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^\s;]+)(?: ; ([^\\\n]+?))?(?: \\)?$",
        lock.read_text("utf-8"),
        re.MULTILINE,
    )
    return sorted({Pin(normalised(name), version, marker) for name, version, marker in lines})


def harness_locks() -> list[Path]:
    """Return the locks of the harness: at run time, on clusters, for building, for development and its comparisons."""
    return sorted(ROOT.glob("requirements*.lock"))


def image_locks() -> dict[str, list[Path]]:
    """Return, by the name of each image of this repository (``groundbench/…``), the locks that its build installs."""
    found = {"groundbench/base/slim": [ROOT / SDK], "groundbench/base/torch": [ROOT / TORCH, ROOT / SDK]}
    for dockerfile in sorted(ROOT.glob("plugins/*/Dockerfile")):
        locks, text = [dockerfile.parent / "requirements.lock"], dockerfile.read_text("utf-8")
        if "${TORCH_IMAGE}" in text or "${SLIM_IMAGE}" in text:
            locks.append(ROOT / SDK)
        if "${TORCH_IMAGE}" in text:
            locks.append(ROOT / TORCH)
        found["groundbench/" + dockerfile.parent.name.replace("_", "-")] = locks
    return found
