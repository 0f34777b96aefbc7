"""The values of a mask: whole numbers of at least 0, up to the errors of single precision and scaling.

A mask that passed through single precision, or that a library stored under a scaled header (``scl_slope``), reads back
as 1.00000006 where 1 was meant. Such a number counts as whole. A probability does not: it stays a fraction and
is refused.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.masks.header import Header
from harness.masks.verdict import refused, warning
from harness.rows import MaskProblem

#: Relative error of a few operations in single precision.
_SINGLE: Final = 4 * 2.0**-23

#: The stored numbers of a scale represent every value within half a step; from this on, neighbouring whole numbers
#: could not be told apart from what lies between them.
_WIDEST: Final = 0.25

_UNSCALED: Final = "store it unscaled as uint8: nibabel.Nifti1Image(mask.astype('uint8'), ct.affine)"


def decoded(stored: NDArray[Any], header: Header) -> NDArray[Any]:
    """Return the values of stored numbers: scaled by the header, and rounded where they were whole.

    Parameters
    ----------
    stored
        Numbers of the file, of any shape.
    header
        Their type and scale.

    Returns
    -------
    numpy.ndarray
        Of the same shape; the same array where it needs no change. Fractions, NaN and infinities stay.
    """
    if not header.scaled:
        return _snapped(stored, 0.0, np.abs(stored)) if stored.dtype.kind == "f" else stored
    with np.errstate(over="ignore", invalid="ignore"):  # their values are judged later
        scaled = stored * np.float64(header.slope)
        size = np.abs(scaled) + abs(header.inter)  # the scale itself is in single precision
        values = scaled + header.inter
    step = abs(header.slope) / 2
    return _snapped(values, step if stored.dtype.kind in "iu" and step < _WIDEST else 0.0, size)


def _snapped(values: NDArray[Any], step: float, size: NDArray[Any]) -> NDArray[Any]:
    """Round values within `step`, and the error of single precision in numbers of this size, of a whole number."""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values)
        near = np.abs(values - whole) <= np.minimum(step + _SINGLE * np.maximum(size, 1), _WIDEST)
    rounded: NDArray[Any] = np.where(near, whole, values)
    return rounded


def checked(values: NDArray[Any], header: Header) -> NDArray[Any]:
    """Return decoded values unchanged; raises Refused unless they are whole numbers of at least 0.

    Parameters
    ----------
    values
        As :func:`decoded` returns them.
    header
        Named in the refusal where it scales.
    """
    if values.dtype.kind == "u":
        return values
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            kinds = " and ".join(
                name for name, found in (("NaN", np.isnan(values)), ("infinite", np.isinf(values))) if found.any()
            )
            raise refused(
                "not_finite",
                f"the mask contains {kinds} values",
                cause="a division by zero or an overflow before thresholding",
                fix="threshold the model's output and store it as uint8",
            )
        fractions = values != np.trunc(values)
        if fractions.any():
            message = f"the mask contains fractions, for example {float(values[fractions][0]):.6g}{_scale(header)}"
            if header.dtype.kind in "iu" and abs(header.slope) / 2 >= _WIDEST:
                cause = "a scale too coarse for whole numbers: labels of floats stretched over an integer type"
                raise refused("not_binary", message, cause=cause, fix=_UNSCALED)
            raise refused(
                "not_binary",
                message,
                cause="probabilities saved in place of a mask, or a mask resampled with interpolation",
                fix="threshold the model's output (for instance at 0.5), or resample with nearest neighbour",
            )
    if values.min(initial=0) < 0:
        scaled = header.scaled and header.dtype.kind == "u"
        raise refused(
            "negative",
            f"the mask contains negative values, down to {float(values.min()):.6g}{_scale(header)}",
            cause="a wrong scl_slope or scl_inter" if scaled else "logits or signed distances saved in place of a mask",
            fix="threshold the model's output and store it as uint8, unscaled",
        )
    return values


def storage_warnings(header: Header, highest: int, *, trailing: bool = False) -> list[MaskProblem]:
    """Return the warnings about the storage of a readable mask's values.

    Parameters
    ----------
    header
        Its type and scale.
    highest
        The largest value.
    trailing
        Whether other bytes follow the compressed stream.
    """
    problems = []
    if trailing:
        problems.append(
            warning(
                "trailing",
                "bytes that are not gzip follow the compressed volume, which is complete; they were ignored",
                cause="a download or a copy that padded the file, or data appended to it",
                fix="write the mask again",
            )
        )
    if header.scaled:
        problems.append(
            warning(
                "scaled",
                f"the header scales the stored numbers{_scale(header)}; they were read back as whole numbers",
                cause="an array of floats saved under an integer header, which nibabel stretches to the whole type",
                fix=_UNSCALED,
            )
        )
    if header.dtype.kind == "f" or header.dtype.itemsize > 1:
        problems.append(
            warning(
                "dtype",
                f"the mask is stored as {header.dtype.name}; uint8 needs fewer bytes and is read faster",
                cause="an array that was not converted before saving",
                fix="store it as uint8: mask.astype('uint8')",
            )
        )
    if highest > 1:
        problems.append(
            warning(
                "labels",
                f"the mask contains values up to {highest}; every value above 0 counts as foreground",
                cause="entity labels, or 255 for true",
                fix="none needed if every label belongs to the finding; otherwise write 1 inside the finding, else 0",
            )
        )
    return problems


def _scale(header: Header) -> str:
    return f" (scl_slope {header.slope:.6g}, scl_inter {header.inter:.6g})" if header.scaled else ""
