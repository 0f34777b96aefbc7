"""Signals that end a command, so that what it started never outlives it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: Always heeded, also by a command in the background.
_ALWAYS = (signal.SIGINT, signal.SIGTERM)

#: Would end Python at once, its containers behind it: a terminal that closed, a scheduler's warning before its time
#: limit, Ctrl-\\, a limit of CPU time. Heeded unless they are ignored, as `nohup` and schedulers ask for.
_UNLESS_IGNORED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGXCPU)

Handler = Callable[[int, FrameType | None], object]


def ending() -> list[signal.Signals]:
    """Return the signals that end a command of this process."""
    return [*_ALWAYS, *(number for number in _UNLESS_IGNORED if signal.getsignal(number) is not signal.SIG_IGN)]


@contextmanager
def heeding(handler: Handler) -> Iterator[None]:
    """Call `handler` for each signal that ends a command, as long as the context lasts."""
    before = {number: signal.signal(number, handler) for number in ending()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class Stopped(KeyboardInterrupt):
    """A signal that ends a command which does not handle it itself.

    A class of its own: once a plain KeyboardInterrupt has passed through text that Python compiled (every dataclass is
    one), the interpreter ends by the signal whatever exit code it is given.
    """


def install() -> None:
    """Raise :class:`Stopped` for each signal that ends a command."""

    def stopped(*_: object) -> None:
        raise Stopped

    for number in ending():
        signal.signal(number, stopped)


def exit_at_once(code: int) -> None:
    """End with `code` when another signal arrives: Python's own shutdown may wait for a scorer."""
    for number in ending():
        signal.signal(number, lambda *_: os._exit(code))


def ignore() -> None:
    """Ignore signals during shutdown: Python restores the default handlers at exit, which would then end it."""
    for number in ending():
        signal.signal(number, signal.SIG_IGN)
