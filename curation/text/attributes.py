"""Words that describe a finding, and what two wordings may call them."""

from __future__ import annotations

import re
from typing import Final

#: Words that describe a finding: one that is not among those of its source, in any of these spellings, is invented.
MEANT: Final = {
    "calcified": re.compile(r"calci|granulom", re.IGNORECASE),
    "spiculated": re.compile(r"spicul|radial", re.IGNORECASE),
    "cavitary": re.compile(r"cavit|excavat", re.IGNORECASE),
    "necrotic": re.compile(r"necro", re.IGNORECASE),
    "subsolid": re.compile(r"\b(?:semi|part|sub)(?:ly)?[- ]?solid|ground", re.IGNORECASE),
    "loculated": re.compile(r"locul|encyst|encapsul|septat|ankyst", re.IGNORECASE),
    "lobulated": re.compile(r"lobul", re.IGNORECASE),
    "air bronchogram": re.compile(r"bronchogram", re.IGNORECASE),
    "halo": re.compile(r"halo|atoll|around|surround", re.IGNORECASE),
    "peripheral": re.compile(r"periph|subpleural|cortical", re.IGNORECASE),
    "central": re.compile(r"cent(?:ral|er|re)|hilar|hilum|hilus|caudal|midline", re.IGNORECASE),
    "new": re.compile(
        r"\bnew|emerg|appear|develop|de novo|recent|added|(?:not|no)\b.*\b(?:previous|prior|old|former|earlier)|occur",
        re.IGNORECASE,
    ),
    "stable": re.compile(
        r"stab|unchang|\b(?:no|not|without)\b.*\b(?:chang|differ|increas|decreas|progress|regress)|same|similar|persist|"
        r"continu|remain|keeps?\b|stay|preserv|still|again|previous",
        re.IGNORECASE,
    ),
}
_SAID: Final = {
    "calcified": r"calcif",
    "spiculated": r"spiculat",
    "cavitary": r"cavitary|cavitat",
    "necrotic": r"necrotic",
    "subsolid": r"(?:semi|part|sub)[- ]?solid",
    "loculated": r"loculat",
    "lobulated": r"lobulat",
    "air bronchogram": r"air[- ]?bronchogram",
    "halo": r"halo\b",
    "peripheral": r"peripheral",
    "central": r"central(?:ly)?\b(?!\s+(?:\w+\s+)?(?:catheter|line))",
    "new": r"new(?:ly)?\b",
    "stable": r"stable|unchanged",
}
SAYS: Final = {name: re.compile(rf"\b(?:{words})", re.IGNORECASE) for name, words in _SAID.items()}
#: Attributes that make another finding of a finding of the same name.
SHAPES: Final = frozenset({"spiculated", "cavitary", "necrotic", "subsolid", "loculated"})
#: What is calcified in any case.
_CALCIUM = re.compile(r"\b(?:athero|plaque|stone|calcul|granulom|sequel)", re.IGNORECASE)


def added(source: str, target: str) -> list[str]:
    """Return the attributes that `target` gives its findings, and `source` by no word, in words."""
    return [
        f"{name!r} is not in its source"
        for name, says in SAYS.items()
        if says.search(target) and not MEANT[name].search(source)
    ]


def dropped(source: str, target: str) -> list[str]:
    """Return attributes that `source` gives its findings, and `target` leaves out, in words."""
    names = (*sorted(SHAPES), *(() if _CALCIUM.search(source) else ("calcified",)))
    return [f"{n!r} is lost" for n in names if SAYS[n].search(source) and not MEANT[n].search(target)]
