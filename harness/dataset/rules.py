"""Checks that the files of a data set exist, once each, and no patient is in two splits; without opening volumes."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from harness.dataset.cases import SCAN, Case, Dataset
from harness.dataset.index import SUFFIX
from harness.dataset.layout import all_present, ct_paths, present, seg_paths
from harness.dataset.problems import DataProblem, Level
from harness.dataset.shared import DECLARE
from harness.masks.formats import conversion


def leakage_rules(dataset: Dataset, names: Sequence[str]) -> Iterator[DataProblem]:
    """Check that no case and no patient is in one of the splits `names` and in another."""
    by_case: defaultdict[str, list[str]] = defaultdict(list)
    by_patient: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for case in dataset:
        by_case[case.id].append(case.split)
        if case.patient is not None:
            by_patient[case.patient].setdefault(case.split, []).append(case.id)
    for name, splits in by_case.items():
        if len(splits) > 1 and not set(splits).isdisjoint(names):
            what, fix = f"the case is in {' and '.join(splits)}", "keep it in one split"
            yield DataProblem(Level.ERROR, "case-in-two-splits", name, what, fix)
    for patient, scans in by_patient.items():
        if len(scans) > 1 and not set(scans).isdisjoint(names) and len({i for ids in scans.values() for i in ids}) > 1:
            what = "; ".join(f"{split}: {', '.join(ids)}" for split, ids in scans.items())
            if dataset.split_by == SCAN:
                fix = "nothing: it is declared that scans were dealt"
                yield DataProblem(Level.WARNING, "patient-in-two-splits", patient, what, fix)
            else:
                yield DataProblem(Level.ERROR, "patient-in-two-splits", patient, what, DECLARE)


def presence_rules(dataset: Dataset, names: Sequence[str]) -> Iterator[DataProblem]:
    """Check that every case has its files; a data set without any CT, or a split without any mask, is reported once."""
    folder = _Folder(dataset.root)
    no_ct = not any(case.ct for case in dataset)
    without_ct = []
    for split in names:
        cases = dataset.splits[split]
        no_seg = not any(case.truth or folder.beside(seg_paths(dataset.root, case.id + SUFFIX)) for case in cases)
        if cases and no_seg:
            use = "nothing can be predicted or scored" if no_ct else "predictions can be made, and cannot be scored"
            yield DataProblem(
                Level.INFO,
                "not-scorable",
                split,
                f"no case has a mask: {use}",
                "none needed where the masks are withheld",
            )
        for case in cases:
            where = f"{split}/{case.id}"
            name = case.id + SUFFIX
            yield from _one_file("seg", where, seg_paths(dataset.root, name))
            yield from _one_file("ct", where, ct_paths(dataset.root, name))
            if case.truth is None and not no_seg:
                yield folder.missing("seg", "mask", where, list(seg_paths(dataset.root, name)))
            if case.ct is None and (problem := _without_ct(folder, case, where, no_ct=no_ct)) is not None:
                yield problem
                without_ct.append(problem.code)
    if no_ct and any(dataset.splits[split] for split in names) and set(without_ct) <= {"no-grid"}:
        what = "the data set has no CTs: masks can be scored, but models cannot be run"
        yield DataProblem(Level.INFO, "no-cts", str(dataset.root), what, "none needed for scoring alone")


def _without_ct(folder: _Folder, case: Case, where: str, *, no_ct: bool) -> DataProblem | None:
    name = case.id + SUFFIX
    places = list(ct_paths(folder.root, name))
    raw = present(ct_paths(folder.root, name, fixed=False))
    if raw is not None:
        what = f"only the uncorrected volume is present ({raw}); its values need a slope and an intercept"
        fix = "download the volume of the same name from CT-RATE's `*_fixed` folder"
        return DataProblem(Level.ERROR, "raw-ct", where, what, fix)
    if not no_ct or folder.beside(places):
        return folder.missing("ct", "CT", where, places)
    if case.declared_shape is None or case.declared_spacing is None:
        what = "the CT is missing, and the index's `shape` and spacing.json do not give its grid"
        fix = "add `shape` to the index and the case to spacing.json, or add the CT"
        return DataProblem(Level.WARNING, "no-grid", where, what, fix)
    return None


def _one_file(kind: str, where: str, places: Iterable[Path]) -> Iterator[DataProblem]:
    """Check that no two files could be the same volume: the choice must not depend on their paths."""
    found = all_present(places)
    for first, other in pairwise(found):
        if not _same_content(first, other):
            what = f"{first} and {other} could both be its {'CT' if kind == 'ct' else 'mask'}, and they differ"
            yield DataProblem(Level.ERROR, f"two-{kind}s", where, what, "keep the correct one")


def _same_content(first: Path, second: Path) -> bool:
    if first.samefile(second):
        return True
    return first.stat().st_size == second.stat().st_size and filecmp.cmp(first, second, shallow=False)


class _Folder:
    """The files in the folders of a data set, listed once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[Path, list[str]] = {}

    def beside(self, places: Iterable[Path]) -> list[Path]:
        """Return the files that carry a case's name in another format, or in other letters."""
        found = []
        for place in places:
            stem = place.name.removesuffix(SUFFIX).lower() + "."
            found += [place.parent / name for name in self._names(place.parent) if name.lower().startswith(stem)]
        return found

    def missing(self, code: str, kind: str, where: str, places: Sequence[Path]) -> DataProblem:
        """Return the problem at the place of a missing file."""
        dangling = next((path for path in places if path.is_symlink()), None)
        others = [path for path in self.beside(places) if not path.is_symlink() or path.exists()]
        folder = next((path for path in places if path.is_dir()), None)
        if dangling is not None:
            what = f"the {kind} {dangling.relative_to(self.root)} links to {dangling.readlink()}, which does not exist"
            fix = "put the file back, or link the data set again"
        elif folder is not None:
            what = f"{folder.relative_to(self.root)}, where the {kind} should be, is a folder"
            fix = "put the file itself there"
        elif others:
            what = f"the {kind} exists as {others[0].relative_to(self.root)}, a format that is not read as a {kind}"
            fix = f"convert it: {conversion(others[0].name, places[0].name)}"
        else:
            what = f"the {kind} is missing: neither {places[0].relative_to(self.root)} nor another allowed path exists"
            holds = self._names(places[0].parent)
            if not any(name.endswith((SUFFIX, ".nii")) for name in holds) and holds:
                what += f"; {places[0].parent.relative_to(self.root)} contains {', '.join(sorted(holds)[:3])} and so on"
            fix = "download it, or remove the case from the index"
        return DataProblem(Level.ERROR, f"missing-{code}", where, what, fix)

    def _names(self, folder: Path) -> list[str]:
        if folder not in self._listed:
            self._listed[folder] = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return self._listed[folder]
