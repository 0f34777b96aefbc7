"""Focal findings with a size: nodules and masses, cysts, bullae and cavities."""

from __future__ import annotations

import numpy as np

from harness.phantom.canvas import Mask, segment_distance
from harness.phantom.findings.brush import Brush, Vector
from harness.phantom.grid import Box
from harness.phantom.measure import axial_diameters, millimetres

_COUNTS = {1: "One", 2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six"}


def nodules(brush: Brush) -> str:
    """Paint one nodule or mass, or several nodules, solid, part-solid or calcified; the text gives the sizes."""
    several = brush.site.plural
    kinds = (
        ["solid", "solid", "calcified"]
        if several
        else ["solid", "solid", "calcified", "part-solid", "spiculated", "mass"]
    )
    kind = kinds[brush.rng.integers(len(kinds))]
    sizes: list[tuple[int, int]] = []
    for number in brush.site.segments:
        count = int(brush.rng.integers(1, 4)) if several else 1
        radius = {"mass": (16, 22), "spiculated": (7, 12), "part-solid": (7, 11), "calcified": (2.6, 5)}.get(
            kind, (2.8, 7.0)
        )
        largest = brush.rng.uniform(*radius)
        for spot in brush.spots(count, radius=1.15 * largest, apart=3.5 * largest, depth=(4, 40), segments=[number]):
            own = largest if not sizes or not several else brush.rng.uniform(radius[0], largest)
            sizes.append(_nodule(brush, spot, own, kind, len(sizes) + 1))
    return _describe(brush, kind, sizes)


def _nodule(brush: Brush, spot: Vector, radius: float, kind: str, entity: int) -> tuple[int, int]:
    ripple = {"spiculated": 0.1, "mass": 0.06}.get(kind, 0.035)
    blob = brush.blob(spot, radius, ripple=ripple, stretch=0.14)
    box, distance = brush.blob_box(blob, margin=0.6 * radius)
    shape = distance <= 0
    if kind == "spiculated":
        for _ in range(14):
            ray = brush.rng.normal(0, 1, 3)
            tip = spot + ray / np.linalg.norm(ray) * radius * brush.rng.uniform(1.3, 1.6)
            shape |= _tube_in(brush, box, spot, tip)
    hu = {"calcified": brush.rng.uniform(280, 620), "part-solid": brush.rng.uniform(-600, -520)}.get(
        kind, brush.rng.uniform(25, 60)
    )
    painted = brush.paint(box, shape, hu, entity)
    if not painted.any():
        box = brush.nearest_voxel(spot)
        painted = brush.paint(box, np.ones((1, 1, 1), np.bool_), hu, entity)
    if kind == "part-solid":
        aside = spot + brush.rng.normal(0, 0.12 * radius, 3)
        solid = brush.blob(aside, radius * brush.rng.uniform(0.38, 0.55), ripple=0.14, stretch=0.3)
        core = solid.distance(brush.canvas.grid.points(box)) <= 0
        brush.paint(box, core & (distance <= -0.1 * radius), brush.rng.uniform(10, 50), entity)
    longest, perpendicular = axial_diameters(painted, brush.canvas.grid.spacing)
    return millimetres(longest), millimetres(perpendicular)


def _tube_in(brush: Brush, box: Box, start: Vector, end: Vector) -> Mask:
    return segment_distance(brush.canvas.grid.points(box), start, end) <= 0.9


def _describe(brush: Brush, kind: str, sizes: list[tuple[int, int]]) -> str:
    place = brush.site.phrase
    longest, across = max(sizes)
    size = f"{longest} x {across} mm"
    if len(sizes) == 1:
        noun = {
            "mass": "lobulated soft-tissue mass",
            "spiculated": "spiculated solid nodule",
            "part-solid": "part-solid nodule",
            "calcified": "calcified nodule",
        }.get(kind, brush.one_of("solid nodule", "well-defined nodule", "noncalcified nodule"))
        return brush.one_of(
            f"{size} {noun} {place}",
            f"{noun.capitalize()} {place}, measuring {size}",
            f"{noun.capitalize()} measuring {size} {place}",
        )
    word = "calcified nodules" if kind == "calcified" else brush.one_of("solid nodules", "pulmonary nodules")
    least = min(sizes)[0]
    count = _COUNTS.get(len(sizes), "Multiple")
    span = f"{least}-{longest} mm " if least < longest else f"{longest} mm "
    if longest < 10 and brush.rng.random() < 0.5:
        return brush.one_of(f"A few subcentimeter {word} {place}", f"Indeterminate subcentimeter {word} {place}")
    return brush.one_of(
        f"{count} {word} {place}, the largest measuring {size}",
        f"Multiple {span}{word} {place}, largest measuring {size}",
        f"{count} {word} {place} measuring up to {longest} mm",
    )


def other_focal(brush: Brush) -> str:
    """Paint an air cyst, a bulla or a cavity; wall and content are the finding's."""
    kind = brush.one_of("air cyst", "bulla", "cavity")
    inner, wall = {"air cyst": ((5, 9), 1.2), "bulla": ((12, 19), 0.9), "cavity": ((6, 10), 4.5)}[kind]
    depth = (2.0, 22.0) if kind == "bulla" else (8.0, 50.0)
    sizes = []
    for entity, number in enumerate(brush.site.segments, start=1):
        radius = brush.rng.uniform(*inner)
        (spot,) = brush.spots(1, radius=radius + wall, apart=0, depth=depth, segments=[number])
        blob = brush.blob(spot, radius + wall, ripple=0.03, stretch=0.12)
        box, distance = brush.blob_box(blob)
        hu = brush.diluted(35 if kind == "cavity" else -60, wall)
        painted = brush.paint(box, distance <= 0, hu, entity)
        hollow = distance + wall
        if kind == "cavity":  # thicker on one side, and never smooth inside
            aside = spot + brush.rng.normal(0, 0.22 * wall, 3)
            inside = brush.blob(aside, radius, ripple=0.07, stretch=0.2, rough=0.25)
            hollow = np.maximum(inside.distance(brush.canvas.grid.points(box)), distance + 1.2)
        brush.paint(box, hollow <= 0, -985, entity)
        longest, across = (millimetres(length) for length in axial_diameters(painted, brush.canvas.grid.spacing))
        sizes.append((longest, across))
    longest, across = max(sizes)
    noun = {
        "air cyst": "thin-walled air cyst",
        "bulla": "subpleural bulla",
        "cavity": "thick-walled cavitary lesion",
    }[kind]
    if len(sizes) > 1:
        return f"{_COUNTS.get(len(sizes), 'Several')} {noun}s {brush.site.phrase}, the largest {longest} x {across} mm"
    return brush.one_of(
        f"{longest} x {across} mm {noun} {brush.site.phrase}", f"{noun.capitalize()} {brush.site.phrase}"
    )
