"""Reads a container's ``events.jsonl`` while it is written, up to a bound a case, and ignores what is no event."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from harness.sandbox.contract import MAX_EVENT_BYTES, MAX_EVENTS_BYTES, Event, parse_event

_CHUNK = 256 * 1024

#: No event is shorter (``{"event":"started"}`` has one byte more); a flood of shorter lines costs nothing.
_MIN_EVENT_BYTES = 18


class EventTail:
    """Follows one event file.

    Parameters
    ----------
    path
        ``out/events.jsonl``; it need not be there yet, or ever.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self._partial = b""
        self._read = 0
        self._settled, self._limit = 0, MAX_EVENTS_BYTES
        self._skipping = False

    def allow(self, settled: int) -> None:
        """Begin the bound anew where more cases have ended than before: it belongs to a case, however many there are.

        Parameters
        ----------
        settled
            Cases of the container that have ended.
        """
        if settled > self._settled:
            self._settled, self._limit = settled, self._read + MAX_EVENTS_BYTES

    def read(self) -> list[Event]:
        """Return the events that were completed since the last call, in order."""
        if self._handle is None:
            self._handle = self._open()
        if self._handle is None:
            return []
        events = []
        # One chunk a call: a container that floods the file cannot hold up the clock that watches it.
        chunk = os.read(self._handle, min(_CHUNK, self._limit - self._read))
        self._read += len(chunk)
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
                continue
            event = parse_event(line) if len(line) >= _MIN_EVENT_BYTES else None
            if event is not None:
                events.append(event)
        if len(self._partial) > MAX_EVENT_BYTES:
            self._partial, self._skipping = b"", True
        return events

    def rest(self) -> list[Event]:
        """Return all events that are left, once the container has ended."""
        events = []
        while True:
            before = self._read
            events += self.read()
            if self._read == before:
                return events

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int | None:
        """Open the file; None where it is not there yet, or is not a regular file."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            return None
        return handle
