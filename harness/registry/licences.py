"""What a licence of code or weights allows, as far as its name tells.

Three answers each. A name that is not known here tells nothing, and a note beside a licence takes back a yes: whoever
states one asks for something that the name does not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from harness.status import Answer, of_parts

#: What a declaration states where the authors state no licence: nobody has allowed anything.
NONE: Final = "none"

#: Licences that are known here, by their SPDX identifiers in capitals.
_KNOWN: Final = re.compile(
    r"APACHE-2\.0|MIT(-0)?|BSD-[0-4]-CLAUSE|0BSD|ISC|ZLIB|UNLICENSE|PSF-2\.0|PYTHON-2\.0|BSL-1\.0|MPL-[12]\.\d"
    r"|(A|L)?GPL-[23]\.\d(-ONLY|-OR-LATER|\+)?|CC0-1\.0|CC-BY(-NC)?(-SA|-ND)?-[1-4]\.0"
)
#: Those that whatever is derived must have as well, in that version or a later one.
_SHARE_ALIKE: Final = re.compile(r"(CC-BY(?:-NC)?-SA|A?GPL)-.*")


def commercial_use(licence: str, note: str = "") -> Answer:
    """Return whether commercial use is allowed under a licence (an SPDX identifier, or several joined by ``AND``)."""
    found = of_parts(_commercial(part) for part in _parts(licence))
    return Answer.UNKNOWN if note and found is Answer.YES else found


def may_be_passed_on(licence: str) -> Answer:
    """Return whether copies may be passed on under a licence, as its conditions have it."""
    return of_parts(_copies(part) for part in _parts(licence))


def against_sharing(derived_from: Iterable[tuple[str, str]]) -> list[tuple[Answer, str]]:
    """Return what stands against passing on something that is derived from several works, such as a checkpoint.

    Parameters
    ----------
    derived_from
        Name and licence of each work.

    Returns
    -------
    list
        An answer that is not yes, and its reason in words. Empty where every licence allows it and all can be kept
        in one work: two that each demand their own name for whatever is derived (share-alike) cannot.
    """
    found: list[tuple[Answer, str]] = []
    alike: dict[str, str] = {}
    for name, licence in derived_from:
        parts = _parts(licence)
        if NONE.upper() in parts:
            found.append((Answer.NO, f"{name} has no licence"))
        elif not all(_KNOWN.fullmatch(part) for part in parts):
            found.append((Answer.UNKNOWN, f"what the licence of {name} allows is not known ({licence})"))
        elif any("-ND-" in part for part in parts):
            found.append((Answer.NO, f"{name} may not be passed on in a changed form ({licence})"))
        alike |= {kind[1]: f"{name} ({licence})" for part in parts if (kind := _SHARE_ALIKE.fullmatch(part))}
    if len(alike) > 1:
        each = " and ".join(alike.values())
        found.append((Answer.NO, f"{each} each ask that what is derived has their own licence: both cannot be kept"))
    return found


def _parts(licence: str) -> list[str]:
    return [re.sub(r"[\s_]+", "-", part.strip()).upper() for part in re.split(r"\sAND\s", licence)]


def _commercial(part: str) -> Answer:
    return Answer.NO if "-NC-" in part and _KNOWN.fullmatch(part) else _copies(part)


def _copies(part: str) -> Answer:
    if part == NONE.upper():
        return Answer.NO
    return Answer.YES if _KNOWN.fullmatch(part) else Answer.UNKNOWN
