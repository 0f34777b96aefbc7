"""The numbers of a row, most of which are read where they are shown: lists of many runs need a few of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

Number = TypeVar("Number")


class RowNumbers(Mapping[str, Number]):
    """Numbers of a row by name: some are known, the others are read when one of them is asked for.

    Lists of every run show a few numbers of each; the others are read where its tables and figures are drawn.

    Parameters
    ----------
    read
        Returns all of them.
    known
        Those that need not be read.
    """

    def __init__(self, read: Callable[[], Mapping[str, Number]], **known: Number) -> None:
        self._read, self._known = read, known

    @cached_property
    def _every(self) -> Mapping[str, Number]:
        return self._read()

    def __getitem__(self, name: str) -> Number:
        return self._known[name] if name in self._known else self._every[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._every)

    def __len__(self) -> int:
        return len(self._every)
