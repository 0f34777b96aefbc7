"""Strangers' declarations are read in a process of their own, so that nothing they do touches this one.

A declaration is Python, and importing it may print, change the folder, the environment, signals or the locale, replace
functions of the harness, write into a database, end the interpreter or never end. A copy of this process does it and
sends back the models: plain records of the registry's own classes, and nothing else is accepted. It may write into no
file, and ends where it does.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

#: Seconds for one plugin.
LIMIT_S = 60.0

#: Bytes of everything that one plugin declares.
_MAX_BYTES = 64 * 2**20

#: What a declaration may consist of, besides plain values.
_OURS = "harness.registry."
_PLAIN = {("pathlib", "PosixPath"), ("builtins", "frozenset"), ("builtins", "set")}


class Unanswered(Exception):  # noqa: N818 - read as what happened
    """Reading a declaration ended without an answer; the message says how."""


def read_apart(read: Callable[[], Any]) -> Any:
    """Return what `read` returns, called in a copy of this process.

    Parameters
    ----------
    read
        Returns plain values and records of the registry. What it prints is shown on standard error.

    Raises
    ------
    Unanswered
        When it did not end in time, ended the process, or returned something else.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else the copy would print it, too
    (reading, writing), (printed, printing) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        _answer(read, writing, printing)
    os.close(writing)
    os.close(printing)
    try:
        answer = _receive(reading, printed)
    finally:
        os.close(reading)
        os.close(printed)
        for kill in (os.killpg, os.kill):  # with the programs that it started, if it came so far
            with contextlib.suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if answer is None:
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGKILL:
            raise Unanswered(f"importing it did not end within {LIMIT_S:.0f} s")
        if code == -signal.SIGXFSZ:
            raise Unanswered("it writes into a file where it only has to declare models, as one does that forges rows")
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise Unanswered(f"importing it ended its process {how}")
    try:
        return _Records(io.BytesIO(answer)).load()
    except Exception as error:  # whatever the records of a stranger make of themselves here
        raise Unanswered(f"its declaration cannot be read: {error}") from error


def _answer(read: Callable[[], Any], writing: int, printing: int) -> None:
    """Send what `read` returns, and end this process, whatever happens."""
    with contextlib.suppress(BaseException):
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in (1, 2):  # what its libraries and programs print must not mix with our output, and is no file
            os.dup2(printing, descriptor)
        sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
        sys.dont_write_bytecode = True
        for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
            resource.setrlimit(limit, (0, 0))
        try:
            answer = pickle.dumps(read())
        finally:
            sys.stderr.flush()
        view = memoryview(len(answer).to_bytes(8, "big") + answer)
        while view:
            view = view[os.write(writing, view) :]
        os._exit(0)
    os._exit(1)


def _receive(reading: int, printed: int) -> bytes | None:
    """Return the whole answer; None where none came in time. Programs that were started there may hold the pipes."""
    deadline = time.monotonic() + LIMIT_S
    answer, pipes = b"", [printed, reading]
    while len(answer) < 8 or len(answer) < 8 + int.from_bytes(answer[:8], "big"):
        ready, _, _ = select.select(pipes, [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(ready[0], 65536) if ready else b""
        if ready == [] or (ready[0] == reading and not piece) or time.monotonic() > deadline:
            return None
        if ready[0] == reading:
            answer += piece
        elif piece:
            sys.stderr.write(piece.decode("utf-8", "replace"))
        else:
            pipes.remove(printed)
        if len(answer) > _MAX_BYTES:
            return None
    return answer[8:]


class _Records(pickle.Unpickler):
    """Reads records of the registry only: a stranger's class would run its code here."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class that a declaration may consist of."""
        if (module.startswith(_OURS) and "." not in name) or (module, name) in _PLAIN:
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise pickle.UnpicklingError(f"it contains a {module}.{name}; use the classes of `harness` and plain values")
