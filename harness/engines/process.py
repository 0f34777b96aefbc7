"""A model as a child process of the harness: started so that it dies with it, watched, and its output kept."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.engines.base import MAX_LOG_BYTES, ContainerSpec, Exit
from harness.errors import PrerequisiteError

#: Seconds between the request to end and the kill.
GRACE_S = 3

#: Seconds between two looks at what is gone with the process.
_CLOSELY_S = 0.02

# The child dies with the thread that started it (Linux), so that a killed harness leaves no process behind.
_LAUNCHER = """
import ctypes, os, resource, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
for limit in filter(None, sys.argv[2].split(",")):
    name, _, value = limit.partition("=")
    kind = getattr(resource, f"RLIMIT_{name}")
    most = resource.getrlimit(kind)[1]
    value = int(value) if most == resource.RLIM_INFINITY else min(int(value), most)
    resource.setrlimit(kind, (value, value))
os.execv(sys.argv[3], sys.argv[3:])
"""


def start_process(
    command: Sequence[str],
    spec: ContainerSpec,
    *,
    folder: Path,
    environment: Mapping[str, str],
    limits: Mapping[str, int] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, which dies with this process.

    Parameters
    ----------
    command
        The path of the program, and its arguments.
    spec
        What it is started for.
    folder
        Where it starts.
    environment
        Its whole environment.
    limits
        Limits of its resources, by the names that the kernel has for them, such as ``{"NOFILE": 4096}``.

    Raises
    ------
    PrerequisiteError
        When the system does not start it.
    """
    limited = ",".join(f"{name}={value}" for name, value in (limits or {}).items())
    try:
        return subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, str(os.getpid()), limited, *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise PrerequisiteError(f"cannot start {spec.plugin.name!r}: {error}") from error


class ProcessContainer:
    """One process, or a container that is one, and its group; watched by two threads.

    Parameters
    ----------
    process
        As :func:`start_process` started it.
    spec
        What it was started from.
    """

    def __init__(self, process: subprocess.Popen[bytes], spec: ContainerSpec) -> None:
        self._process = process
        self._root = spec.root
        self._log = spec.log
        self._ended = threading.Event()
        self._exit: Exit | None = None
        self._ours = False  #: whether its end was our doing
        self._logger = threading.Thread(target=self._keep_log, name=f"log-{spec.name}", daemon=True)
        self._waiter = threading.Thread(target=self._await_end, name=f"wait-{spec.name}", daemon=True)
        self._logger.start()
        self._waiter.start()

    def watch_closely(self, look: Callable[[], None]) -> None:
        """Call `look` many times a second until the process has ended."""

        def watch() -> None:
            while not self._ended.wait(_CLOSELY_S):
                look()

        threading.Thread(target=watch, name=f"look-{self._process.pid}", daemon=True).start()

    def wait(self, seconds: float) -> Exit | None:
        """Wait up to `seconds` for the end of the process; None while it runs."""
        return self._exit if self._ended.wait(seconds) else None

    def held_bytes(self, device: int) -> int:  # noqa: ARG002 - of the protocol
        """Return 0: the files of a process that nothing sets apart are not counted."""
        return 0

    def ask(self) -> None:
        """Send SIGTERM to the process group."""
        self._ours = True
        self._signal(signal.SIGTERM)

    def stop(self) -> Exit:
        """Request the end of the process group, kill it after a short grace, and return its exit."""
        self._ours = True
        self._signal(signal.SIGTERM)
        if not self._ended.wait(GRACE_S):
            self._signal(signal.SIGKILL)
            self._ended.wait(10)
        return self._exit or Exit(None, error="the process could not be stopped")

    def remove(self) -> None:
        """End the rest of the process group; the log's last lines are written first."""
        self._signal(signal.SIGKILL)
        self._logger.join(timeout=5)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _await_end(self) -> None:
        _, status, usage = os.wait4(self._process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        # As a container engine reports it: 128 + the signal's number.
        self._exit = self._judge(
            Exit(128 - code if code < 0 else code, peak_bytes=usage.ru_maxrss * 1024, state="exited")
        )
        self._ended.set()

    def _judge(self, ended: Exit) -> Exit:
        """Return the exit with what else is known of it."""
        return ended

    def _keep_log(self) -> None:
        """Copy the output to the log file while it is written, up to the bound; of the rest only the last lines.

        The log is a convenience: a full disk is reported elsewhere, and unread output would block the process.
        """
        assert self._process.stdout is not None  # noqa: S101 - opened as a pipe above
        written, last = 0, b""
        with contextlib.ExitStack() as held:
            output = held.enter_context(self._process.stdout)
            file = None
            with contextlib.suppress(OSError):
                # Unbuffered: a failed write is not repeated when the file is closed.
                file = held.enter_context(self._log.open("ab", buffering=0))
            while chunk := output.read1(65536):  # type: ignore[attr-defined]
                if file is not None:
                    with contextlib.suppress(OSError):
                        file.write(chunk[: max(0, MAX_LOG_BYTES - written)])
                written += len(chunk)
                last = (last + chunk)[-64 * 1024 :]
            if file is not None and written > MAX_LOG_BYTES:
                with contextlib.suppress(OSError):
                    file.write(b"\n[... more output was dropped; the last lines follow ...]\n" + last)
