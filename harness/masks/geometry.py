"""Checks from a mask's header, before a voxel is decoded, whether its grid is that of its case.

A Dice near zero looks the same whether a model found nothing or its masks were written transposed. The header
distinguishes most of these, so it is judged first and the likely cause is named.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.masks.header import Affine, Header
from harness.masks.verdict import warning
from harness.rows import MaskProblem

#: Affines are the same when no corner of the grid moves by more than this share of the smallest spacing.
CORNER_TOLERANCE = 0.1

#: The affines of nibabel and of ITK for an array without a given position.
_NEUTRAL = (np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0]))

#: Error of an affine that went through single precision and a quaternion.
_ROUNDING = 1e-5

_AXES = "xyz"
_FIX = "save with the CT's own affine and array order: nibabel.Nifti1Image(mask, ct.affine)"


@dataclass(frozen=True)
class Expected:
    """The grid that a mask must have.

    Attributes
    ----------
    shape
        Voxels (H, W, D) of the CT.
    affine
        4x4 affine of the CT; None where the data set has no CTs.
    channels
        Findings of a 4-D stack (F, H, W, D); None for one 3-D mask.
    """

    shape: tuple[int, int, int]
    affine: Affine | None
    channels: int | None = None

    @property
    def full_shape(self) -> tuple[int, ...]:
        """The array shape that the file should declare."""
        return self.shape if self.channels is None else (self.channels, *self.shape)


def judge(header: Header, expected: Expected) -> list[MaskProblem]:
    """Return every problem of a mask's grid.

    The values are compared as arrays. A file that declares another position than the CT's means other voxels than
    the ones that would be scored, and is refused; an identity affine, or none, states no position and is accepted.

    Parameters
    ----------
    header
        The header of the file.
    expected
        The grid of the case.

    Returns
    -------
    list of MaskProblem
        Empty for a mask on the CT's grid.
    """
    if _same_voxels(header.shape, expected):
        problems = []
        if header.shape != expected.full_shape:
            problems.append(
                warning(
                    "extra_axis",
                    f"the mask has shape {header.shape}; its axes of one voxel were ignored",
                    cause="a batch or channel axis that was not squeezed",
                    fix=f"save an array of shape {expected.full_shape}",
                )
            )
        by_affine = _judge_affine if expected.channels is None else _judge_affine_of_stack
        return problems + by_affine(header, expected)
    return [_judge_shape(header.shape, expected)]


def _same_voxels(shape: tuple[int, ...], expected: Expected) -> bool:
    """Whether the shape is the expected one up to axes of one voxel, which change nothing in the file's order."""
    if shape == expected.full_shape:
        return True
    trimmed = shape
    while len(trimmed) > len(expected.full_shape) and trimmed[-1] == 1:
        trimmed = trimmed[:-1]
    if trimmed == expected.full_shape:
        return True
    single = expected.channels in (None, 1)
    return single and trimmed in (expected.shape, (1, *expected.shape))


def _judge_shape(shape: tuple[int, ...], expected: Expected) -> MaskProblem:
    wanted = expected.full_shape
    cause, fix = _shape_cause(shape, expected)
    return MaskProblem("shape", "refused", f"the mask has shape {shape}, its case needs {wanted}", cause, fix)


def _shape_cause(shape: tuple[int, ...], expected: Expected) -> tuple[str, str]:
    """Return the likely cause of a wrong shape, and its fix."""
    grid, wanted, f = expected.shape, expected.full_shape, expected.channels
    known: dict[tuple[int, ...], tuple[str, str]] = {}
    if f is None and len(shape) == 4:
        known = {
            (shape[0], *grid): (
                "a channel-first stack in place of one mask",
                "write one 3-D file per finding: mask[i]",
            ),
            (*grid, shape[3]): (
                "a channel-last stack in place of one mask",
                "write one 3-D file per finding: mask[..., i]",
            ),
        }
    elif f is not None:
        known = {
            grid: ("one 3-D mask in place of a stack", f"stack the findings: numpy.stack(masks) of shape {wanted}"),
            (*grid, f): ("the findings are on the last axis", "move them first: numpy.moveaxis(stack, -1, 0)"),
            (shape[0], *grid): (
                f"the stack has {shape[0]} findings, the case has {f}",
                "write one channel per finding, in order, and an empty one where nothing was found",
            ),
        }
    if shape in known:
        return known[shape]
    if sorted(shape) == sorted(wanted):
        usual = " (z first, as in SimpleITK and most deep-learning code)" if shape == grid[::-1] else ""
        order = ", ".join(map(str, _permutation(shape, wanted)))
        return f"transposed axes{usual}", f"transpose back before saving: mask.transpose({order})"
    if len(shape) != len(wanted):
        return f"an array of {len(shape)} axes", f"save an array of shape {wanted}"
    return (
        "another grid: the volume was resampled, cropped or padded before the model, and the mask was not restored",
        "resample or pad the mask back to the CT's grid (nearest neighbour)",
    )


