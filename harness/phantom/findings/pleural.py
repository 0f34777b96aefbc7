"""Findings of the pleural space; it was filled with the body, so only the words are left to find."""

from __future__ import annotations

import numpy as np

from harness.phantom.canvas import Mask
from harness.phantom.findings.brush import Brush
from harness.phantom.measure import front_to_back, millimetres
from harness.phantom.pleura import Effusion, Thickening


def effusion_or_thickening(brush: Brush) -> str:
    """Describe fluid or a thick pleura; the depth of fluid is measured on the mask."""
    side = brush.site.phrase
    spaces = [space for space in brush.canvas.patient.pleura if space.finding == brush.index]
    first = spaces[0]
    if isinstance(first, Thickening):
        if first.hu > 150:
            return brush.one_of(
                f"Calcified pleural plaque on the {side}", f"Plaque-like calcified {side} pleural thickening"
            )
        return brush.one_of(f"{side.capitalize()} pleural thickening", f"Focal thickening of the {side} costal pleura")
    depths = {
        space.side: millimetres(front_to_back(_mask(brush, space.entity), brush.canvas.grid.spacing))
        for space in spaces
        if isinstance(space, Effusion)
    }
    if len(depths) == 2:
        return (
            f"Bilateral pleural effusions layering dependently, up to {depths['right']} mm deep on the right and "
            f"{depths['left']} mm on the left"
        )
    depth = depths[first.side]
    return brush.one_of(
        f"{side.capitalize()} pleural effusion measuring up to {depth} mm in depth",
        f"Free {side} pleural effusion layering posteriorly, {depth} mm at its thickest point",
        f"{side.capitalize()} pleural effusion reaching {depth} mm in thickness",
    )


def pneumothorax(brush: Brush) -> str:
    """Describe free air."""
    side = brush.site.phrase
    return brush.one_of(
        f"{side.capitalize()} pneumothorax, most pronounced anteriorly",
        f"{side.capitalize()} anterior pneumothorax with a visible visceral pleural line",
        f"Pneumothorax on the {side} with partial collapse of the lung",
    )


def _mask(brush: Brush, entity: int) -> Mask:
    return np.asarray((brush.canvas.finding == brush.index + 1) & (brush.canvas.entity == entity))
