"""The budget: reserved before a request and corrected after it, so that the limit holds with many threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from harness.errors import PrerequisiteError

_NOTHING: Final = 1e-9  # US dollars: what rounding leaves of reservations that are all settled
_MILLION: Final = 1_000_000
_CHARACTERS_USUALLY: Final = 4.0  # characters of English text in a token
_CHARACTERS_A_TOKEN: Final = 2.5  # fewer than in any English text: an estimate must not be too low


class BudgetReachedError(PrerequisiteError):
    """The next request could cost more than is left."""


@dataclass
class Budget:
    """Prices and the limit.

    Attributes
    ----------
    price
        US dollars for a million tokens of prompt, and of answer.
    limit
        US dollars for the whole curation, earlier runs included; None: no limit.
    spent
        US dollars so far.
    """

    price: tuple[float, float] = (0.0, 0.0)
    limit: float | None = None
    spent: float = 0.0
    _reserved: float = 0.0
    _settled: threading.Condition = field(default_factory=threading.Condition)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the price of one request in US dollars."""
        return (prompt_tokens * self.price[0] + completion_tokens * self.price[1]) / _MILLION

    def estimate(self, prompts: Iterable[str], texts: Iterable[str]) -> tuple[int, float]:
        """Return how many requests a run makes, and about what it costs, if every first answer is right.

        Parameters
        ----------
        prompts
            The system messages, one a step.
        texts
            The reports; equal ones are asked about once. An answer is taken to be half as long again as its text, for
            it repeats the text in a structure.
        """
        lengths = [len(prompt) for prompt in prompts]
        asked = set(texts)
        characters = sum(map(len, asked))
        tokens = (sum(lengths) * len(asked) + characters * len(lengths)) / _CHARACTERS_USUALLY
        return len(asked) * len(lengths), self.cost(
            int(tokens), int(characters * len(lengths) * 1.5 / _CHARACTERS_USUALLY)
        )

    def reserve(self, characters: int, max_tokens: int) -> float:
        """Set aside what a request can cost at most, and return it; wait while those under way may leave enough.

        Raises
        ------
        BudgetReachedError
            Less than that is left.
        """
        most = self.cost(int(characters / _CHARACTERS_A_TOKEN) + 1, max_tokens)
        with self._settled:
            while self.limit is not None and self._reserved and self.spent + self._reserved + most > self.limit:
                self._settled.wait()  # what is under way may cost less than it could
            if self.limit is not None and self.spent + most > self.limit:
                raise BudgetReachedError(
                    f"the budget is reached: {self.spent:.4f} of {self.limit:g} US dollars are spent, "
                    f"and the next request may cost {most:.4f}",
                    fix="raise --max-cost, or lower --max-tokens, and run it again: nothing is asked twice",
                )
            self._reserved += most
        return most

    def correct(self, reserved: float, actual: float) -> None:
        """Replace what was set aside by what was spent."""
        with self._settled:
            self._reserved -= reserved
            self.spent += actual
            if self._reserved < _NOTHING:
                self._reserved = 0.0
            self._settled.notify_all()
