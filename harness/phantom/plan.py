"""The plan of a case: its name, its split, its findings' categories and places.

Nothing here depends on how many cases are made or on the grid, so case 7 is the same patient in every data set of one
seed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from harness.phantom.pleura import Effusion, PleuralSpace, Pneumothorax, Side, Thickening
from harness.phantom.segments import LOBES, SEGMENTS, Segment, segment
from harness.phantom.streams import Stream, stream

#: Splits of a block of twenty cases, in order: 60 % train, 20 % val, 20 % test. The test cases come first, so that the
#: smallest data sets have some, and the four of a block show all 14 categories between them.
_BLOCK = ("test",) * 4 + ("train", "val", "train", "train") * 4
_TESTS = 4

#: How often a category is added to a case: its fraction of the findings in the data set (paper, Table 3), the rare ones
#: raised to 1.5 % so that a data set of some dozen cases shows them in training too.
_WEIGHTS = MappingProxyType(
    {
        "1a": 3.1, "1b": 3.9, "1c": 5.9, "1d": 2.5, "1e": 4.6, "1f": 1.8, "2a": 14.9, "2b": 17.3, "2c": 19.0,
        "2d": 23.5, "2e": 2.5, "2f": 1.5, "2g": 1.5, "2h": 1.5,
    }
)  # fmt: skip

#: Categories that spread over several segments; a case shows two of them at most.
_WIDE = frozenset({"1a", "1b", "1c", "1d", "1e", "1f"})
_PLEURAL = frozenset({"2e", "2g"})

_UPPER, _MIDDLE, _LOWER = {1, 4}, {2}, {3, 5}


@dataclass(frozen=True)
class Location:
    """Where a finding lies.

    Parameters
    ----------
    segments
        The segments it owns; empty in the pleural space.
    phrase
        The same in words, e.g. ``"in the right lower lobe"``.
    """

    segments: tuple[int, ...]
    phrase: str

    @property
    def plural(self) -> bool:
        """Whether the place has more than one part."""
        return len(self.segments) > 1


@dataclass(frozen=True)
class PlannedFinding:
    """A category at a site; `collapsed` where the lung there has lost volume."""

    category: str
    site: Location
    collapsed: bool = False


@dataclass(frozen=True)
class CasePlan:
    """A case before it is drawn: number, split, findings, and what fills the pleural spaces."""

    number: int
    split: str
    findings: tuple[PlannedFinding, ...]
    pleura: tuple[PleuralSpace, ...]

    @property
    def collapsed(self) -> tuple[int, ...]:
        """The lobes that have lost volume."""
        numbers = {number for planned in self.findings if planned.collapsed for number in planned.site.segments}
        return tuple(sorted({segment(number).lobe for number in numbers}))

    @property
    def name(self) -> str:
        """File name in the pattern of the data set: source, patient, scan, reconstruction."""
        return f"phantom_{self.number + 1}_a_1.nii.gz"


def split_of(number: int) -> str:
    """Return the split of case `number`, counted from 0."""
    return _BLOCK[number % len(_BLOCK)]


def plan_case(seed: int, number: int) -> CasePlan:
    """Plan case `number`, counted from 0, of the data set of `seed`."""
    rng = stream(seed, number, Stream.PLAN)
    categories = _categories(seed, number, rng)
    free = {item.number for item in SEGMENTS}
    pleura: list[PleuralSpace] = []
    sites: dict[int, Location] = {}
    for index, category in sorted(enumerate(categories), key=lambda item: item[1], reverse=True):
        if category in _PLEURAL:  # air first: it needs one side, fluid may take what is left of two
            taken = {space.side for space in pleura}
            spaces, phrase, covered = _pleural(category, index, taken, rng)
            pleura += spaces
            free -= covered
            sites[index] = Location((), phrase)
    rest = [index for index in range(len(categories)) if index not in sites]
    for index in sorted(rest, key=lambda i: (len(_fitting(categories[i])), i)):
        sites[index] = _site(categories[index], free, rng)
        free -= set(sites[index].segments)
    collapsed = {index for index, category in enumerate(categories) if category == "2b" and rng.random() < 0.4}
    findings = tuple(
        PlannedFinding(category, sites[index], index in collapsed) for index, category in enumerate(categories)
    )
    return CasePlan(number, split_of(number), findings, tuple(pleura))


def _categories(seed: int, number: int, rng: np.random.Generator) -> list[str]:
    block, place = divmod(number, len(_BLOCK))
    chosen: list[str] = []
    if place < _TESTS:
        shuffle = stream(seed, block, Stream.PLAN, part=1)
        wide = list(shuffle.permutation(sorted(_WIDE)))
        focal = list(shuffle.permutation(sorted(set(_WEIGHTS) - _WIDE)))
        chosen = [str(code) for code in wide[place::_TESTS] + focal[place::_TESTS]]
    wanted = max(len(chosen), int(rng.integers(2, 6)))
    codes = sorted(_WEIGHTS)
    shares = np.array([_WEIGHTS[code] for code in codes])
    while len(chosen) < wanted:
        code = codes[rng.choice(len(codes), p=shares / shares.sum())]
        too_wide = code in _WIDE and len(_WIDE & set(chosen)) >= 2
        if code not in chosen and not too_wide:
            chosen.append(code)
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _pleural(
    category: str, finding: int, taken: Collection[Side], rng: np.random.Generator
) -> tuple[list[PleuralSpace], str, set[int]]:
    sides: list[Side] = [side for side in ("right", "left") if side not in taken]
    side = sides[rng.integers(len(sides))]
    if category == "2g":
        spaces: list[PleuralSpace] = [Pneumothorax(side, finding, 1, -998.0, float(rng.uniform(16, 30)))]
        return (
            spaces,
            side,
            _numbers(
                side, ("apical", "apicoposterior", "anterior", "superior lingular", "inferior lingular", "medial")
            ),
        )
    kind = rng.choice(["effusion", "bilateral", "plate"], p=[0.5, 0.25, 0.25])
    if kind == "plate":
        centre, height = float(rng.uniform(-60, 10)), float(rng.uniform(38, 60))
        hu = float(rng.choice([45.0, 260.0], p=[0.7, 0.3]))
        return [Thickening(side, finding, 1, hu, float(rng.uniform(6, 11)), centre, height)], side, set()
    chosen = sides if kind == "bilateral" and len(sides) == 2 else [side]
    spaces = [
        Effusion(each, finding, entity, float(rng.uniform(4, 16)), float(rng.uniform(24, 48)))
        for entity, each in enumerate(chosen, start=1)
    ]
    covered = set().union(*(_numbers(each, ("posterior basal", "lateral basal")) for each in chosen))
    return spaces, "both" if len(chosen) == 2 else side, covered


def _numbers(side: Side, names: Iterable[str]) -> set[int]:
    return {item.number for item in SEGMENTS if item.side == side and item.name in names}


def _fitting(category: str) -> set[int]:
    """Segments in which a category is drawn: where it is usually found, so that text, place and disease agree."""
    if category == "1c":
        return {item.number for item in SEGMENTS if item.lobe in _UPPER and "lingular" not in item.name}
    if category == "2f":
        return {item.number for item in SEGMENTS if item.name in ("lateral basal", "posterior basal")} | {8, 16}
    if category == "1d":
        return {item.number for item in SEGMENTS if item.lobe in _LOWER | _MIDDLE}
    return {item.number for item in SEGMENTS}


def _site(category: str, free: set[int], rng: np.random.Generator) -> Location:
    """Choose free segments for a category, and the words for them."""
    fitting = sorted(_fitting(category) & free) or sorted(free)
    kinds = ["both lungs", "both lobes", "lobe"] if category in _WIDE else ["segment", "segment", "lobe", "both lobes"]
    if category == "2d":
        kinds += ["lung", "both lungs"]
    for kind in [kinds[i] for i in rng.permutation(len(kinds))]:
        groups = _groups(kind, [segment(number) for number in fitting])
        if groups:
            return _draw(kind, groups[rng.integers(len(groups))], rng)
    return _draw("segment", [[segment(int(rng.choice(fitting)))]], rng)


def _groups(kind: str, free: list[Segment]) -> list[list[list[Segment]]]:
    """List the possible places of a kind; each is one list of segments for every part the words promise."""
    lobes = {number: [item for item in free if item.lobe == number] for number in LOBES}
    sides = {side: [item for item in free if item.side == side] for side in ("right", "left")}
    if kind == "segment":
        return [[[item]] for item in free]
    if kind == "lobe":
        return [[members] for members in lobes.values() if members]
    if kind == "both lobes":
        return [[lobes[a], lobes[b]] for a, b in ((1, 4), (3, 5)) if lobes[a] and lobes[b]]
    if kind == "lung":
        several = {side: _by_lobe(members) for side, members in sides.items()}
        return [parts for parts in several.values() if len(parts) >= 2]
    return [[sides["right"], sides["left"]]] if sides["right"] and sides["left"] else []


def _by_lobe(members: list[Segment]) -> list[list[Segment]]:
    return [[item for item in members if item.lobe == lobe] for lobe in sorted({item.lobe for item in members})]


def _draw(kind: str, parts: list[list[Segment]], rng: np.random.Generator) -> Location:
    most = {"segment": 1, "lobe": 2, "lung": 1}.get(kind, 2)
    chosen: list[Segment] = []
    for part in parts:
        count = min(len(part), int(rng.integers(1, most + 1)))
        chosen += [part[i] for i in sorted(rng.permutation(len(part))[:count])]
    first = chosen[0]
    zone = "upper" if first.lobe in _UPPER else "lower"
    options = {
        "segment": [f"in the {first.name} segment of the {LOBES[first.lobe]}"],
        "lobe": [f"in the {LOBES[first.lobe]}"],
        "both lobes": [f"in both {zone} lobes", f"in the {zone} lobes of both lungs", f"in the bilateral {zone} lobes"],
        "lung": [f"in the {first.side} lung"],
        "both lungs": ["in both lungs", "bilaterally"],
    }[kind]
    phrase = options[rng.integers(len(options))]
    return Location(tuple(item.number for item in chosen), phrase)