def _permutation(shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    return next(
        order for order in itertools.permutations(range(len(shape))) if tuple(shape[axis] for axis in order) == wanted
    )


def declares_nothing(affine: Affine | None) -> bool:
    """Return whether an affine is the neutral value that a library writes without a known position.

    That is a missing affine, nibabel's identity, or ITK's: an identity in LPS, which in NIfTI (RAS) is
    diag(-1,-1,1).
    """
    if affine is None:
        return True
    given = np.array(affine)
    return any(np.allclose(given, neutral, rtol=0, atol=_ROUNDING) for neutral in _NEUTRAL)


def same_place(given: Affine, truth: Affine, shape: tuple[int, int, int]) -> bool:
    """Return whether every corner of a grid of this shape has the same position under both affines."""
    return not _moves(np.array(given), np.array(truth), shape)


def _judge_affine(header: Header, expected: Expected) -> list[MaskProblem]:
    if header.nonsense and header.affine is None:
        return [
            MaskProblem(
                "header",
                "refused",
                f"the header is invalid: {header.nonsense}",
                "a damaged file, or one not written by a NIfTI library",
                _FIX,
            )
        ]
    if expected.affine is None:
        return []
    places = [affine for affine in (header.affine, *header.affines) if affine and not declares_nothing(affine)]
    fitting = [affine for affine in places if same_place(affine, expected.affine, expected.shape)]
    if places and not fitting:
        cause = _affine_cause(np.array(places[0]), np.array(expected.affine), expected.shape)
        message = "the mask declares another position than its CT: " + cause
        return [MaskProblem("affine", "refused", message, cause, _FIX)]
    if not places and header.affine != expected.affine:
        return [
            warning(
                "identity_affine",
                "the mask does not declare a position (no affine, or the one that a library writes without geometry); "
                "it was read in the CT's array order",
                cause="saved with numpy.eye(4), or by SimpleITK without CopyInformation",
                fix=_FIX,
            )
        ]
    if len(fitting) < len(places):
        return [
            warning(
                "affine_disagrees",
                "the mask's sform and qform declare different positions; one of them is its CT's",
                cause="a tool that changed one of the two",
                fix=_FIX,
            )
        ]
    return []


def _judge_affine_of_stack(header: Header, expected: Expected) -> list[MaskProblem]:
    """Ignore the affine of a stack: an affine cannot describe the axes (F, H, W, D)."""
    if declares_nothing(header.affine):
        return []
    assert header.affine is not None  # noqa: S101 - it would not declare a position
    of_ct = expected.affine is not None and same_place(header.affine, expected.affine, expected.shape)
    whose = "the CT's affine" if of_ct else "an affine"
    return [
        warning(
            "affine_of_stack",
            f"the stack has {whose}, which cannot describe the axes (F, H, W, D); it was not used",
            cause="saved with an affine, which viewers will apply to the axes (F, H, W)",
            fix="save stacks with numpy.eye(4), as the released ground truth is",
        )
    ]


def _moves(given: NDArray[np.float64], truth: NDArray[np.float64], shape: tuple[int, int, int]) -> bool:
    """Whether any corner of the grid has different positions under the two affines."""
    corners = np.array([(*corner, 1.0) for corner in itertools.product(*((0, extent - 1) for extent in shape))])
    spacing = float(np.linalg.norm(truth[:3, :3], axis=0).min())
    shift = np.linalg.norm((corners @ (given - truth).T)[:, :3], axis=1)
    return bool(shift.max() > CORNER_TOLERANCE * spacing)


def _affine_cause(given: NDArray[np.float64], truth: NDArray[np.float64], shape: tuple[int, int, int]) -> str:
    """Return the simplest difference between two affines in words."""
    mine, theirs = given[:3, :3], truth[:3, :3]
    sizes, wanted = np.linalg.norm(mine, axis=0), np.linalg.norm(theirs, axis=0)
    tolerance = CORNER_TOLERANCE * float(wanted.min()) / max(shape)
    if np.abs(mine - theirs).max() <= tolerance:
        offset = ", ".join(f"{value:+.4g}" for value in given[:3, 3] - truth[:3, 3])
        return f"its origin is shifted by ({offset}) mm"
    for signs in itertools.product((1.0, -1.0), repeat=3):
        if np.abs(mine - theirs * np.array(signs)).max() <= tolerance:
            axes = " and ".join(axis for axis, sign in zip(_AXES, signs, strict=True) if sign < 0)
            return f"axis {axes} points the other way (a flip, as between LPS and RAS tools)"
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            if np.abs(mine - theirs[:, order] * np.array(signs)).max() <= tolerance:
                return "its axes are transposed against the CT's"
    if np.abs(sizes - wanted).max() > tolerance:
        described = " x ".join(f"{size:.4g}" for size in sizes)
        usual = " x ".join(f"{size:.4g}" for size in wanted)
        if math.isclose(float(sizes.max()), 1.0) and math.isclose(float(sizes.min()), 1.0):
            return f"its spacing is 1 mm, the CT's is {usual} mm (the spacing was lost in processing)"
        return f"its spacing is {described} mm, the CT's is {usual} mm"
    return "it is rotated against the CT"
