"""A split of which some truths are missing: what can be scored, as an index of its own with a split of its own."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.dataset.cases import Dataset
from harness.dataset.index import SUFFIX, load_json
from harness.errors import DataError

#: Ends the name of such a split: a score on a part is never one on the whole.
WITH_TRUTH: Final = "with-truth"


@dataclass(frozen=True)
class Scorable:
    """The new index, its split, and how many cases of the whole split it has."""

    index: Path
    split: str
    cases: int
    whole: int


def write_scorable(dataset: Dataset, split: str) -> Scorable:
    """Write an index beside that of a data set, whose split ``test-with-truth`` has the cases of ``test`` with a truth.

    All other splits and fields stay as they are, so that what is trained on is kept apart by the same rules.

    Parameters
    ----------
    dataset, split
        An opened data set, and its split that lacks truths.

    Raises
    ------
    UsageError
        The split does not exist.
    DataError
        No case of it has a truth, or all have; or the index cannot be read or written.
    """
    cases = dataset.split(split)
    known = {case.id for case in cases if case.truth is not None}
    if len(known) in (0, len(cases)):
        what = "no case" if not known else "every case"
        raise DataError(
            f"{what} of split {split!r} of {dataset.name} has its ground truth",
            fix="choose another split; `bench data info` lists them" if not known else f"use the split {split} itself",
        )
    document, problems = load_json(dataset.index)
    if problems:
        raise DataError(f"{dataset.index} cannot be read again: {problems[0].what}", fix=problems[0].fix)
    name = f"{split}-{WITH_TRUTH}"
    kept = [entry for entry in document.pop(split) if entry["name"].removesuffix(SUFFIX) in known]
    document = {**document, **({"split_by": dataset.split_by} if dataset.split_by else {}), name: kept}
    path = dataset.root / f"{name}.json"
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        beside.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}", fix="make the folder writable") from error
    finally:
        beside.unlink(missing_ok=True)
    return Scorable(path, name, len(kept), len(cases))
