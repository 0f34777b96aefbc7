"""What the owner of a data set allows to be passed on: terms, which a licence's name does not tell.

A gate that a user agreed to, a consent or a contract may forbid what a licence permits. Each question has three
answers, and what nobody has answered is never taken for a yes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from harness.status import Answer

Line = Annotated[str, Field(max_length=500)]


class Terms(BaseModel):
    """The terms of one data set, as its owner states them.

    Sums over findings (means, intervals, ranks) are facts about a model and are not asked about here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    licence: Line | None = None
    licence_url: Line | None = None
    authors: Line | None = None
    source: Line | None = None  #: address of the page with the terms
    contact: Line | None = None
    read_on: date | None = None  #: when somebody last read that page
    permission: Line | None = None  #: who allowed what in writing, and when: it takes the place of terms known here

    gated: Answer = Answer.UNKNOWN  #: each user agrees to the terms before the download
    scores: Answer = Answer.UNKNOWN  #: the score of a single finding may be published, by case and digest of its text
    texts: Answer = Answer.UNKNOWN  #: the texts of findings may be published
    images: Answer = Answer.UNKNOWN  #: slices and crops of the CTs may be published
    masks: Answer = Answer.UNKNOWN  #: the reference masks may be published
    derived: Answer = Answer.UNKNOWN  #: models' masks and trained checkpoints may be passed on
    commercial: Answer = Answer.UNKNOWN  #: commercial use is allowed
    identification: Answer = Answer.UNKNOWN  #: attempts to identify a person are allowed

    def lacks(self, *names: str) -> list[str]:
        """Return those of the named answers that are not yes, as ``"texts: unknown"``."""
        return [f"{name}: {answer}" for name in names if (answer := getattr(self, name)) != Answer.YES]

    @property
    def pictures(self) -> bool:
        """Whether slices with the reference mask on them may be published."""
        return not self.lacks("images", "masks")


_ANSWERS: Final = tuple(name for name, field in Terms.model_fields.items() if field.annotation is Answer)

#: CT-RATE and the sets made from it, ReXGroundingCT among them: the gate of CT-RATE forbids to redistribute "the
#: dataset or any portion thereof", and asks that derived data respect its terms. It is stricter than the licence.
CT_RATE: Final = Terms(
    licence="CC BY-NC-SA 4.0",
    licence_url="https://creativecommons.org/licenses/by-nc-sa/4.0/",
    authors="Hamamci et al. (CT-RATE); Baharoon et al. (ReXGroundingCT)",
    source="https://huggingface.co/datasets/ibrahimhamamci/CT-RATE",
    read_on=date(2026, 11, 29),
    gated=Answer.YES,
    scores=Answer.YES,
    texts=Answer.NO,
    images=Answer.NO,
    masks=Answer.NO,
    commercial=Answer.NO,
    identification=Answer.NO,
)

#: Names of CT-RATE's scans.
OF_CT_RATE: Final = re.compile(r"(train|valid)_[0-9]+_[a-z]+_[0-9]+")


def terms_of(stated: Terms | None, cases: Iterable[str], licence: str | None = None) -> Terms:
    """Return the terms that hold for a data set.

    Parameters
    ----------
    stated
        What its ``groundbench.json`` states.
    cases
        The names of its cases. CT-RATE's scans are known by theirs, whatever the folder states about them, unless the
        owners' written `permission` is stated.
    licence
        The licence that the index states where the terms do not.
    """
    terms = stated or Terms()
    if terms.licence is None and licence:
        terms = terms.model_copy(update={"licence": licence})
    if terms.permission is None and any(OF_CT_RATE.fullmatch(case) for case in cases):
        return strictest([terms, CT_RATE])
    return terms


def strictest(several: Iterable[Terms]) -> Terms:
    """Return what all of several statements about one data set allow: no before yes, and yes before unknown.

    Words (licence, authors, …) that differ are joined by a slash.
    """
    several = list(several)
    said: dict[str, Any] = {}
    for name in Terms.model_fields:
        values = [getattr(terms, name) for terms in several]
        if name in _ANSWERS:
            said[name] = next((one for one in (Answer.NO, Answer.YES) if one in values), Answer.UNKNOWN)
        elif name == "read_on":
            said[name] = max((value for value in values if value), default=None)
        else:
            said[name] = " / ".join(dict.fromkeys(value for value in values if value)) or None
    return Terms.model_construct(**said)
