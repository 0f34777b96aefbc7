"""What may be wrong with a mask, one function a question; each returns problems with a level and a fix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from curation.qc.anatomy import LOBES, Anatomy
from curation.qc.density import PLAUSIBLE
from curation.text.measurements import sizes
from curation.text.places import lobes as lobes_named
from curation.text.places import sides as sides_named
from harness.dataset.cases import Case, Finding
from harness.dataset.problems import DataProblem, Level

#: Category -> (mm from the lungs that still count as inside, largest share of voxels outside). Air-filled findings lie
#: in the lungs; dense ones hide the lung they lie in, and pleural ones lie around it.
_TOLERANCE: Final = {
    "1f": (15.0, 0.25),
    "2b": (25.0, 0.25),
    "2e": (40.0, 0.5),
    "2g": (25.0, 0.25),
    "2h": (15.0, 0.25),
}
_USUAL: Final = (8.0, 0.1)
_OUTSIDE_BODY: Final = 0.01  # share of voxels
_WRONG_SIDE: Final = 0.25  # share of voxels on a side that the text does not name
_NAMED_LOBES: Final = 0.5  # share of voxels in lobes that must lie in those that the text names
_SIZE_RATIO: Final = 1.8  # between what the text says and what the mask measures
_SIZED: Final = re.compile(
    r"\b(?:nodul\w*|mass(?:es)?|cysts?|lesions?|bulla\w*|cavit\w*|semisolid|opacit\w*)\b", re.IGNORECASE
)
_THINGS: Final = r"(?:nodules?|masses|mass|cysts?|lesions?|bullae?|cavit(?:y|ies)|effusions?|consolidations?)"
#: Least volume in mm³ by category (ours): of areas and layers a cube of about 5 mm, of lines and walls one of 3 mm.
_LEAST: Final = dict.fromkeys(("1c", "2b", "2c", "2e", "2f", "2g"), 100.0) | dict.fromkeys(
    ("1a", "1b", "1d", "2a"), 25.0
)
_LEAST_OF_ANY: Final = 4.0
_MOST_OF_LUNGS: Final = 0.8  # the paper leaves out what is too diffuse to segment (section 3.3)
_TWINS: Final = 0.95  # Dice of two findings' masks, from which one was drawn twice
_WORDS: Final = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_COUNT: Final = re.compile(
    rf"\b({'|'.join(_WORDS)}|[2-9]|1\d)\s+(?!mm|cm|x\b)(?:[a-z-]+\s+){{0,3}}{_THINGS}\b", re.IGNORECASE
)
_ONE: Final = re.compile(
    (r"^(?:(?:a|an|one|single|solitary)\s+)(?:\S+\s+){0,4}(?:nodule|mass|cyst|lesion|bulla)\b|\bsolitary\b"),
    re.IGNORECASE,
)
_MANY: Final = re.compile(r"\b(?:multiple|several|numerous|many)\b|\bnodules\b", re.IGNORECASE)


@dataclass(frozen=True)
class Drawn:
    """The mask of one finding: voxels (n, 3) on the CT's array, the entity of each, and its HU."""

    voxels: npt.NDArray[np.int64]
    entities: npt.NDArray[np.int64]
    hounsfield: npt.NDArray[Any] | None = None  #: None: not looked at


def check_finding(
    finding: Finding, drawn: Drawn, anatomy: Anatomy, spacing: tuple[float, float, float] | None, where: str
) -> list[DataProblem]:
    """Return everything that is wrong with one mask; an empty one is wrong in one way only."""
    if not len(drawn.voxels):
        return [DataProblem(Level.ERROR, "empty", where, "the mask has no voxel", "annotate it, or remove the finding")]
    return [
        *_outside(finding, drawn, anatomy, where),
        *_side(finding, drawn, anatomy, where),
        *_lobe(finding, drawn, anatomy, where),
        *_density(finding, drawn, anatomy, where),
        *_most(drawn, anatomy, where),
        *(_size(finding, drawn, spacing, where) if spacing else ()),
        *(_least(finding, drawn, spacing, where) if spacing else ()),
        *_count(finding, drawn, where),
    ]


