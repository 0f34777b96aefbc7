"""The local engine: the adapter as a plain subprocess, with the same files and events, and no isolation at all."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.engines.base import MAX_LOG_BYTES, USER_NAME, ContainerSpec, Exit, Tried, require_readable
from harness.errors import ModelError, PrerequisiteError
from harness.images.build import Image
from harness.images.context import code_digest
from harness.registry.discovery import Plugin

#: Seconds between the request to end and the kill.
GRACE_S = 3

_SDK = Path(__file__).resolve().parents[2] / "containers" / "sdk"

# The child dies with the thread that started it (Linux), so that a killed harness leaves no process behind.
_LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.executable, [sys.executable, "-m", "groundbench_sdk", sys.argv[2]])
"""


class LocalEngine:
    """Runs adapters as subprocesses of this Python; used where no container engine is installed."""

    name = "local"
    isolates = False

    def base(self) -> None:
        """Return None: nothing is built."""

    def prepare(
        self,
        plugin: Plugin,
        *,
        home: Path,  # noqa: ARG002 - the interface
        gpus: bool,  # noqa: ARG002 - the interface
        log: Callable[[str], None],  # noqa: ARG002 - the interface
        before_build: Callable[[], None] = lambda: None,  # noqa: ARG002 - the interface
    ) -> Image:
        """Return the identity of the plugin's code; nothing needs to be built.

        Raises
        ------
        ModelError
            When the model declares no adapter to run without a container.
        """
        self._require_adapter(plugin)
        # The adapter runs on the packages installed beside the harness: another version is another run.
        installed = sorted(f"{name}=={version}" for name, version in _packages())
        digest = hashlib.sha256("\n".join([code_digest(plugin), platform.python_version(), *installed]).encode())
        return Image(id=f"local:{digest.hexdigest()}")

    def is_prepared(self, plugin: Plugin, *, home: Path, gpus: bool) -> bool:  # noqa: ARG002 - the interface
        """Return True: nothing is built; raises ModelError where the model runs in a container only."""
        self._require_adapter(plugin)
        return True

    def require_readable(self, paths: Iterable[Path]) -> None:
        """Raise DataError where this user cannot read one of `paths`."""
        require_readable(paths, os.getuid(), os.getgid())

    def _require_adapter(self, plugin: Plugin) -> None:
        if not plugin.model.adapter:
            raise ModelError(
                f"plugin {plugin.name!r} runs in a container only",
                fix="start a Docker daemon (containers/dev/engine.sh) and use --engine docker",
            )

    def start(self, spec: ContainerSpec) -> LocalContainer:
        """Start the adapter in a process group of its own, with links where a container has mounts."""
        for mount in spec.mounts:
            link = spec.root / mount.target
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(mount.source)
        temporary = spec.root / "tmp"
        temporary.mkdir(exist_ok=True)
        threads = str(max(1, round(spec.resources.cpus)))
        environment = {
            "BENCH_ROOT": str(spec.root),
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(temporary),
            "USER": USER_NAME,
            "LOGNAME": USER_NAME,
            "TMPDIR": str(temporary),
            "PYTHONPATH": f"{_SDK}{os.pathsep}{spec.plugin.model.root}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "CUDA_VISIBLE_DEVICES": ",".join(spec.gpu_ids),
        }
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _LAUNCHER, str(os.getpid()), spec.plugin.model.adapter],
                cwd=temporary,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise PrerequisiteError(f"cannot start {spec.plugin.name!r}: {error}") from error
        return LocalContainer(process, spec)

    def try_out(self, spec: ContainerSpec, command: Sequence[str]) -> Tried:  # noqa: ARG002 - the interface
        """Report success: nothing stands between an adapter of this engine and the machine."""
        return Tried(0)

    def reap(self) -> list[str]:
        """Do nothing: a local adapter dies with its harness."""
        return []

    def describe(self) -> dict[str, Any]:
        """Return the Python that runs the adapters, and the packages beside it."""
        about = {"engine": self.name, "version": platform.python_version(), "isolates": self.isolates}
        return {**about, "packages": dict(_packages())}


def _packages() -> list[tuple[str, str]]:
    """Return name and version of each installed package."""
    return [(found.name, found.version) for found in importlib.metadata.distributions()]


class LocalContainer:
    """One adapter process and its group."""

    def __init__(self, process: subprocess.Popen[bytes], spec: ContainerSpec) -> None:
        self._process = process
        self._root = spec.root
        self._log = spec.log
        self._ended = threading.Event()
        self._exit: Exit | None = None
        self._logger = threading.Thread(target=self._keep_log, name=f"log-{spec.name}", daemon=True)
        self._waiter = threading.Thread(target=self._await_end, name=f"wait-{spec.name}", daemon=True)
        self._logger.start()
        self._waiter.start()

    def wait(self, seconds: float) -> Exit | None:
        """Wait up to `seconds` for the end of the process; None while it runs."""
        return self._exit if self._ended.wait(seconds) else None

    def ask(self) -> None:
        """Send SIGTERM to the process group."""
        self._signal(signal.SIGTERM)

    def stop(self) -> Exit:
        """Request the end of the process group, kill it after a short grace, and return its exit."""
        self._signal(signal.SIGTERM)
        if not self._ended.wait(GRACE_S):
            self._signal(signal.SIGKILL)
            self._ended.wait(10)
        return self._exit or Exit(None, error="the process could not be stopped")

    def remove(self) -> None:
        """End the rest of the process group and remove links and temporary files."""
        self._signal(signal.SIGKILL)
        self._logger.join(timeout=5)
        for name in ("ct", "seg", "truth", "weights", "checkpoint", "tmp"):
            shutil.rmtree(self._root / name, ignore_errors=True)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _await_end(self) -> None:
        _, status, usage = os.wait4(self._process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        # As a container engine reports it: 128 + the signal's number.
        self._exit = Exit(128 - code if code < 0 else code, peak_bytes=usage.ru_maxrss * 1024, state="exited")
        self._ended.set()

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
