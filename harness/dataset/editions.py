"""The published editions of ReXGroundingCT, known by what is published of them, not by the name of a folder.

The release holds three indexes over the same scans. Each is a data set of its own: the paper's, the main one, and the
challenge's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from harness.dataset.cases import SCAN, Dataset
from harness.dataset.terms import OF_CT_RATE

#: Every finding of a data set, where a number is not one of a category.
ALL: Final = "all"


@dataclass(frozen=True)
class Edition:
    """One index of the release, and the numbers that are stated of it.

    Attributes
    ----------
    id, title
        Its short name, as in ``rexgroundingct:mlhc2025``, and that for people.
    index
        The file of the release.
    source
        Where the numbers stand.
    cases
        Split -> scans.
    findings
        (Split, or ``"all"`` for the sum over splits; category, or ``"all"``) -> findings.
    whole
        Whether every number must agree. Otherwise the numbers of one split make that split known.
    split_by
        What was dealt to the splits, where its makers say so: ``"scan"`` or ``"patient"``.
    """

    id: str
    title: str
    index: str
    source: str
    cases: Mapping[str, int]
    findings: Mapping[tuple[str, str], int]
    whole: bool = False
    split_by: str = ""


@dataclass(frozen=True)
class Fact:
    """One stated number beside that of a data set."""

    name: str
    split: str  #: ``"all"`` for a number over all splits
    stated: int
    found: int

    @property
    def agrees(self) -> bool:
        """Whether the two are equal."""
        return self.stated == self.found


_TABLE_3: Final = MappingProxyType(
    {"1a": 147, "1b": 188, "1c": 281, "1d": 118, "1e": 219, "1f": 86}
    | {"2a": 710, "2b": 826, "2c": 906, "2d": 1121, "2e": 120, "2f": 10, "2g": 11, "2h": 33}
)

#: Mean and standard deviation of the slices a scan, over the paper's set (section 3.5).
PAPER_DEPTH: Final = (357, 118)

PAPER: Final = Edition(
    id="mlhc2025",
    title="the paper's set",
    index="MLHC_dataset_version.json",
    source="section 3.5, Table 3, section 6.3",
    cases={"train": 1614, "val": 100, "test": 200},
    findings={(ALL, ALL): 4776}
    | {(ALL, code): n for code, n in _TABLE_3.items()}
    | {("test", "1a"): 16, ("test", "1d"): 20, ("test", "1e"): 15, ("test", "2e"): 16},
    whole=True,
    split_by=SCAN,  # section 3.5: "scans" are allocated, and nothing is said of patients
)

#: By id, in the order in which they are looked for.
EDITIONS: Final = MappingProxyType(
    {
        edition.id: edition
        for edition in (
            PAPER,
            Edition(
                id="base",
                title="the main index of the release",
                index="dataset.json",
                source="the card of the data set; its board",
                cases={"train": 2992, "val": 50, "test": 100},
                findings={("test", ALL): 226},
            ),
            Edition(
                id="challenge",
                title="the challenge's set",
                index="MICCAI_challenge_dataset.json",
                source="the card of the data set; the challenge's board",
                cases={"train": 2992, "val": 200, "test": 300},
                findings={("val", ALL): 381},
            ),
        )
    }
)


def of_ct_rate(dataset: Dataset) -> bool:
    """Return whether every scan is one of CT-RATE's, by its name."""
    return all(OF_CT_RATE.fullmatch(case.id) for case in dataset)


def facts(edition: Edition, dataset: Dataset) -> Iterator[Fact]:
    """Yield every number that is stated of an edition, beside that of `dataset`. No file is read."""
    for split, stated in edition.cases.items():
        yield Fact(f"{split}: scans", split, stated, len(dataset.splits.get(split, ())))
    counts: Counter[tuple[str, str]] = Counter()
    for case in dataset:
        for finding in case.findings:
            counts.update((split, code) for split in (ALL, case.split) for code in (ALL, finding.category or ""))
    for (split, code), stated in edition.findings.items():
        what = "findings" if code == ALL else f"findings of {code}"
        yield Fact(what if split == ALL else f"{split}: {what}", split, stated, counts[split, code])


def edition_of(dataset: Dataset, split: str) -> str:
    """Return the id of the edition that one split of `dataset` is, by its content; empty where it is none.

    The scans are CT-RATE's by their names, and every number that is stated of the split agrees; for the paper's set,
    every number of all splits.
    """
    if not of_ct_rate(dataset):
        return ""
    for edition in EDITIONS.values():
        stated = [fact for fact in facts(edition, dataset) if edition.whole or fact.split == split]
        if stated and all(fact.agrees for fact in stated):
            return edition.id
    return ""


def split_by_of(dataset: Dataset) -> str:
    """Return what was dealt to the splits: as the index declares it, else as the makers of a whole edition say."""
    if dataset.split_by or not of_ct_rate(dataset):
        return dataset.split_by
    known = (edition for edition in EDITIONS.values() if edition.whole and edition.split_by)
    return next((one.split_by for one in known if all(fact.agrees for fact in facts(one, dataset))), "")
