"""A version with a known flaw is told from one without, branch by branch."""

from __future__ import annotations

import pytest

from harness.engines.known_holes import HOLES, holes_of, version_of


@pytest.mark.parametrize(
    ("component", "said", "names"),
    [
        ("runc", "1.1.11", ["CVE-2024-21626", "CVE-2025-31133"]),
        ("runc", "1.1.12-0ubuntu2", ["CVE-2025-31133"]),
        ("runc", "1.2.8", []),
        ("runc", "1.3.2", ["CVE-2025-31133"]),
        ("runc", "1.4.0", []),
        ("docker", "24.0.9", ["CVE-2024-41110"]),
        ("docker", "25.0.6", []),
        ("docker", "27.1.0", ["CVE-2024-41110"]),
        ("docker", "28.0.1", []),
        ("nvidia-container-toolkit", "NVIDIA Container Toolkit CLI version 1.17.4\ncommit: 9", ["CVE-2025-23266"]),
        ("git", "git version 2.39.5", ["CVE-2025-48384"]),
        ("git", "git version 2.50.1.windows.1", []),
        ("git", "no number", []),
    ],
)
def test_flaws_of_a_version(component: str, said: str, names: list[str]) -> None:
    """Branches that were mended count from their own version on."""
    assert [hole.name for hole in holes_of(component, version_of(said))] == names


def test_branches_are_in_order() -> None:
    """The last version named is the highest: what is newer never had the flaw."""
    for holes in HOLES.values():
        assert all(list(hole.mended) == sorted(hole.mended) for hole in holes)
