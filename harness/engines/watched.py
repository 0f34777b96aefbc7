"""A started container of an engine with a daemon: watched until its end, its output kept, its memory counted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import docker
import docker.errors

from harness.engines.base import MAX_LOG_BYTES, ContainerSpec, Exit
from harness.engines.daemon import UNREACHABLE
from harness.engines.memory import MemoryGroup
from harness.engines.owners import RENEW_S, renew
from harness.engines.strays import ended_by_others

#: Seconds between the request to end and the kill.
GRACE_S = 3

#: Seconds between two looks at the memory of a container whose engine does not tell what the kernel ended: a group
#: outlives its last process for as long as the engine needs to notice.
_CLOSELY_S = 0.02


class WatchedContainer:
    """One started container; watched by a thread that waits for its end and one that keeps its log.

    Parameters
    ----------
    client
        A client of its engine.
    container_id
        The engine's id of it.
    spec
        What it was started from.
    tells_oom
        Whether the engine itself tells that the kernel has ended a process for the limit of memory; where it does not,
        the kernel's own count is looked at all the time.
    """

    def __init__(
        self, client: docker.DockerClient, container_id: str, spec: ContainerSpec, *, tells_oom: bool = True
    ) -> None:
        self._client = client
        self._id = container_id
        self._log = spec.log
        self._root = spec.root
        self._limit_bytes = spec.resources.memory_mb * 2**20
        self._renewed = time.monotonic()
        self._ours = False  #: whether its end was our doing
        self._ended = threading.Event()
        self._exit: Exit | None = None
        self._memory = MemoryGroup(self._first_process())
        self._tells_oom = tells_oom
        if not tells_oom:
            self._start(self._look_closely, f"memory-{spec.name}")
        self._logger = self._start(self._keep_log, f"log-{spec.name}")
        self._start(self._await_end, f"wait-{spec.name}")

    def wait(self, seconds: float) -> Exit | None:
        """Wait up to `seconds` for the container's end; None while it runs."""
        self._memory.sample()
        if time.monotonic() - self._renewed >= RENEW_S:
            self._renewed = time.monotonic()
            renew(self._root)
        return self._exit if self._ended.wait(seconds) else None

    def held_bytes(self, device: int) -> int:
        """Return the bytes that its processes hold on a disk in files without a name."""
        return self._memory.held_bytes(device)

    def ask(self) -> None:
        """Send it SIGTERM; its init forwards the signal."""
        self._ours = True
        with contextlib.suppress(*UNREACHABLE):
            self._client.api.kill(self._id, signal="SIGTERM")

    def stop(self) -> Exit:
        """Request its end, kill it after a short grace, and return its exit."""
        if self._exit is not None and self._ended.is_set():
            return self._exit
        self._ours = True
        with contextlib.suppress(*UNREACHABLE):
            self._client.api.stop(self._id, timeout=GRACE_S)
        if not self._ended.wait(GRACE_S + 10):
            with contextlib.suppress(*UNREACHABLE):
                self._client.api.kill(self._id)
            self._ended.wait(10)
        return self._exit or Exit(None, error="the container could not be stopped")

    def remove(self) -> None:
        """Remove the container and its anonymous volumes; the log's last lines are written first."""
        self._logger.join(timeout=5)
        with contextlib.suppress(*UNREACHABLE):
            self._client.api.remove_container(self._id, force=True, v=True)

    @staticmethod
    def _start(work: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def _first_process(self) -> int:
        with contextlib.suppress(*UNREACHABLE):
            return int(self._client.api.inspect_container(self._id)["State"].get("Pid") or 0)
        return 0

    def _look_closely(self) -> None:
        while not self._ended.wait(_CLOSELY_S):
            self._memory.sample()

    def _await_end(self) -> None:
        try:
            result = self._client.api.wait(self._id, timeout=None)
            ended_by_us = self._ours
            state = self._client.api.inspect_container(self._id)["State"]
            code = int(result["StatusCode"])
            self._exit = Exit(
                code=code,
                oom=bool(state.get("OOMKilled")) or (not self._tells_oom and self._ended_for_memory(code)),
                error=str(state.get("Error") or ""),
                peak_bytes=self._memory.peak_bytes,
                state=str(state.get("Status") or "exited"),
            )
            if not ended_by_us and ended_by_others(self._client, self._id, well=code == 0):
                self._exit = replace(
                    self._exit,
                    code=None,
                    error="somebody else ended or removed the container (docker kill, stop or rm)",
                )
        except docker.errors.NotFound:
            self._exit = Exit(None, error="somebody else removed the container", peak_bytes=self._memory.peak_bytes)
        except UNREACHABLE as error:
            self._exit = Exit(None, error=f"the engine lost the container: {error}", peak_bytes=self._memory.peak_bytes)
        self._ended.set()

    def _ended_for_memory(self, code: int) -> bool:
        """Return whether the kernel counted a process that it ended; or one was killed with the memory at its limit."""
        at_limit = self._memory.peak_bytes is not None and self._memory.peak_bytes >= self._limit_bytes
        return self._memory.kills > 0 or (code == 137 and at_limit and not self._ours)

    def _keep_log(self) -> None:
        """Copy the output to the log file while it is written, up to the bound; then only its last lines."""
        try:
            with self._log.open("ab") as file:
                written = 0
                for chunk in self._client.api.logs(self._id, stream=True, follow=True):
                    file.write(chunk[: MAX_LOG_BYTES - written])
                    file.flush()
                    written += len(chunk)
                    if written >= MAX_LOG_BYTES:
                        break
                else:
                    return
                file.write(b"\n[... more output was dropped; the last lines follow ...]\n")
                self._ended.wait()
                file.write(self._client.api.logs(self._id, tail=50)[-64 * 1024 :])
        except (OSError, *UNREACHABLE):
            return  # the log is a convenience: a full disk or a lost daemon is reported elsewhere
