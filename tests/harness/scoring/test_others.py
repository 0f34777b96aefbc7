"""What masks have in common with the other findings of their case, beside the Dice of every pair of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.dataset import Finding
from harness.rows import Other, Others
from harness.scoring.case import score_case
from harness.scoring.others import SHARED, CaseMasks
from tests.harness.conftest import bits_of

from .oracle import dice


def expected(
    truths: Sequence[np.ndarray], masks: Sequence[np.ndarray | None], texts: Sequence[str]
) -> list[Others | None]:
    """Compute the Dice of every pair, and keep the first of the highest of those that may be compared."""
    found: list[Others | None] = []
    for i, mask in enumerate(masks):
        best: list[Other | None] = [None, None]
        for j in range(len(masks)):
            smaller = min(truths[i].sum(), truths[j].sum())
            overlap = (truths[i] & truths[j]).sum() > SHARED * smaller
            if i == j or texts[i].lower() == texts[j].lower() or overlap or mask is None:
                continue
            for place, theirs in enumerate((truths[j], masks[j])):
                if theirs is None or not (mask & theirs).any():
                    continue
                value, before = dice(mask, theirs), best[place]
                if before is None or value > before.dice:
                    best[place] = Other(str(j), value)
        found.append(None if mask is None else Others(*best))
    return found


def compared(
    truths: Sequence[np.ndarray], masks: Sequence[np.ndarray | None], texts: Sequence[str]
) -> list[Others | None]:
    """Compare by the code under test."""
    findings = [Finding(i, str(i), text) for i, text in enumerate(texts)]
    case = CaseMasks(findings)
    for finding, truth, mask in zip(findings, truths, masks, strict=True):
        case.add(finding, bits_of(truth), None if mask is None else bits_of(mask))
    return [case.others[finding.id] for finding in findings]


@st.composite
def boxes(draw: st.DrawFn) -> np.ndarray:
    """Draw a box in a small volume, empty now and then: boxes often touch, contain or equal each other."""
    volume = np.zeros((70, 3, 3), bool)
    ends = [sorted(draw(st.tuples(*[st.sampled_from((0, n // 3, n // 2, n))] * 2))) for n in volume.shape]
    volume[tuple(slice(*pair) for pair in ends)] = True
    return volume


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_every_pair_is_compared_as_arrays_are(data: st.DataObject) -> None:
    """Truths that overlap, masks that are empty or missing, texts that are equal: as the slow oracle says."""
    n = data.draw(st.integers(1, 5))
    truths = [data.draw(boxes()) for _ in range(n)]
    masks = [data.draw(st.none() | boxes() | st.sampled_from(truths)) for _ in range(n)]
    texts = data.draw(st.lists(st.sampled_from(["Nodule", "nodule", "scar", "cyst", "mass"]), min_size=n, max_size=n))
    assert compared(truths, masks, texts) == expected(truths, masks, texts)


def test_noise_is_compared_as_arrays_are() -> None:
    """Ragged masks over many words, some scattered and some full."""
    draw = np.random.default_rng(2)
    truths = [draw.random((130, 20, 9)) < share for share in (0.001, 0.01, 0.001, 0.02)]
    changed = (0.4, 0.001, 0.01, 0.0)
    masks = [truth ^ (draw.random(truth.shape) < share) for truth, share in zip(truths, changed, strict=True)]
    texts = list("abcd")
    assert compared(truths, masks, texts) == expected(truths, masks, texts)


def balls(n: int) -> list[np.ndarray]:
    """Return `n` truths far from each other."""
    volume = np.zeros((n, 20, 6, 6 * n), bool)
    for i in range(n):
        volume[i, 4:14, 1:5, 6 * i : 6 * i + 4] = True
    return list(volume)


def test_equal_texts_are_not_compared() -> None:
    """A model cannot know which of the two is meant; capitals and spaces make no other text."""
    first, second = balls(2)
    assert compared([first, second], [second, first], ["A nodule", "a  nodule "]) == [Others(), Others()]
    swapped = Others(Other("1", 1.0)), Others(Other("0", 1.0))
    assert compared([first, second], [second, first], ["A nodule", "Another nodule"]) == list(swapped)


def test_findings_whose_truths_overlap_are_not_compared() -> None:
    """A mask on the one is on the other too; 5 % of the smaller truth may be shared."""
    large, small = np.zeros((2, 20, 20, 20), bool)
    large[:10, :10, :10] = True
    small[0, 9:19, 9:19] = True  # 100 voxels
    for shared, told in ((5, True), (6, False)):
        truth = small & ~large
        truth[0, 0, :shared] = True
        truth.reshape(-1)[np.flatnonzero(truth)[-shared + 1 :]] = False  # 99 outside before
        assert (truth & large).sum() == shared
        assert truth.sum() == 100
        apart = [Others(Other("1", 1.0), Other("1", 1.0)), Others(Other("0", dice(truth, large)), Other("0", 1.0))]
        assert compared([large, truth], [truth, truth], ["a", "b"]) == (apart if told else [Others(), Others()])


def test_of_equals_the_first_counts() -> None:
    """The order is that of the index."""
    first, second, third = balls(3)
    found = compared([first, second, third], [second | third] * 3, ["a", "b", "c"])
    assert [one.truth and one.truth.finding for one in found if one] == ["1", "2", "1"]
    assert [one.mask for one in found if one] == [Other("1", 1.0), Other("0", 1.0), Other("0", 1.0)]


def test_a_finding_alone_has_no_others() -> None:
    """With a mask this is known; without one nothing is."""
    (truth,) = balls(1)
    assert compared([truth], [truth], ["a"]) == [Others()]
    assert compared([truth], [None], ["a"]) == [None]


def test_what_does_not_fit_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A case of too many entries is not compared; a finding alone always is."""
    truths = balls(3)
    entries = sum(2 * len(bits_of(truth).words) for truth in truths)
    for room, told in ((entries, True), (entries - 1, False), (0, False)):
        monkeypatch.setattr("harness.scoring.others.MAX_KEPT", room)
        assert all((one is not None) == told for one in compared(truths, truths, ["a", "b", "c"]))
    assert compared(truths[:1], truths[:1], ["a"]) == [Others()]


def test_one_mask_for_all_is_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many texts there are: a model that does not read is told also where masks are large."""
    truths, everywhere = balls(3), np.ones((20, 6, 18), bool)
    entries = sum(len(bits_of(truth).words) for truth in truths) + len(bits_of(everywhere).words)
    for room, told in ((entries, True), (entries - 1, False)):
        monkeypatch.setattr("harness.scoring.others.MAX_KEPT", room)
        found = compared(truths, [everywhere] * 3, ["a", "b", "c"])
        assert [one and one.mask for one in found] == ([Other("1", 1.0), Other("0", 1.0), Other("0", 1.0)] if told
                                                       else [None] * 3)  # fmt: skip


@pytest.mark.parametrize("stacked", [False, True])
def test_a_scored_case_knows_them(make_task, stacked: bool) -> None:
    """Also where the truth has more labels, in whatever form the masks come."""
    first, second = balls(2)
    truth = np.stack([first * 1, second * 2])
    truth[0, 4:8] *= 3
    score = score_case(make_task(truth, np.stack([second, first]), stacked=stacked))
    assert [found.others and found.others.truth for found in score.findings] == [Other("1", 1.0), Other("0", 1.0)]
    assert [found.details.others for found in score.findings] == [found.others for found in score.findings]
