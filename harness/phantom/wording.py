"""How a report says what was painted: hedged, compared, negated, in centimetres, or set against another finding.

What is added is true of the phantom or says nothing of where the finding is. Half of the texts stay plain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

#: Category -> what a report may add to a finding of it, after a comma.
_HEDGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "1a": ("suggestive of chronic bronchitis", "possibly due to airway inflammation"),
        "1b": ("probably post-infectious",),
        "1c": ("probably smoking-related",),
        "1d": ("possibly representing interstitial oedema", "suggestive of interstitial congestion"),
        "1e": ("possibly due to small airways infection", "likely infectious bronchiolitis"),
        "1f": ("possibly due to small airways disease",),
        "2a": ("likely sequela of a previous infection", "probably chronic"),
        "2b": ("suggestive of an infectious process", "which may be inflammatory"),
        "2c": ("possibly infectious", "suspicious for viral pneumonia in the appropriate setting"),
        "2d": ("indeterminate", "possibly benign"),
        "2e": ("likely reactive",),
        "2f": ("compatible with a usual interstitial pneumonia pattern",),
        "2g": ("probably spontaneous",),
        "2h": ("of uncertain origin",),
    }
)

#: Category -> what a report may say is absent, and is.
_ABSENT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "1d": ("without nodularity",),
        "1e": ("without confluence",),
        "2b": ("without cavitation",),
        "2c": ("without consolidation",),
        "2d": ("without cavitation",),
        "2f": ("without superimposed consolidation",),
    }
)

_COMPARED = (
    "unchanged since the previous examination",
    "new since the previous examination",
    "stable compared to prior",
)

#: Category -> what another finding's text calls it.
_NOUNS: Mapping[str, str] = MappingProxyType(
    {
        "1a": "bronchial wall thickening", "1b": "bronchiectasis", "1c": "emphysema", "1d": "septal thickening",
        "1e": "micronodules", "1f": "air trapping", "2a": "linear densities", "2b": "airspace opacity",
        "2c": "ground-glass change", "2d": "nodular disease", "2e": "pleural disease", "2f": "honeycombing",
        "2g": "pneumothorax", "2h": "cystic lesion",
    }
)  # fmt: skip


def word(texts: Sequence[str], categories: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Word the findings of one case as a report would.

    Parameters
    ----------
    texts, categories
        The plain text and the category of each finding.
    rng
        The case's stream of wordings.

    Returns
    -------
    tuple of str
        One text for each finding; the sizes are those of the plain texts, in millimetres or centimetres.
    """
    worded = []
    for text, category in zip(texts, categories, strict=True):
        others = [_NOUNS[other] for other in categories if other != category] or [""]
        apart = f"apart from the {_one_of(rng, others)} described separately" if others[0] else ""
        additions = (
            "", "", "",
            _one_of(rng, _HEDGES[category]),
            _one_of(rng, _COMPARED),
            _one_of(rng, _ABSENT.get(category, _COMPARED)),
            apart,
        )  # fmt: skip
        plain = _in_centimetres(text) if rng.random() < 0.3 else text
        worded.append(", ".join(filter(None, (plain, _one_of(rng, additions)))))
    return tuple(worded)


def _one_of(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _in_centimetres(text: str) -> str:
    """Give both diameters of one lesion in centimetres; a plain depth or a span of sizes stays in millimetres."""
    return re.sub(r"(\d+) x (\d+) mm", lambda size: f"{int(size[1]) / 10:.1f} x {int(size[2]) / 10:.1f} cm", text)
