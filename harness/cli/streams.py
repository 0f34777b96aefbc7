"""Standard output and error that cannot stop the work: a reader may go away, a terminal close, a log's disk fill up.

A run takes a night; what is printed about it is a convenience. So nothing that goes wrong with printing raises where
it was printed. What was lost for another reason than that nobody reads any more is known afterwards: a result that did
not reach its file must not look written.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import sys
from typing import Any

#: Errors of a descriptor that nobody reads any more: a closed pipe, a terminal that hung up, a closed descriptor.
_NOBODY = {errno.EPIPE, errno.EIO, errno.ENXIO, errno.EBADF, errno.ECONNRESET}

#: Seconds for which a descriptor that does not wait for its reader is given to take more.
_PATIENCE_S = 1.0

#: What stands in for characters that an old locale lacks, so that numbers and tables stay readable.
_PLAIN = {
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MICRO SIGN}": "u",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded: a handler of encoding errors."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in lost), error.end


codecs.register_error("groundbench.plain", _plain)


class _Patient(io.RawIOBase):
    """A descriptor to which writing never fails; the last failure other than a reader's absence is kept.

    Parameters
    ----------
    descriptor
        The descriptor; it is not closed.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.failure: OSError | None = None

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        try:
            return os.write(self._descriptor, view)
        except BlockingIOError:  # a terminal that another program made so: it is given some time
            select.select([], [self._descriptor], [], _PATIENCE_S)
            with contextlib.suppress(OSError):
                return os.write(self._descriptor, view)
            return view.nbytes
        except OSError as error:
            if error.errno not in _NOBODY:
                self.failure = error
            return view.nbytes


def make_patient() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that cannot stop the work.

    A descriptor that was closed at the start is opened on ``/dev/null``: the next file to be opened would take its
    number, and get what is printed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        before = getattr(sys, name)
        if before is not None:  # Python's own has none where the descriptor was closed
            if not isinstance(before, io.TextIOWrapper) or before is not getattr(sys, f"__{name}__"):
                continue  # a test's, or another program's
            before.flush()
        stream = io.TextIOWrapper(
            io.BufferedWriter(_Patient(descriptor)),
            encoding=getattr(before, "encoding", None) or "utf-8",
            errors="groundbench.plain",
            line_buffering=descriptor == 2 or os.isatty(descriptor),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def lost_output() -> OSError | None:
    """Flush standard output and return the failure that kept a part of it from its file; None where nothing was."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Patient) else None


def is_plain(stream: Any) -> bool:
    """Return whether a stream gets neither colours nor a bar that moves: no terminal, or one that cannot."""
    return not stream.isatty() or os.environ.get("TERM") == "dumb"


def colours(stream: Any) -> bool:
    """Return whether a stream may get colours: a terminal that can, and no ``NO_COLOR`` (https://no-color.org)."""
    return not is_plain(stream) and not os.environ.get("NO_COLOR")
