"""A drawn body on grids of every kind, for the tests of adapters whose network is replaced at its own interface."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

#: Millimetres: an ellipsoidal body with a dense ball in its right, front, upper part, and a smaller one left below.
BODY, RIGHT, LEFT = (90.0, 60.0, 80.0), (40.0, 20.0, 35.0), (-45.0, -20.0, -30.0)
RADII = (22.0, 14.0)
GRIDS = {
    "RAS": (np.diag([3.0, 3.0, 4.0]), (71, 51, 47)),
    "LPS": (np.diag([-3.0, -3.0, 4.0]), (71, 51, 47)),
    "turned": (np.array([[0, 0, -3.0], [3.0, 0, 0], [0, 4.0, 0]]), (51, 47, 71)),
    "anisotropic, odd": (np.diag([-1.7, 2.3, -7.1]), (121, 67, 29)),
    "oblique": (np.array([[2.9, 0.4, 0.2], [-0.4, 2.9, -0.5], [-0.2, 0.4, 3.9]]), (81, 61, 53)),
}


def volume_of(array: np.ndarray, affine: np.ndarray) -> Callable[..., np.ndarray]:
    """Return what reads a CT as ``Case.volume`` does."""

    def volume(dtype: Any = np.int16, axes: str | None = None, order: str = "C") -> np.ndarray:
        from groundbench_sdk.grids import reorient_to

        found = array if axes is None else reorient_to(axes, affine).apply(array)
        return found.astype(dtype, order="C" if order == "C" else "K")

    return volume


class Drawn:
    """A CT whose right and left ball are known, (H, W, D)."""

    def __init__(self, name: str) -> None:
        matrix, shape = GRIDS[name]
        self.affine = np.eye(4)
        self.affine[:3, :3] = matrix
        self.affine[:3, 3] = -matrix @ (np.array(shape) - 1) / 2
        points = np.einsum("ij,j...->i...", matrix, np.indices(shape).astype(float))
        points += self.affine[:3, 3][:, None, None, None]
        self.right, self.left = (
            sum((points[axis] - centre[axis]) ** 2 for axis in range(3)) < radius**2
            for centre, radius in zip((RIGHT, LEFT), RADII, strict=True)
        )
        inside = sum((points[axis] / length) ** 2 for axis, length in enumerate(BODY)) < 1
        self.hu = np.full(shape, -1000.0, dtype=np.float32)
        self.hu[inside] = np.random.default_rng(0).normal(-800, 5, int(inside.sum()))
        self.hu[self.right], self.hu[self.left] = 300.0, 250.0

    def case(self, *texts: str, boxes: Any = None) -> Any:
        """Return what an adapter's ``predict`` is given; ``warnings`` holds what it warned of."""
        findings = [SimpleNamespace(id=str(number), text=text, boxes=boxes) for number, text in enumerate(texts)]
        warnings: list[str] = []
        return SimpleNamespace(
            id="a",
            affine=self.affine,
            shape=self.hu.shape,
            spacing=tuple(np.linalg.norm(self.affine[:3, :3], axis=0)),
            findings=findings,
            volume=volume_of(self.hu, self.affine),
            warn=warnings.append,
            warnings=warnings,
        )


def dice(a: Any, b: Any) -> float:
    """Return the Dice of two masks of which one is not empty."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(params=GRIDS)
def drawn(request: pytest.FixtureRequest) -> Drawn:
    """Give the drawn body on one grid after another."""
    return Drawn(request.param)


@pytest.fixture
def upright() -> Drawn:
    """Give the drawn body on the simplest grid."""
    return Drawn("RAS")


@pytest.fixture
def overlap() -> Callable[[Any, Any], float]:
    """Give the Dice of two masks."""
    return dice


@pytest.fixture
def load_plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, str], ModuleType]]:
    """Import a module of a plugin as its image does, from its own folder, and forget it afterwards."""
    before = set(sys.modules)

    def load(root: Path, name: str = "adapter") -> ModuleType:
        monkeypatch.syspath_prepend(str(root))
        for path in root.glob("*.py"):
            sys.modules.pop(path.stem, None)
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if not name.startswith(("groundbench_sdk", "numpy", "nibabel")) and "." not in name:
            path = getattr(sys.modules[name], "__file__", None) or ""
            if Path(path).parent.parent.name == "plugins":
                del sys.modules[name]
