"""What can fill the pleural space: fluid, a thickened pleura, air. Each reduces the lung by its volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from harness.phantom.grid import Points

Array = npt.NDArray[np.float32]
Side = Literal["right", "left"]


class PleuralSpace(Protocol):
    """A part of one pleural cavity that is not lung."""

    @property
    def side(self) -> Side:
        """Side of the cavity."""

    @property
    def finding(self) -> int:
        """Index of the finding it belongs to."""

    @property
    def entity(self) -> int:
        """Its entity id in the finding's mask."""

    @property
    def hu(self) -> float:
        """Its attenuation, in HU."""

    def distance(self, reference: Points, cage: Array) -> Array:
        """Return the signed distance to it in mm, from positions and the distances to the rib cage."""
        ...


def _beyond_midline(reference: Points, side: Side) -> Array:
    return reference[0] if side == "right" else -reference[0]


@dataclass(frozen=True)
class Effusion:
    """Free fluid: it lies on the back wall under a level, and climbs a little along the side wall.

    Parameters
    ----------
    thickness
        Depth of the fluid at the base, from back wall to level, in mm.
    """

    side: Side
    finding: int
    entity: int
    hu: float
    thickness: float

    def distance(self, reference: Points, cage: Array) -> Array:  # noqa: ARG002 - one signature for all
        """Return the distance below the fluid's level."""
        x, y, z = reference
        meniscus = 16 * np.square((np.abs(x) - 66) / 52)
        level = 86 - self.thickness + 0.16 * np.maximum(z + 80, 0) - meniscus
        below: Array = np.maximum(level - y, _beyond_midline(reference, self.side))
        return below


@dataclass(frozen=True)
class Thickening:
    """A plate of thickened pleura on the rib cage.

    Parameters
    ----------
    thickness
        In mm.
    centre, height
        Middle of the plate along the body axis and half its height, in mm.
    """

    side: Side
    finding: int
    entity: int
    hu: float
    thickness: float
    centre: float
    height: float

    def distance(self, reference: Points, cage: Array) -> Array:
        """Return the distance to the plate, which tapers towards its rims."""
        x, y, z = reference
        taper = 1 - np.square((z - self.centre) / self.height) - np.square((y - 42) / 46)
        plate = -cage - self.thickness * np.sqrt(np.maximum(taper, 0))
        outside = np.where(taper > 0, plate, np.float32(50))
        result: Array = np.maximum(np.maximum(outside, 34 - np.abs(x)), _beyond_midline(reference, self.side))
        return result


@dataclass(frozen=True)
class Pneumothorax:
    """Free air: it rises to the front of a supine patient and to the apex, and the lung falls back from it.

    Parameters
    ----------
    thickness
        Greatest depth of the air, in mm.
    """

    side: Side
    finding: int
    entity: int
    hu: float
    thickness: float

    def distance(self, reference: Points, cage: Array) -> Array:
        """Return the distance to the crescent of air between chest wall and lung."""
        _, y, z = reference
        rise = np.clip((18 - y) / 90 + np.maximum(z - 30, 0) / 160, 0, 1)
        crescent = -cage - self.thickness * rise
        empty = np.where(rise > 0.02, crescent, np.float32(50))
        return np.maximum(empty, _beyond_midline(reference, self.side))
