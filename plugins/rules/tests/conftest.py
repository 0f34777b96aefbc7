"""A thorax drawn with ellipses, and where real scans lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

SPACING = (2.5, 2.5, 3.0)


@dataclass
class Thorax:
    """A CT on RAS axes; shapes are added in millimetres from its centre, x to the right, y forward, z up."""

    hu: NDArray[np.float32]
    affine: NDArray[np.float64]

    @property
    def axes(self) -> list[NDArray[np.float64]]:
        """Millimetres from the centre along each axis, ready to broadcast."""
        steps = np.diag(self.affine)[:3]
        grids = np.ogrid[tuple(slice(0, n) for n in self.hu.shape)]
        return [(g - (n - 1) / 2) * s for g, n, s in zip(grids, self.hu.shape, steps, strict=True)]

    def ellipsoid(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> NDArray[np.bool_]:
        """Return the voxels of an ellipsoid."""
        parts = [((a - c) / r) ** 2 for a, c, r in zip(self.axes, centre, radii, strict=True)]
        return np.asarray(sum(parts) <= 1.0)

    def fill(self, mask: NDArray[np.bool_], hu: float) -> NDArray[np.bool_]:
        """Give a shape its density and return it."""
        self.hu[mask] = hu
        return mask

    def lungs(self, side: str) -> NDArray[np.bool_]:
        """Return the shape that one lung was drawn as: an ellipse in every slice, nearly as wide below as above."""
        x, y, z = self.axes
        centre = 72.0 if side == "right" else -72.0
        return np.asarray(((x - centre) / 55.0) ** 2 + (y / 80.0) ** 2 + (z / 110.0) ** 8 <= 1.0)


def draw_thorax(spacing: tuple[float, float, float] = SPACING, noise: float = 12.0) -> Thorax:
    """Draw body, lungs, trachea and noise; the same every time."""
    shape = tuple(round(length / step) for length, step in zip((320.0, 230.0, 270.0), spacing, strict=True))
    thorax = Thorax(np.full(shape, -1000.0, dtype=np.float32), np.diag([*spacing, 1.0]))
    thorax.fill(thorax.ellipsoid((0, 0, 0), (150.0, 105.0, 1e6)), 45.0)
    for side in ("right", "left"):
        thorax.fill(thorax.lungs(side), -850.0)
    thorax.fill(thorax.ellipsoid((0, 5, 90), (8.0, 8.0, 60.0)), -1000.0)
    thorax.hu += np.random.default_rng(0).normal(0, noise, shape).astype(np.float32)
    return thorax


@pytest.fixture
def draw() -> Callable[..., Thorax]:
    return draw_thorax


@pytest.fixture
def thorax() -> Thorax:
    return draw_thorax()


@pytest.fixture
def small() -> Thorax:
    """Give the same thorax in few voxels."""
    return draw_thorax((4.0, 4.0, 5.0))


@pytest.fixture(scope="session")
def real_data() -> Path:
    checkout = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("GROUNDBENCH_REAL_DATA", checkout.parent / "shared" / "data"))
    if not (folder / "realct" / "dataset.json").is_file():
        pytest.skip(f"no real data at {folder}; set GROUNDBENCH_REAL_DATA")
    return folder
