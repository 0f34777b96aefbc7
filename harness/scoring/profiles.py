"""The profiles: which metrics, with which thresholds. Data, read by the functions of this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from harness.errors import UnknownName, UsageError

#: The split whose masks have at most three entities per finding: further predictions there may be correct.
PARTIAL_SPLIT = "train"


@dataclass(frozen=True)
class Hit:
    """The rule by which a finding counts as found.

    Attributes
    ----------
    threshold
        The Dice to reach.
    inclusive
        Whether the threshold itself is a hit.
    """

    threshold: float
    inclusive: bool

    def __call__(self, dice: float) -> bool:
        """Return whether a finding of this Dice is a hit."""
        return dice >= self.threshold if self.inclusive else dice > self.threshold


@dataclass(frozen=True)
class InstanceRule:
    """The rule by which a predicted mask becomes instances, and an instance counts as found.

    Attributes
    ----------
    connectivity
        6, 18 or 26 neighbours make one predicted component.
    min_voxels
        Smaller components are dropped.
    max_components
        Only the largest so many are kept; among equals those whose first voxel comes first in C order.
    match_dice
        Smallest Dice of a matched pair, itself included.
    distance_spacings
        A pair matches by distance up to this multiple of the largest voxel spacing, itself included.
    assd
        ``"pooled"``: the mean over the surface voxels of both; ``"directed"``: the mean of the two directed means.
    distance_match
        ``"distance"``: pairs are taken nearest first; ``"dice"``: the pairs that overlap matched are tested.
    """

    connectivity: Literal[6, 18, 26] = 18
    min_voxels: int = 10
    max_components: int = 50
    match_dice: float = 0.2
    distance_spacings: float = 2.0
    assd: Literal["pooled", "directed"] = "pooled"
    distance_match: Literal["distance", "dice"] = "distance"


@dataclass(frozen=True)
class Profile:
    """A named set of metrics and thresholds.

    Attributes
    ----------
    name, source
        Its name, and the source that defines it.
    hits
        Metric name -> when a finding is a hit.
    smoothing
        Added to numerator and denominator of the Dice.
    instances
        The instance and distance metrics; with them the Dice is that of the components kept. None: neither.
    organiser_quirks
        Follow the organisers' evaluator also where this project differs: a case without a prediction leaves
        every mean, precision without predictions is 1, labels above 255 wrap around.
    """

    name: str
    source: str
    hits: Mapping[str, Hit]
    smoothing: float = 0.0
    instances: InstanceRule | None = None
    organiser_quirks: bool = False


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "mlhc2025": Profile(
            name="mlhc2025",
            source="ReXGroundingCT, MLHC 2025, sections 4 and 5, Table 4",
            hits=MappingProxyType({"hit5": Hit(0.05, inclusive=False), "hit10": Hit(0.10, inclusive=False)}),
        ),
        "miccai2026": Profile(
            name="miccai2026",
            source="ReXGroundingCT challenge, MICCAI 2026, and its organisers' evaluator",
            hits=MappingProxyType({"hit": Hit(0.1, inclusive=True)}),
            smoothing=1e-6,
            instances=InstanceRule(),
        ),
    }
)


def profile_named(name: str) -> Profile:
    """Return a profile; raises UsageError with the nearest names."""
    try:
        return PROFILES[name]
    except KeyError:
        raise UnknownName("profile", name, PROFILES) from None


def profiles_on(split: str) -> dict[str, Profile]:
    """Return the profiles that a split can be scored by: instances are not counted where the masks are partial."""
    return {name: profile for name, profile in PROFILES.items() if profile.instances is None or split != PARTIAL_SPLIT}


def profile_on(name: str, split: str) -> Profile:
    """Return a profile for a split; raises UsageError for an unknown one, or where the split's masks are partial."""
    profile = profile_named(name)
    if name not in profiles_on(split):
        raise UsageError(
            f"{split} masks have at most three entities per finding, so {name} cannot count instances on them",
            fix="use --profile mlhc2025, or another split",
        )
    return profile
