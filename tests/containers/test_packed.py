"""A packed mask is the mask that was given, however it lay in memory, and whatever becomes of it afterwards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from groundbench_sdk.packed import PackedMask
from groundbench_sdk.reading import in_file_order

#: How a mask may lie in memory: the views that reorienting, cropping and thinning out leave.
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": np.ascontiguousarray,
    "file": np.asfortranarray,
    "between": lambda mask: np.ascontiguousarray(mask.transpose(1, 2, 0)).transpose(2, 0, 1),
    "flipped": lambda mask: np.ascontiguousarray(mask[::-1, :, ::-1])[::-1, :, ::-1],
    "turned and flipped": lambda mask: np.asfortranarray(mask[:, ::-1])[:, ::-1],
    "cut out": lambda mask: np.pad(mask, 2)[2:-2, 2:-2, 2:-2],
    "thinned out": lambda mask: np.repeat(mask, 3, axis=2)[:, :, ::3],
    "of one plane": lambda mask: np.broadcast_to(mask[:, :, :1], mask.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(7, 5, 3), (8, 4, 16), (1, 1, 1), (1, 9, 1), (3, 0, 2)])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8])
def test_what_was_packed_is_unpacked(layout: str, shape: tuple[int, ...], dtype: type) -> None:
    """In any layout, of any size, and though the array is changed meanwhile."""
    random = np.random.default_rng(0)
    mask = LAYOUTS[layout]((random.random(shape) < 0.4).astype(dtype))
    expected = np.asfortranarray(mask.astype(np.uint8))
    packed = PackedMask(mask)
    if mask.flags.writeable:
        mask[...] = 1 - mask.astype(np.uint8)
    found = packed.unpack()
    assert packed.nbytes == expected.nbytes
    assert found.dtype == np.uint8
    assert in_file_order(found).tobytes("F") == expected.tobytes("F")


def test_a_mask_in_file_order_needs_no_turn() -> None:
    """What lies as a file has it is unpacked as a file has it."""
    mask = np.asfortranarray(np.random.default_rng(0).random((9, 6, 5)) < 0.5)
    assert PackedMask(mask).unpack().flags.f_contiguous
