"""The 14 lung and pleura categories of ReXGroundingCT (paper, Table 3 and Figure S9)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Code of the released data -> name in the paper's Table 3. ``1x`` is typically non-focal, ``2x`` typically focal.
#: (The text of the paper's section 3.5 has the two digits the other way round; the released codes are these.)
CATEGORIES: Mapping[str, str] = MappingProxyType(
    {
        "1a": "Bronchial wall thickening",
        "1b": "Bronchiectasis",
        "1c": "Emphysema",
        "1d": "Septal thickening",
        "1e": "Micronodules",
        "1f": "Other non-focal",
        "2a": "Linear",
        "2b": "Atelectasis, consolidation",
        "2c": "Groundglass opacity",
        "2d": "Pulmonary nodules and masses",
        "2e": "Pleural effusion or thickening",
        "2f": "Honeycombing",
        "2g": "Pneumothorax",
        "2h": "Other focal",
    }
)


def is_focal(code: str) -> bool:
    """Return whether findings of category `code` are typically focal (``2x``) rather than non-focal (``1x``)."""
    return code.startswith("2")
