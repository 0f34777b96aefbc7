"""The painters of the 14 categories: each paints one finding and returns its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from harness.phantom.findings.airspace import air_trapping, consolidation, emphysema, ground_glass
from harness.phantom.findings.bronchi import bronchiectasis, micronodules, wall_thickening
from harness.phantom.findings.brush import Brush
from harness.phantom.findings.interstitium import band, honeycombing, septal_thickening
from harness.phantom.findings.masses import nodules, other_focal
from harness.phantom.findings.pleural import effusion_or_thickening, pneumothorax

Painter = Callable[[Brush], str]

#: Category code -> what paints it.
PAINTERS: Mapping[str, Painter] = MappingProxyType(
    {
        "1a": wall_thickening,
        "1b": bronchiectasis,
        "1c": emphysema,
        "1d": septal_thickening,
        "1e": micronodules,
        "1f": air_trapping,
        "2a": band,
        "2b": consolidation,
        "2c": ground_glass,
        "2d": nodules,
        "2e": effusion_or_thickening,
        "2f": honeycombing,
        "2g": pneumothorax,
        "2h": other_focal,
    }
)

#: Painted before vessels and airways, which stay visible in them.
BENEATH_VESSELS = frozenset({"1f", "2b", "2c"})

__all__ = ["BENEATH_VESSELS", "PAINTERS", "Brush", "Painter"]
