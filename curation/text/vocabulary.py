"""Words that several rules share: of seeing, of having gone, and of earlier examinations. Parts of expressions."""

from __future__ import annotations

from typing import Final

#: That something is on the images: "was observed", "not seen".
SEEN: Final = (
    r"(?:observed|detected|seen|noted|present|found|identified|evident|monitored|watched|encountered|visuali[sz]ed|"
    r"demonstrated|followed|available|visible|noticed|recogni[sz]ed|delineated|delineable)"
)
#: To be there, or to go on being there: "no effusion accompanies", "nodules do not exist".
EXISTS: Final = (
    r"(?:accompan(?:y|ies)|(?:co-?)?exists?|occurs?|develops?|persists?|continues?|recurs?|arises?|emerges?|joins?|forms?(?!\s+(?:an?|the)\b)|"
    r"attracts?\s+attention|stands?\s+out|stays?)"
)
#: That something is no longer there, said of it after a verb or before it.
GONE: Final = (
    r"(?:(?:has|have|had)\s+(?:\w+\s+){0,2}?(?:been\s+)?(?:resolved|disappeared|cleared|gone|vanished|resorbed|closed|"
    r"re-?expanded|re-?aerated|regressed\s+completely|finished|ceased|opened\s+up)|"
    r"opened\s+up(?=\W*$)|"
    r"(?:is|are|was|were|now)\s+(?:\w+\s+){0,2}?(?:gone|resorbed|resolved|vanished|finished|cleaned)|"
    r"(?:(?:is|are|was|were|has|have|been)\s+)+(?:completely\s+|fully\s+)?(?:drained|evacuated|expectorated|removed|withdrawn|taken\s+out|extracted)"
    r"(?=\W*$|[,;])|vanish(?:es)?\b|disappears?\b|finished(?=\W*$)|"
    r"(?:total|complete|full|entire)\w*\s+(?:regress|resol|disappear|clear)\w*)"
)
#: An earlier examination, without the word for it.
THE_EARLIER: Final = r"(?:the\s+|his\s+|her\s+)?(?:previous|prior|old|former|earlier|comparison|last)\b"
#: Where a place begins: "in the lingula", not "in size" or "in the previous".
IN_A_PLACE: Final = (
    r"\s(?:in|at|on|along|throughout|within|adjacent to|near)\s"
    r"(?!size|diameter|number|favou?r|addition|thickness|terms|comparison|which|"
    r"(?:the |his |her )?(?:previous|prior|current|old)\b)"
)
