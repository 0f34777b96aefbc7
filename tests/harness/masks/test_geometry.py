"""What an affine claims, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from harness.masks import Expected, Header, judge
from harness.masks.header import Affine

SHAPE = (12, 10, 8)
CT = np.diag([-0.7, -0.7, 1.5, 1.0])
CT[:3, 3] = 30, 40, -120

NIBABEL = np.eye(4)
ITK = np.diag([-1.0, -1.0, 1.0, 1.0])
TILTED = CT @ np.array([[1, 0.1, 0, 0], [-0.1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def as_affine(matrix: np.ndarray) -> Affine:
    return tuple(tuple(row) for row in matrix.tolist())


def header(shape: tuple[int, ...], *affines: np.ndarray) -> Header:
    """Return a header with this sform and, where given, this qform."""
    both = [as_affine(matrix) for matrix in affines]
    first = both[0] if both else None
    second = both[1] if len(both) > 1 else None
    return Header(shape, (1.0,) * len(shape), first, np.dtype("u1"), 352, 1.0, 0.0, sform=first, qform=second)


def codes(head: Header, channels: int | None = None) -> list[tuple[str, str]]:
    expected = Expected(SHAPE, as_affine(CT), channels)
    return [(problem.code, problem.level) for problem in judge(head, expected)]


@pytest.mark.parametrize("neutral", [NIBABEL, ITK, NIBABEL + 1e-7, ITK - 1e-7])
def test_a_mask_under_the_neutral_affine_of_a_library_is_read_in_array_order(neutral: np.ndarray) -> None:
    """Nibabel's identity and ITK's identity in LPS declare nothing, with the rounding of a quaternion too."""
    assert codes(header(SHAPE, neutral)) == [("identity_affine", "warning")]


@pytest.mark.parametrize("affine", [NIBABEL, ITK])
def test_a_stack_under_a_neutral_affine_has_no_problem(affine: np.ndarray) -> None:
    """That is how the released masks lie."""
    assert codes(header((2, *SHAPE), affine), 2) == []


@pytest.mark.parametrize("affine", [CT, TILTED, CT @ np.diag([-1, 1, 1, 1]), np.diag([3.0, 2, 1, 1]), NIBABEL * 5])
def test_no_affine_refuses_a_stack(affine: np.ndarray) -> None:
    """No 3-D affine can place the axes (F, H, W, D), so none is a reason to refuse one."""
    assert codes(header((2, *SHAPE), affine), 2) == [("affine_of_stack", "warning")]


def test_a_stack_with_a_nonsense_affine_is_accepted() -> None:
    """What is not used cannot be wrong."""
    head = Header((2, *SHAPE), (1.0,) * 4, None, np.dtype("u1"), 352, 1.0, 0.0, nonsense="its sform holds nan")
    assert codes(head, 2) == []


def test_a_mask_with_a_nonsense_affine_is_refused() -> None:
    """A 3-D mask is read where its affine says, and NaN is nowhere."""
    head = Header(SHAPE, (1.0,) * 3, None, np.dtype("u1"), 352, 1.0, 0.0, nonsense="its sform holds nan")
    assert codes(head) == [("header", "refused")]


@pytest.mark.parametrize(
    "wrong",
    [CT @ np.diag([-1, -1, 1, 1]), CT[:, [1, 0, 2, 3]], np.diag([1.0, -1.0, 1.0, 1.0]), ITK + np.eye(4, k=3) * 5],
)
def test_what_is_not_neutral_is_a_claim(wrong: np.ndarray) -> None:
    """A flip, a transposition, one reversed axis, or a neutral rotation with an origin say another place."""
    assert codes(header(SHAPE, wrong)) == [("affine", "refused")]


@pytest.mark.parametrize("pair", [(CT, TILTED), (TILTED, CT)])
def test_one_of_two_affines_is_enough(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Tools that change the sform or the qform alone leave the other as it was; that is said."""
    assert codes(header(SHAPE, *pair)) == [("affine_disagrees", "warning")]


def test_a_neutral_sform_beside_the_affine_of_the_ct_is_no_contradiction() -> None:
    """The neutral one declares nothing."""
    assert codes(header(SHAPE, NIBABEL, CT)) == []
    assert codes(header(SHAPE, NIBABEL, TILTED)) == [("affine", "refused")]
