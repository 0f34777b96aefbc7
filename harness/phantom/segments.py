"""The 18 bronchopulmonary segments: their names, lobes and centres in the reference patient."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

#: Lobe number in the anatomy masks -> its name in a finding's text.
LOBES = MappingProxyType(
    {1: "right upper lobe", 2: "right middle lobe", 3: "right lower lobe", 4: "left upper lobe", 5: "left lower lobe"}
)

#: Lobe numbers of each lung.
SIDES = MappingProxyType({"right": (1, 2, 3), "left": (4, 5)})

#: The label of the airways in the anatomy masks.
AIRWAY = 6


@dataclass(frozen=True)
class Segment:
    """One bronchopulmonary segment: the part of a lobe that lies nearest to `centre`.

    Parameters
    ----------
    number
        Its label in the phantom's own segment volume, 1 to 18.
    lobe
        Key of :data:`LOBES`.
    name
        The adjective of its name, e.g. ``"posterior basal"``.
    centre
        (x, y, z) in the reference patient, in mm.
    """

    number: int
    lobe: int
    name: str
    centre: tuple[float, float, float]

    @property
    def side(self) -> str:
        """``"right"`` or ``"left"``."""
        return "right" if self.lobe in SIDES["right"] else "left"


_TABLE = (
    (1, "apical", (-48, 10, 80)),
    (1, "posterior", (-75, 45, 40)),
    (1, "anterior", (-65, -42, 22)),
    (2, "lateral", (-95, -25, -50)),
    (2, "medial", (-52, -62, -60)),
    (3, "superior", (-65, 58, 5)),
    (3, "medial basal", (-38, 34, -76)),
    (3, "anterior basal", (-88, 4, -88)),
    (3, "lateral basal", (-104, 40, -94)),
    (3, "posterior basal", (-62, 64, -94)),
    (4, "apicoposterior", (54, 22, 72)),
    (4, "anterior", (65, -42, 30)),
    (4, "superior lingular", (88, -38, -22)),
    (4, "inferior lingular", (94, -46, -64)),
    (5, "superior", (62, 58, 5)),
    (5, "anteromedial basal", (72, 4, -86)),
    (5, "lateral basal", (102, 38, -94)),
    (5, "posterior basal", (60, 64, -94)),
)

#: Every segment, by its number less one.
SEGMENTS = tuple(Segment(n, lobe, name, centre) for n, (lobe, name, centre) in enumerate(_TABLE, start=1))

#: Segment number -> lobe number, as an array to index with a segment volume (0 stays 0).
LOBE_OF = np.array([0, *(segment.lobe for segment in SEGMENTS)], dtype=np.uint8)


def segment(number: int) -> Segment:
    """Return the segment with that number."""
    return SEGMENTS[number - 1]
