"""Words that several rules share: of seeing, of having gone, and of earlier examinations. Parts of expressions."""

from __future__ import annotations

from typing import Final

#: That something is on the images: "was observed", "not seen".
SEEN: Final = (
    r"(?:observed|detected|seen|noted|present|found|identified|evident|monitored|watched|encountered|visuali[sz]ed|"
    r"demonstrated|followed|available|visible|noticed|recogni[sz]ed)"
)
#: That something is no longer there, said of it after a verb or before it.
GONE: Final = (
    r"(?:(?:has|have|had)\s+(?:\w+\s+){0,2}?(?:been\s+)?(?:resolved|disappeared|cleared|gone|vanished|resorbed|closed|"
    r"re-?expanded|re-?aerated|regressed\s+completely)|"
    r"(?:is|are|was|were|now)\s+(?:\w+\s+){0,2}?(?:gone|resorbed|resolved|vanished)|"
    r"(?:total|complete|full|entire)\w*\s+(?:regress|resol|disappear|clear)\w*)"
)
#: An earlier examination, without the word for it.
THE_EARLIER: Final = r"(?:the\s+|his\s+|her\s+)?(?:previous|prior|old|former|earlier|comparison|last)\b"
