"""The paper's protocol where its sentences can be read in more than one way: box prompts and the window of the CT.

Each reading has a name. What a model does by another reading than the first is a variant, and a row, of its own.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from harness.registry.origins import Params, Stated


class BoxRule(enum.StrEnum):
    """How a box prompt is made from the tight box of an entity, in plane alone.

    The paper (section 4.1) has boxes "contain the entire ground truth, with an additional random shift of 5 pixels in
    the height and width dimensions". In its authors' own scripts a shift of n widens a box, by draws from 0 to n.
    """

    WIDENED = "widened"  #: all four sides outwards by one draw of 0 to 5 voxels, as in MedSAM2's scripts
    WIDENED_BY_SIDE = "widened-by-side"  #: each side outwards by a draw of its own, as in LiteMedSAM's
    MOVED = "moved"  #: the box as a whole by -5 to 5 voxels along each axis; parts of the entity are left outside


class Window(NamedTuple):
    """A window of Hounsfield units: what lies outside is shown as the nearer limit.

    The paper (section 3.6) writes [-600, 1500]. As level and width this is the usual lung window; as limits it would
    turn emphysema (-950 HU) and most ground glass (-650 HU) black, findings that the paper's models segment.

    Attributes
    ----------
    low, high
        Its limits, HU.
    origin
        The origin of both, for people; see :mod:`harness.registry.origins`.
    """

    low: int
    high: int
    origin: str

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest HU."""
        return self.low, self.high

    @property
    def params(self) -> Params:
        """Parameters ``window_low`` and ``window_high`` with their origin."""
        return Params(window_low=Stated(self.low, self.origin), window_high=Stated(self.high, self.origin))


#: The paper's window as level -600 and width 1500.
LUNG: Final = Window(-1350, 150, "paper, section 3.6, read as level -600 and width 1500")
#: The paper's window as limits.
LITERAL: Final = Window(-600, 1500, "paper, section 3.6, read as limits")