def check_twins(case: Case, drawn: Sequence[Drawn]) -> dict[str, list[DataProblem]]:
    """Return finding -> its problem where its mask is, or nearly is, that of another finding of the scan."""
    problems: dict[str, list[DataProblem]] = {}
    sets = [set(np.ravel_multi_index(tuple(mask.voxels.T), case.shape).tolist()) for mask in drawn]
    for first, second in combinations(case.findings, 2):
        a, b = sets[first.index], sets[second.index]
        dice = 2 * len(a & b) / (len(a) + len(b)) if a and b else 0.0
        if dice < _TWINS:
            continue
        for one, other in ((first, second), (second, first)):
            what = f"it has the voxels of finding {other.id} (Dice {dice:.2f}): {other.text[:60]!r}"
            where = f"{case.split}/{case.id} finding {one.id}"
            fix = "look which of the two it belongs to, and draw the other"
            problems.setdefault(one.id, []).append(DataProblem(Level.ERROR, "same-mask", where, what, fix))
    return problems


def _outside(finding: Finding, drawn: Drawn, anatomy: Anatomy, where: str) -> Iterator[DataProblem]:
    outside = 0.0 if anatomy.body is None else 1 - anatomy.at(anatomy.body, drawn.voxels).mean()
    if outside > _OUTSIDE_BODY:
        what = f"{outside:.0%} of its voxels lie outside the body"
        yield DataProblem(
            Level.ERROR, "outside-body", where, what, "look whether the mask is flipped or of another scan"
        )
        return
    if anatomy.lungs is None:
        return
    millimetres, most = _TOLERANCE.get(finding.category or "", _USUAL)
    outside = 1 - anatomy.at(anatomy.near_lungs(millimetres), drawn.voxels).mean()
    if outside > most:
        what = f"{outside:.0%} of its voxels lie more than {millimetres:g} mm outside the lungs"
        yield DataProblem(
            Level.WARNING, "outside-lung", where, what, "look whether it spills into the chest wall or the heart"
        )


def _side(finding: Finding, drawn: Drawn, anatomy: Anatomy, where: str) -> Iterator[DataProblem]:
    named, middle = sides_named(finding.text), anatomy.middle()
    if not named or middle is None:
        return
    left = float((anatomy.x_of(drawn.voxels) < middle).mean())
    share = {"left": left, "right": 1 - left}
    if len(named) == 1:
        (side,) = named
        if share[side] < 1 - _WRONG_SIDE:
            what = f"the text says {side}, and {1 - share[side]:.0%} of the mask lie on the other side"
            yield DataProblem(Level.ERROR, "laterality", where, what, "draw it on the side that the text names")
    elif min(share.values()) == 0.0:
        missing = min(share, key=lambda side: share[side])
        what = f"the text names both sides, and the {missing} one has no voxel"
        yield DataProblem(Level.WARNING, "one-sided", where, what, "look for the finding on the other side")


def _lobe(finding: Finding, drawn: Drawn, anatomy: Anatomy, where: str) -> Iterator[DataProblem]:
    named = lobes_named(finding.text)
    wanted = ({"upper"} if "lingula" in named else set()) | (named - {"lingula"})
    if not wanted:
        return
    fix = "draw it in the lobe that the text names"
    if anatomy.lobes is not None:
        sides = sides_named(finding.text) or {"right", "left"}
        right = [label for label, (side, lobe) in LOBES.items() if lobe in wanted and side in sides]
        labels = anatomy.at(anatomy.lobes, drawn.voxels)
        inside = np.isin(labels, list(LOBES))
        if right and inside.any():
            share = float(np.isin(labels[inside], right).mean())
            if share < _NAMED_LOBES:
                what = f"{share:.0%} of the mask lie in the lobes that the text names ({', '.join(sorted(named))})"
                yield DataProblem(Level.WARNING, "lobe", where, what, fix)
        return
    height = anatomy.height(drawn.voxels)
    if height is None or len(wanted) > 1:
        return
    mean = float(height.mean())
    if (wanted == {"upper"} and mean < 0.2) or (wanted == {"lower"} and mean > 0.85):
        what = f"the text says {next(iter(wanted))} lobe, and the mask lies at {mean:.0%} of the lungs' height"
        yield DataProblem(Level.WARNING, "lobe", where, what, fix)


