"""The statements of a data set's index, checked without reading any other file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from harness.categories import CATEGORIES
from harness.dataset.index import IndexCase, shown
from harness.dataset.problems import DataProblem, Level

_PARTIAL_TRUTH: Final = 3  # entities a finding in the released train masks, at most


def declared_rules(split: str, entries: Iterable[IndexCase]) -> Iterator[DataProblem]:
    """Check the index's statements about the cases of one split, without reading any other file."""
    for entry in entries:
        where = f"{split}/{entry.id}"
        if not entry.findings:
            yield DataProblem(Level.WARNING, "no-findings", where, "the case has no findings", "leave it out")
        for key in entry.findings:
            code = entry.categories.get(key)
            if code is None:
                fix = "add its code to `categories`; without it the finding does not count in any mean by category"
                yield DataProblem(Level.WARNING, "no-category", f"{where} finding {key}", "it has no category", fix)
            elif code not in CATEGORIES:
                what, fix = f"category {code} is not known", f"use one of {', '.join(CATEGORIES)}"
                yield DataProblem(Level.ERROR, "unknown-category", f"{where} finding {key}", what, fix)
            entities = entry.entity_counts.get(key, 0)
            if split == "train" and entities > _PARTIAL_TRUTH:
                what = f"{entities} entities, where the released train masks contain up to {_PARTIAL_TRUTH} per finding"
                fix = "nothing, if this data set's train masks are exhaustive"
                yield DataProblem(Level.INFO, "train-entities", f"{where} finding {key}", what, fix)
        for field in ("entity_counts", "pixels", "categories"):
            extra = sorted(set(getattr(entry, field)) - set(entry.findings))
            if extra:
                what = f"`{field}` has keys that are not findings: {shown(extra)}"
                yield DataProblem(Level.WARNING, "orphan-key", where, what, "remove them, or add the findings")
