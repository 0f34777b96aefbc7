"""Attempts that cost nothing and leave nothing: each must fail, and says how.

A probe returns how it failed, or raises `Breach` with what it got.
"""

import ctypes
import errno
import json
import os
import signal
from pathlib import Path

ROOT = Path("/bench")
LIBC = ctypes.CDLL(None, use_errno=True)
PROBES = {}

#: Where a test listens on the host: a port of every interface, and an abstract socket.
HOST_PORT = 48611
HOST_SOCKET = "\0groundbench-hostile-test"
#: A file that a test puts into the host's /dev/shm and /tmp.
HOST_MARKER = "groundbench-hostile-marker"


class Breach(Exception):  # noqa: N818 - an outcome
    """The attempt succeeded."""


def probe(function):
    PROBES[function.__name__.replace("_", "-")] = function
    return function


def refused(attempt, *arguments, **options):
    """Try it; return the refusal, or raise `Breach`."""
    try:
        got = attempt(*arguments, **options)
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    raise Breach(f"{getattr(attempt, '__name__', attempt)}{arguments} gave {got!r}")


def system_call(number, *arguments):
    """Make a raw system call of x86-64 or raise OSError."""
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def library_call(name, *arguments):
    """Call a function of the C library that returns 0 for success, or raise OSError."""
    result = getattr(LIBC, name)(*arguments)
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def cases():
    """Return the cases of the job."""
    return [json.loads(line) for line in (ROOT / "cases.jsonl").read_text().splitlines()]


def main(part, *, of):
    """Try one part of everything and print one line for each attempt."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for name, attempt in list(PROBES.items())[part::of]:
        try:
            line = f"HELD {attempt()}"
        except Breach as breach:
            line = f"BREACH {breach}"
        except Exception as error:  # noqa: BLE001 - a probe that broke has proven nothing
            line = (
                f"BROKEN {type(error).__name__}: {error} ({errno.errorcode.get(getattr(error, 'errno', 0) or 0, '')})"
            )
        print(f"PROBE {name} {line}", flush=True)