def _density(finding: Finding, drawn: Drawn, anatomy: Anatomy, where: str) -> Iterator[DataProblem]:
    plausible = PLAUSIBLE.get(finding.category or "")
    if plausible is None or drawn.hounsfield is None:
        return
    share = plausible.others(drawn.hounsfield, anatomy.lung_hu)
    if share > plausible.share:
        middle = float(np.median(drawn.hounsfield))
        what = f"{share:.0%} of its voxels have HU that no finding of category {finding.category} has, or those of "
        what += f"normal lung (median {middle:.0f} HU)"
        yield DataProblem(
            Level.WARNING, "density", where, what, "look whether it lies in the wrong place, or far beyond the finding"
        )


def _most(drawn: Drawn, anatomy: Anatomy, where: str) -> Iterator[DataProblem]:
    if anatomy.lungs is None:
        return
    samples = np.zeros(anatomy.lungs.shape, bool)
    samples[tuple(np.minimum(drawn.voxels // np.array(anatomy.steps), np.array(samples.shape) - 1).T)] = True
    share = float(samples[anatomy.lungs].mean())
    if share > _MOST_OF_LUNGS:
        what = f"it covers {share:.0%} of the lungs"
        yield DataProblem(
            Level.WARNING, "too-large", where, what, "look whether the lungs were drawn; what is so diffuse is left out"
        )


def _least(finding: Finding, drawn: Drawn, spacing: tuple[float, float, float], where: str) -> Iterator[DataProblem]:
    volume = len(drawn.voxels) * float(np.prod(spacing))
    least = _LEAST.get(finding.category or "", _LEAST_OF_ANY)
    if len(drawn.voxels) > 1 and volume >= least:
        return
    what = f"it has {len(drawn.voxels)} voxels ({volume:.0f} mm³); less than {least:g} mm³ is hardly such a finding"
    yield DataProblem(Level.WARNING, "too-small", where, what, "look whether it is a slip of the pen, or half drawn")


def _size(finding: Finding, drawn: Drawn, spacing: tuple[float, float, float], where: str) -> Iterator[DataProblem]:
    said = sizes(finding.text)
    if not said or not _SIZED.search(finding.text):
        return
    expected = float(max(size.largest for size in said))
    measured = max(
        longest_diameter(drawn.voxels[drawn.entities == entity], spacing) for entity in np.unique(drawn.entities)
    )
    slack = 2 * max(spacing)
    if measured > expected * _SIZE_RATIO + slack or measured + slack < expected / _SIZE_RATIO:
        what = f"the text says {expected:g} mm, the largest entity measures {measured:.0f} mm in its axial plane"
        yield DataProblem(
            Level.WARNING, "size", where, what, "look whether too much, too little or another thing was drawn"
        )


def longest_diameter(voxels: npt.NDArray[np.int64], spacing: tuple[float, float, float]) -> float:
    """Return the longest axial diameter of some voxels in mm, their own width included (as RECIST measures)."""
    longest = 0.0
    width = float(np.mean(spacing[:2]))
    for z in np.unique(voxels[:, 2]):
        points = voxels[voxels[:, 2] == z][:, :2] * np.array(spacing[:2])
        if len(points) > 3:
            try:
                points = points[ConvexHull(points).vertices]
            except QhullError:
                points = points[
                    [points[:, 0].argmin(), points[:, 0].argmax(), points[:, 1].argmin(), points[:, 1].argmax()]
                ]
        longest = max(longest, width + (float(pdist(points).max()) if len(points) > 1 else 0.0))
    return longest


def _count(finding: Finding, drawn: Drawn, where: str) -> Iterator[DataProblem]:
    entities = len(np.unique(drawn.entities))
    match = _COUNT.search(finding.text)
    fix = "look whether an entity is missing, broken up or joined"
    if match:
        expected = _WORDS.get(match[1].lower()) or int(match[1])
        if entities != expected:
            what = f"the text counts {expected}, the mask has {entities}"
            yield DataProblem(Level.WARNING, "entity-count", where, what, fix)
    elif _ONE.search(finding.text) and entities > 1:
        yield DataProblem(Level.WARNING, "entity-count", where, f"the text names one, the mask has {entities}", fix)
    elif _MANY.search(finding.text) and entities == 1 and finding.category in {"1e", "2d"}:
        yield DataProblem(Level.INFO, "entity-count", where, "the text names several, the mask has one", fix)
