"""Times one container over its cases: its start, its loading, and each case from where the last one ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from harness.registry.resources import Resources

#: Seconds between two reads of a container's events.
TICK_S: Final = 0.05

#: Seconds between the last case and the end of the container.
END_TIMEOUT_S: Final = 30.0


#: The parts of a case's seconds that a container may report.
PHASES: Final = ("read_s", "compute_s", "write_s", "wait_s")


class CaseClock:
    """The clock of one container.

    Parameters
    ----------
    resources
        Its limits of time.

    Attributes
    ----------
    current
        The current case; None between two cases.
    start_s, load_s, first_case_s
        Seconds from the request to the first event, from there to the model being ready, and of the first case that
        was done; None until known.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._began = self._case_began = time.monotonic()
        self._started: float | None = None
        self._loaded = False
        self._told_s = 0.0
        self.current: str | None = None
        self.start_s: float | None = None
        self.load_s: float | None = None
        self.first_case_s: float | None = None

    @property
    def lived_s(self) -> float:
        """Seconds since the container was requested."""
        return time.monotonic() - self._began

    @property
    def loaded(self) -> bool:
        """Whether the model is known to be ready."""
        return self._loaded

    @property
    def loading(self) -> bool:
        """Whether the container has reported something, but not that its model is ready."""
        return self._started is not None and not self._loaded

    def start(self, now: float) -> None:
        """Note a sign of life; only the first counts."""
        if self._started is None:
            self._started, self.start_s = now, now - self._began

    def load(self, now: float) -> None:
        """Note the container's report that the model is ready."""
        self._loaded, self._case_began = True, now
        self.load_s = now - (now if self._started is None else self._started)

    def begin(self, case: str, now: float) -> None:
        """Note that a case begins.

        Its clock started where the last one ended: announcing cases neither stops nor sets it.
        """
        if not self._loaded:
            self._loaded, self._case_began = True, now
        self.current = case

    def done(self, now: float) -> float:
        """Return the seconds of a finished case, since the last one ended; the container's own claim plays no part."""
        seconds = self.case_s(now)
        if self.first_case_s is None:
            self.first_case_s = seconds
        return seconds

    def phases(self, now: float, told: Mapping[str, float | None]) -> dict[str, float]:
        """Return what a container tells of a finished case, as far as our clock does not contradict it.

        It cannot have computed and waited longer, over all cases, than it has lived, nor read or written for longer:
        these may lie beside the computing of any case.

        Parameters
        ----------
        now
            Seconds, monotonic.
        told
            Its seconds, by the names in :data:`PHASES`; None for what it does not tell.

        Returns
        -------
        dict
            All of it, or nothing.
        """
        lived = now - self._began
        found = {name: seconds for name in PHASES if (seconds := told.get(name)) is not None}
        busy = self._told_s + found.get("compute_s", 0.0) + found.get("wait_s", 0.0)
        if max(busy, *found.values(), 0.0) > lived:
            return {}
        self._told_s = busy
        return found

    def case_s(self, now: float) -> float:
        """Return the seconds since the last case ended."""
        return now - self._case_began

    def end(self, now: float) -> None:
        """Note that a case ended, in whatever way."""
        self._loaded, self.current, self._case_began = True, None, now

    def late(self, now: float, left: int) -> str:
        """Return the exceeded time limit in words; which limit applies depends on the container's progress.

        Parameters
        ----------
        now
            Seconds, monotonic.
        left
            Number of cases without an outcome.

        Returns
        -------
        str
            Empty while no limit is exceeded.
        """
        resources = self._resources
        if self._started is None:
            # Without any event the time of one case is not known from that of another: none may take more than alone.
            limit = resources.start_timeout_s + resources.case_timeout_s
            waited, what = now - self._began, "the container reported nothing and did not end"
        elif not self._loaded:
            limit, waited, what = resources.start_timeout_s, now - self._started, "loading did not end"
        elif left == 0:
            limit, waited, what = END_TIMEOUT_S, self.case_s(now), "the container did not end after its last case"
        else:
            limit, waited = resources.case_timeout_s, self.case_s(now)
            what = f"case {self.current} did not end" if self.current else "no case was begun"
        return f"{what} within {limit:g} s" if waited > limit else ""
