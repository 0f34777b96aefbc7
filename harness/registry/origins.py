"""The origin of each number of a recipe: the paper, the authors' code, or us.

>>> recipe = Params(rate=paper(1e-4, "section 4"), decay=theirs(0.05, "configs/train.yaml:12"), workers=ours(6))
>>> recipe["rate"], recipe.origins["rate"]
(0.0001, 'paper, section 4')

A `Params` is a dictionary of plain values: the adapter receives these, and a run's key is derived from them. The
origins are stored separately and shown wherever the values are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: A parameter's value: a scalar of JSON.
Param = str | int | float | bool | None

#: Allowed beginnings of an origin.
KINDS = ("paper", "upstream", "ours")


@dataclass(frozen=True)
class Stated:
    """A value and its origin."""

    value: Param
    origin: str


def paper(value: Param, where: str) -> Stated:
    """Return a value that the benchmark's paper states, e.g. in ``"section 4"``."""
    return Stated(value, f"paper, {where}")


def theirs(value: Param, where: str) -> Stated:
    """Return a value of the model's authors: `where` is a file and line of their code, or one of their pages."""
    return Stated(value, f"upstream, {where}")


def ours(value: Param, why: str = "") -> Stated:
    """Return a value that was chosen here, because no source states one or for the given reason.

    Where a source states another value, `why` says so as ``"paper has 512, section 4"`` or ``"upstream has 0.1,
    train.py:30"``: the documentation shows it beside ours.
    """
    return Stated(value, f"ours: {why}" if why else "ours")


class Params(dict[str, Param]):
    """Parameters of a variant, by name, with the origins of their values.

    ``a | b`` contains the parameters of both, those of `b` where both have one, each with its own origin.

    Attributes
    ----------
    origins
        Origin of each value; a value without one is shown as not stated.
    """

    origins: dict[str, str]

    def __init__(self, values: Mapping[str, Param | Stated] | None = None, /, **named: Param | Stated) -> None:
        given = {**(values or {}), **named}
        super().__init__({name: one.value if isinstance(one, Stated) else one for name, one in given.items()})
        kept = values.origins if isinstance(values, Params) else {}
        self.origins = {name: origin for name, origin in kept.items() if name not in named}
        self.origins |= {name: one.origin for name, one in given.items() if isinstance(one, Stated)}

    def __or__(self, other: Mapping[str, Param | Stated], /) -> Params:  # type: ignore[override]
        """Return both, with the values and origins of `other` before ours."""
        both, other = Params(self), Params(other)
        both.update(other)
        both.origins = {name: origin for name, origin in both.origins.items() if name not in other} | other.origins
        return both
