"""The prompts of a training patch: some that it holds and one that it does not, as VoxTell's paper trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def draw(
    masks: NDArray[np.uint8],
    texts: Sequence[Any],
    others: Sequence[Any],
    numbers: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Draw the prompts of a patch, always the same number of them.

    Parameters
    ----------
    masks
        (N, X, Y, Z), 0 or 1: the case's findings in the patch.
    texts
        Their vectors.
    others
        The vectors of all training cases, for a patch whose case has nothing else to ask.
    numbers
        How many to draw of the findings with a voxel in the patch, and of what it does not hold. With fewer of the
        former, one is drawn again; with none, all prompts are absent ones.
    rng
        Random generator.

    Returns
    -------
    vectors, masks
        (P, width) and (P, X, Y, Z), P being the sum of `numbers`.
    """
    present = numbers[0]
    held = [number for number, mask in enumerate(masks) if mask.any()]
    chosen = rng.choice(held, size=present, replace=len(held) < present).tolist() if held else []
    lacking = rng.permutation([number for number in range(len(masks)) if number not in held]).astype(int).tolist()
    vectors, shown = [texts[number] for number in chosen], [masks[number] for number in chosen]
    while len(vectors) < sum(numbers):
        vectors.append(texts[lacking.pop()] if lacking else _of_another(texts, others, rng))
        shown.append(np.zeros_like(masks[0]))
    return np.stack(vectors), np.stack(shown)


def _of_another(texts: Sequence[Any], others: Sequence[Any], rng: np.random.Generator) -> Any:
    """Return a vector that is none of the case's own; one of them where all cases have the same texts."""
    for number in rng.permutation(len(others))[:100]:
        if not any(np.array_equal(others[number], own) for own in texts):
            return others[number]
    return others[int(rng.integers(len(others)))]
