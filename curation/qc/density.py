"""Whether the voxels of a mask have HU that its category can have, and differ from the lung around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_LIKE_LUNG: Final = 80.0  # HU about the scan's own normal lung: its noise and its gradient from front to back


@dataclass(frozen=True)
class Plausible:
    """What the voxels of a category's findings are; the limits are ours, and wide."""

    low: float  #: HU
    high: float
    lung: bool  #: whether voxels may look like normal lung
    share: float  #: of the voxels, that may be otherwise: edges, vessels, a pen broader than the finding

    def others(self, hounsfield: npt.NDArray[Any], lung: float | None) -> float:
        """Return the share of voxels that no such finding has.

        Parameters
        ----------
        hounsfield
            HU of the mask's voxels, at least one.
        lung
            HU of normal lung in this scan; None: not known, and not looked at.
        """
        inside = (hounsfield >= self.low) & (hounsfield <= self.high)
        if not self.lung and lung is not None:
            inside &= np.abs(hounsfield - lung) > _LIKE_LUNG
        return float(1 - inside.mean())


#: By category. Air is -1000 HU, fat -100, water 0, soft tissue 50, calcium above 130; thin walls and lines lie between
#: lung and soft tissue, because a voxel averages both.
PLAUSIBLE: Final = {
    "1a": Plausible(-1100, 300, lung=False, share=0.5),
    "1b": Plausible(-1100, 100, lung=False, share=0.5),
    "1c": Plausible(-1100, -880, lung=True, share=0.5),
    "1d": Plausible(-1100, 50, lung=False, share=0.5),
    "1e": Plausible(-800, 1500, lung=False, share=0.5),
    "1f": Plausible(-1100, -500, lung=True, share=0.15),
    "2a": Plausible(-800, 1500, lung=False, share=0.5),
    "2b": Plausible(-500, 200, lung=False, share=0.35),
    "2c": Plausible(-850, 0, lung=False, share=0.5),
    "2d": Plausible(-800, 1500, lung=False, share=0.5),
    "2e": Plausible(-100, 150, lung=False, share=0.25),
    "2f": Plausible(-1100, 0, lung=False, share=0.35),
    "2g": Plausible(-1100, -850, lung=True, share=0.25),
    "2h": Plausible(-1100, 1500, lung=False, share=0.5),
}
