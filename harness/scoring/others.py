"""How a mask compares with the other findings of its case: with their truths, and with the masks of their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.dataset import Finding
from harness.masks import Bits
from harness.rows import Other, Others
from harness.scoring.overlap import dice

#: Share of the smaller of two truths that may lie within the other for the two to count as apart: the paper's 5 % of
#: a hit (section 5.1). Where more is shared, a mask on the one is on the other too, and says nothing of a mix-up.
SHARED = 0.05

#: Entries of masks and truths that are kept until a case is complete, 12 bytes each: 72 MB. A case of more, such as
#: eight findings whose truths and masks each reach a third of a scan's words, is not compared: memory stays bounded.
MAX_KEPT = 6_000_000


@dataclass(frozen=True)
class _Kept:
    finding: Finding
    truth: Bits
    mask: Bits | None


class CaseMasks:
    """The truths and masks of one case, kept until all are there and can be compared.

    Parameters
    ----------
    findings
        Every finding that will be added.

    Attributes
    ----------
    others
        Finding -> what its mask has in common with the other findings, once all were added. None where a finding has
        no mask that could be read, or the case was too large to compare.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.others: dict[str, Others | None] = dict.fromkeys((finding.id for finding in findings), None)
        self._room = MAX_KEPT
        self._kept: list[_Kept] = []
        self._apart: dict[tuple[int, int], bool] = {}

    def add(self, finding: Finding, truth: Bits, mask: Bits | None) -> None:
        """Add a finding; with the last one all are compared, and what was kept is released."""
        kept = _Kept(finding, truth.flat, None if mask is None else self._once(mask.flat))
        self._room -= len(kept.truth.words)
        if self._room < 0 and len(self.others) > 1:
            self._kept.clear()  # and never complete again
            return
        self._kept.append(kept)
        if len(self._kept) == len(self.others):
            for i, one in enumerate(self._kept):
                self.others[one.finding.id] = None if one.mask is None else self._compare(i, one.mask)
            self._kept.clear()

    def _once(self, mask: Bits) -> Bits:
        """Return a kept mask of the same voxels in place of one: one mask for every text always fits."""
        for one in self._kept:
            if one.mask is not None and one.mask.count == mask.count and one.mask.intersection(mask) == mask.count:
                return one.mask
        self._room -= len(mask.words)
        return mask

    def _compare(self, i: int, mask: Bits) -> Others:
        of_truths: Other | None = None
        of_masks: Other | None = None
        text = _words(self._kept[i].finding)
        for j, other in enumerate(self._kept):
            if j == i or _words(other.finding) == text:
                continue
            value = _dice_above(of_truths, mask, other.truth)
            if value and self._are_apart(i, j):
                of_truths = Other(other.finding.id, value)
            value = 0.0 if other.mask is None else _dice_above(of_masks, mask, other.mask)
            if value and self._are_apart(i, j):
                of_masks = Other(other.finding.id, value)
        return Others(of_truths, of_masks)

    def _are_apart(self, i: int, j: int) -> bool:
        pair = min(i, j), max(i, j)
        if pair not in self._apart:
            first, second = (self._kept[k].truth for k in pair)
            self._apart[pair] = first.intersection(second) <= SHARED * min(first.count, second.count)
        return self._apart[pair]


def _words(finding: Finding) -> str:
    """Return a text without what does not change its meaning: case and spaces."""
    return " ".join(finding.text.casefold().split())


def _dice_above(best: Other | None, first: Bits, second: Bits) -> float:
    """Return the Dice of two masks where it is above the best so far, else 0; their sizes alone often tell."""
    least = 0.0 if best is None else best.dice
    small, large = sorted((first.count, second.count))
    if not small or dice(small, large, small) <= least:
        return 0.0
    value = dice(small, large, first.intersection(second))
    return value if value > least else 0.0
