"""A CT with lesions whose place is known."""

from __future__ import annotations

#: Voxels and lesions of the scene, on axes to the left, back and head (as in conftest).
GRID = (48, 40, 24)
