"""Keeps a model fed: the next CT is read while the current one is computed, and masks are written behind it.

Both take memory only where what the model is declared to need leaves some. Every event and every mask is the one that
would have been written without: only when it happens is another.
"""

from __future__ import annotations

import resource
import threading
import time
from queue import Queue
from typing import Callable, Sequence

import numpy as np

from groundbench_sdk.reading import Layout
from groundbench_sdk.records import Case, read_ct

#: Share of the declared memory that is left alone.
_RESERVE = 0.25


class Room:
    """What is left of the memory that a model is declared to need, by the most that this process ever took.

    Parameters
    ----------
    memory_mb
        The declared memory, MiB; None or 0: nothing is lent.
    """

    def __init__(self, memory_mb: int | None) -> None:
        self._allowed = int((memory_mb or 0) * 2**20 * (1 - _RESERVE))
        self._lent = self._most = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Lend so many bytes, if the model is not known to need them itself."""
        with self._lock:
            own = host_bytes() - self._most
            if max(0, own) + self._lent + size > self._allowed:
                return False
            self._lent += size
            self._most = max(self._most, self._lent)
            return True

    def give(self, size: int) -> None:
        """Take so many bytes back."""
        with self._lock:
            self._lent -= size


def host_bytes() -> int:
    """Return the most memory that this process ever took, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Read(threading.Thread):
    """Reads one CT."""

    def __init__(self, case: Case, layout: Layout) -> None:
        super().__init__(daemon=True)
        self.case, self.layout, self.size = case, layout, layout.bytes_of(case.shape)
        self.seconds = 0.0
        self._array: np.ndarray | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        began = time.perf_counter()
        try:
            self._array = read_ct(self.case, self.layout)
        except BaseException as error:  # noqa: BLE001 - raised where the case is due
            self._error = error
        self.seconds = time.perf_counter() - began

    def result(self) -> np.ndarray | None:
        """Return the CT, or raise what reading it raised; None in a process that was forked meanwhile."""
        self.join()
        if self._error is not None:
            raise self._error
        array, self._array = self._array, None
        return array


class ReadAhead:
    """Reads the CT of the next case in a thread, as the last one was asked for; one volume ahead.

    A CT that cannot be read fails its own case, when it is due.

    Parameters
    ----------
    cases
        In the order in which they will be computed; each is read through this object from now on.
    room
        Where the memory for it is taken from.

    Attributes
    ----------
    read_s, wait_s
        Seconds spent with reading what was asked for, and with waiting for it, since they were last set to 0.
    """

    def __init__(self, cases: Sequence[Case], room: Room) -> None:
        self._next = {id(case): after for case, after in zip(cases, cases[1:])}
        self._room = room
        self._ahead: _Read | None = None
        self.read_s = self.wait_s = 0.0
        for case in cases:
            case.reader = self.read

    def read(self, case: Case, layout: Layout) -> np.ndarray:
        """Return a CT, and begin to read the next one."""
        began = time.perf_counter()
        array, ahead = None, self._ahead
        try:
            # One that is already for the next case stays; one of a case that never asked for it is dropped.
            if ahead is not None and ahead.case is not self._next.get(id(case)):
                self._ahead = None
                self._room.give(ahead.size)
                ahead.join()
                if (ahead.case, ahead.layout) == (case, layout):
                    self.read_s += ahead.seconds
                    array = ahead.result()
            if array is None:
                now = time.perf_counter()
                array = read_ct(case, layout)
                self.read_s += time.perf_counter() - now
        finally:
            self.wait_s += time.perf_counter() - began
            self._begin(self._next.get(id(case)), layout)
        return array

    def _begin(self, case: Case | None, layout: Layout) -> None:
        if case is None or self._ahead is not None:
            return
        ahead = _Read(case, layout)
        if self._room.take(ahead.size):
            self._ahead = ahead
            ahead.start()


class Behind:
    """Does things in order in a thread, behind the one that computes; without memory for it, at once.

    Parameters
    ----------
    room
        Where the memory for what waits is taken from.

    Attributes
    ----------
    wait_s
        Seconds that the computing thread has waited here since it was last set to 0.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._queue: Queue[tuple[Callable[[], None], int] | None] = Queue()
        self._error: BaseException | None = None
        self.wait_s = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def do(self, what: Callable[[], None], size: int = 0) -> None:
        """Do something behind what was given before, holding so many bytes until then; raises what failed.

        What holds nothing is done at once where nothing waits before it: a process that dies in the next moment has
        then told which case it had begun.
        """
        self._raise()
        if not size and not self._queue.unfinished_tasks:
            self._try(what)
            self._raise()
            return
        lent = self._room.take(size)
        self._queue.put((what, size if lent else 0))
        if not lent:
            self.settle()

    def settle(self) -> None:
        """Wait until all is done; raises what nobody expected."""
        began = time.perf_counter()
        self._queue.join()
        self.wait_s += time.perf_counter() - began
        self._raise()

    def close(self) -> None:
        """Finish what was given, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        for what, size in iter(self._queue.get, None):
            self._try(what)
            self._room.give(size)
            self._queue.task_done()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _try(self, what: Callable[[], None]) -> None:
        try:
            what()
        except BaseException as error:  # noqa: BLE001 - raised in the computing thread
            self._error = self._error or error
