"""What a data set says of itself, checked without opening a volume; nothing is changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from harness.categories import CATEGORIES
from harness.dataset.cases import Dataset
from harness.dataset.index import SUFFIX, Index, shown
from harness.dataset.layout import ct_paths, seg_paths
from harness.dataset.problems import DataProblem, Level

_PARTIAL_TRUTH: Final = 3  # entities a finding in the released train masks, at most


def declared_rules(index: Index, names: Iterable[str]) -> Iterator[DataProblem]:
    """Check what the index says of the cases of the splits `names`, without a look at any file."""
    for split in names:
        for case in index.splits[split]:
            where = f"{split}/{case.id}"
            if not case.findings:
                yield DataProblem(Level.WARNING, "no-findings", where, "the case has no finding", "leave it out")
            for key in case.findings:
                code = case.categories.get(key)
                if code is None:
                    fix = "add its code to `categories`; without it the finding is in no mean by category"
                    yield DataProblem(Level.WARNING, "no-category", f"{where} finding {key}", "it has no category", fix)
                elif code not in CATEGORIES:
                    what, fix = f"category {code} is not known", f"use one of {', '.join(CATEGORIES)}"
                    yield DataProblem(Level.ERROR, "unknown-category", f"{where} finding {key}", what, fix)
                entities = case.entity_counts.get(key, 0)
                if split == "train" and entities > _PARTIAL_TRUTH:
                    what = f"{entities} entities, where the released train masks hold up to {_PARTIAL_TRUTH} a finding"
                    fix = "nothing, if this data set's train masks are exhaustive"
                    yield DataProblem(Level.INFO, "train-entities", f"{where} finding {key}", what, fix)
            for field in ("entity_counts", "pixels", "categories"):
                extra = sorted(set(getattr(case, field)) - set(case.findings))
                if extra:
                    what = f"`{field}` has keys that are no finding: {shown(extra)}"
                    yield DataProblem(Level.WARNING, "orphan-key", where, what, "remove them, or add the findings")


def leakage_rules(dataset: Dataset, names: Sequence[str]) -> Iterator[DataProblem]:
    """Check that no case and no patient stands in one of the splits `names` and in another."""
    by_case: defaultdict[str, list[str]] = defaultdict(list)
    by_patient: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for case in dataset:
        by_case[case.id].append(case.split)
        by_patient[case.patient].setdefault(case.split, []).append(case.id)
    for name, splits in by_case.items():
        if len(splits) > 1 and not set(splits).isdisjoint(names):
            what, fix = f"the case stands in {' and '.join(splits)}", "keep it in one split"
            yield DataProblem(Level.ERROR, "case-in-two-splits", name, what, fix)
    for patient, scans in by_patient.items():
        if len(scans) > 1 and not set(scans).isdisjoint(names) and len({i for ids in scans.values() for i in ids}) > 1:
            what = "; ".join(f"{split}: {', '.join(ids)}" for split, ids in scans.items())
            fix = "keep all scans of a patient in one split; a model trained on one has seen the other"
            yield DataProblem(Level.ERROR, "patient-in-two-splits", patient, what, fix)


def presence_rules(dataset: Dataset, names: Sequence[str]) -> Iterator[DataProblem]:
    """Check that every case has its files; a data set without any CT, or a split without any mask, is said once."""
    no_ct = not any(case.ct for case in dataset)
    raw_only = False
    for split in names:
        cases = dataset.splits[split]
        no_seg = not any(case.truth for case in cases)
        if cases and no_seg:
            what = "no case has a mask: predictions can be made, and cannot be scored"
            yield DataProblem(Level.INFO, "not-scorable", split, what, "nothing, where the masks are withheld")
        for case in cases:
            where = f"{split}/{case.id}"
            name = case.id + SUFFIX
            if case.truth is None and not no_seg:
                yield _missing("seg", "mask", where, seg_paths(dataset.root, name), dataset.root)
            if case.ct is not None:
                continue
            raw = next((path for path in ct_paths(dataset.root, name, fixed=False) if path.is_file()), None)
            if raw is not None:
                raw_only = True
                what = f"only the uncorrected volume is there ({raw}); its values need a slope and an intercept"
                fix = "download the volume of the same name from CT-RATE's `*_fixed` folder"
                yield DataProblem(Level.ERROR, "raw-ct", where, what, fix)
            elif not no_ct:
                yield _missing("ct", "CT", where, ct_paths(dataset.root, name), dataset.root)
            elif case.declared_shape is None or case.declared_spacing is None:
                what = "there is no CT, and the index's `shape` and spacing.json do not tell its grid"
                fix = "add `shape` to the index and the case to spacing.json, or add the CT"
                yield DataProblem(Level.WARNING, "no-grid", where, what, fix)
    if no_ct and not raw_only:
        what = "there are no CTs: masks can be scored, and nothing can be predicted"
        yield DataProblem(Level.INFO, "no-cts", str(dataset.root), what, "nothing, if that is all that is wanted")


def _missing(code: str, kind: str, where: str, tried: Iterable[Path], root: Path) -> DataProblem:
    places = list(tried)
    dangling = next((path for path in places if path.is_symlink()), None)
    if dangling is not None:
        what = f"the {kind} {dangling.relative_to(root)} is a link to {dangling.readlink()}, where no file is"
        fix = "put the file back, or link the data set again"
    else:
        what = f"the {kind} is neither at {places[0].relative_to(root)} nor anywhere else it may be"
        fix = "download it, or take the case out of the index"
    return DataProblem(Level.ERROR, f"missing-{code}", where, what, fix)
