"""Watches one container from its start to its end: its events, its time, its disk, and a request to stop.

Predicting and training are watched alike. The meaning of events, the time limits and the judgement of the end are
each verb's own :class:`Policy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Protocol

from harness.engines.base import Container, Exit
from harness.sandbox.contract import Event
from harness.sandbox.events import EventTail
from harness.sandbox.folder import broken_bound, lack_of_disk, told_apart
from harness.sandbox.stop import Stop
from harness.status import Status


class Policy(Protocol):
    """The differences between predicting and training.

    Attributes
    ----------
    settled
        Cases that have ended; each that follows has the whole bound of events.
    """

    @property
    def settled(self) -> int: ...  # noqa: D102 - described with the class

    def take(self, events: Sequence[Event], *, stopping: bool) -> bool:
        """Process the new events, in order.

        Parameters
        ----------
        events
            Claims of the container; accepted as far as they are consistent.
        stopping
            Whether the run was requested to end soon: then events beyond the end of the next case may be skipped.

        Returns
        -------
        bool
            Whether the container can be ended here without losing work.
        """

    def late(self, now: float) -> str:
        """Return in words the time limit exceeded at `now` (seconds, monotonic); empty while none is."""


@dataclass(frozen=True)
class Bounds:
    """The limits of a container while it is watched.

    Attributes
    ----------
    out
        Its output folder.
    out_mb
        Disk space that everything below it may take, MiB.
    home
        The folder whose disk must not become full.
    tick_s
        Seconds between two reads of its events.
    weigh_every_s
        Seconds between two measurements of its disk.
    grace_s
        Seconds to end by itself after the request; None: it is not requested, but ended where its
        policy reports that no work is lost.
    """

    out: Path
    out_mb: int
    home: Path
    tick_s: float
    weigh_every_s: float
    grace_s: float | None = None


@dataclass(frozen=True)
class Broken:
    """The bound that a container broke: whose fault it is, and the reason."""

    status: Status
    reason: str


@dataclass(frozen=True)
class Ended:
    """The end of a container.

    Attributes
    ----------
    exit
        Evidence from the engine.
    by_itself
        Whether it ended without our doing.
    asked
        Whether its end had been requested.
    broken
        The reason why we ended it; None where it ended by itself, or because the run was stopped.
    """

    exit: Exit
    by_itself: bool
    asked: bool
    broken: Broken | None


def watch(container: Container, bounds: Bounds, policy: Policy, stop: Stop) -> Ended:
    """Follow a running container until it ends, breaks a bound, or the run is stopped; then remove it.

    Parameters
    ----------
    container
        A container that was just started; it is always removed afterwards.
    bounds
        Its limits.
    policy
        Receives its events, also those left at its end, and decides when it is late.
    stop
        Checked at every tick.
    """
    watching = _Watch(container, bounds, policy, stop)
    try:
        by_itself, broken = watching.follow()
    finally:
        watching.tail.close()
        ended = container.stop()
        container.remove()
    return Ended(ended, by_itself=by_itself, asked=watching.asked is not None, broken=broken)


class _Watch:
    def __init__(self, container: Container, bounds: Bounds, policy: Policy, stop: Stop) -> None:
        self._container, self._bounds, self._policy, self._stop = container, bounds, policy, stop
        self.tail = EventTail(bounds.out / "events.jsonl")
        self._device = bounds.out.stat().st_dev
        self.asked: float | None = None

    def follow(self) -> tuple[bool, Broken | None]:
        """Return whether the container ended by itself, and the bound that it broke."""
        weighed = monotonic()
        while self._container.wait(self._bounds.tick_s) is None:
            harmless = self._policy.take(self.tail.read(), stopping=self._stop.soon.is_set())
            self.tail.allow(self._policy.settled)
            now = monotonic()
            if self._must_stop(now, harmless=harmless):
                return False, None
            if late := self._policy.late(now):
                return False, Broken(Status.TIMEOUT, late)
            if now - weighed >= self._bounds.weigh_every_s:
                weighed = now
                if broken := self._weigh():
                    return False, broken
        while events := self.tail.rest():  # more than one case's bound may be left
            self._policy.take(events, stopping=False)
            self.tail.allow(self._policy.settled)
        return True, None

    def _must_stop(self, now: float, *, harmless: bool) -> bool:
        soon, grace_s = self._stop.soon.is_set(), self._bounds.grace_s
        if soon and grace_s is not None and self.asked is None:
            self.asked = now
            self._container.ask()
        if self._stop.now.is_set():
            return True
        if grace_s is None:
            return soon and harmless
        return self.asked is not None and now - self.asked > grace_s

    def _weigh(self) -> Broken | None:
        held = self._container.held_bytes(self._device)
        if broken := broken_bound(self._bounds.out, self._bounds.out_mb, held):
            return Broken(Status.PLUGIN_ERROR, broken)
        # A full disk may have any cause: it never counts as the model's fault.
        if lacking := lack_of_disk(self._bounds.home):
            return Broken(Status.INFRA_ERROR, f"{lacking}; {told_apart(self._bounds.home, held)}")
        return None
