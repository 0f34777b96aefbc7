"""What a trained checkpoint is derived from, and whether it may be shared: not unless everything allows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.dataset import Dataset
from harness.registry.licences import against_sharing
from harness.registry.pinned import Weights
from harness.status import Answer, of_parts


def derived(weights: Iterable[Weights], data: Dataset) -> dict[str, Any]:
    """Return the part of a checkpoint's record about its origin.

    Parameters
    ----------
    weights
        The files that the training starts from.
    data
        The data set whose cases it is trained on and chosen by.

    Returns
    -------
    dict
        ``derived_from``, each work with its name, licence and note; ``share``: the ``answer``, yes only where every
        licence allows it, no two of them exclude each other, nobody asks for more, and the terms of the data set allow
        what is derived from it; and the reasons against it (``because``).
    """
    works = [{"name": file.origin, "licence": file.licence, "note": file.note} for file in weights]
    terms = data.terms
    works.append({"name": f"data set {data.name}", "licence": terms.licence or "not stated", "note": ""})
    against = against_sharing((work["name"], work["licence"]) for work in works)
    against += [(Answer.UNKNOWN, f"{work['name']}: {work['note']}") for work in works if work["note"]]
    if terms.derived is not Answer.YES:
        against.append((Answer(terms.derived), f"the terms of {data.name} say of what is derived: {terms.derived}"))
    answer = of_parts([answer for answer, _ in against] or [Answer.YES])
    return {"derived_from": works, "share": {"answer": str(answer), "because": [reason for _, reason in against]}}
