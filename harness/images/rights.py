"""Under which licences an image is, and whether it may be passed on.

An image holds the model's code, its sources and our SDK; weights are mounted and are no part of it. The packages that
its Dockerfile installs have licences of their own, which are not read here.
"""

from __future__ import annotations

import re
from typing import Final

from harness.registry.declaration import Model
from harness.registry.licences import NONE, may_be_passed_on
from harness.status import Answer, of_parts

#: What a source without a licence, and one whose licence is not known here, are called in an SPDX expression.
_NO_LICENCE, _NOT_STATED = "LicenseRef-no-licence", "LicenseRef-not-stated"
_SDK: Final = "Apache-2.0"


def licence_expression(model: Model) -> str:
    """Return the licences of a model's code, of its sources and of the SDK, as one SPDX expression."""
    parts = [_identifier(licence) for licence in _licences(model)]
    return " AND ".join(dict.fromkeys([*parts, _SDK]))


def redistribution(model: Model, *, cuda: bool) -> tuple[Answer, str]:
    """Return whether an image of a model may be passed on, and why not; an empty reason where it may.

    Parameters
    ----------
    model
        The model.
    cuda
        Whether it holds the CUDA build of torch, with NVIDIA's libraries under NVIDIA's own agreements.
    """
    without = [source.name for source in model.sources if source.licence == NONE]
    if without:
        return Answer.NO, f"nobody has licensed {', '.join(without)} in it"
    answer = of_parts([may_be_passed_on(licence) for licence in _licences(model)])
    if answer is Answer.NO:
        return answer, "its code has no licence"
    if answer is Answer.UNKNOWN:
        return answer, "what the licence of its code allows is not known"
    if cuda:
        return Answer.UNKNOWN, "the CUDA build of torch brings libraries under NVIDIA's agreements"
    return Answer.YES, ""


def _licences(model: Model) -> list[str]:
    return [model.licence, *(source.licence for source in model.sources)]


def _identifier(licence: str) -> str:
    if licence == NONE:
        return _NO_LICENCE
    return licence if re.fullmatch(r"[A-Za-z0-9.+-]+( AND [A-Za-z0-9.+-]+)*", licence) else _NOT_STATED
