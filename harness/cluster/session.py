"""A connection to a Dask scheduler on which nothing waits for ever: found, proved, and every call with its limit."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib.util
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from harness.cluster.config import DaskCluster, check_address
from harness.cluster.tls import AUTHORITY, MEMBER, ensure_certificates, require_certificates
from harness.errors import Interrupted, PrerequisiteError, UsageError
from harness.foreign import read_json_file

if TYPE_CHECKING:
    from distributed import Client, Security

#: Seconds in which a scheduler must accept a connection, and answer.
CONNECT_S, ANSWER_S = 10.0, 30.0

Result = TypeVar("Result")


def require_dask() -> None:
    """Raise PrerequisiteError unless the extra ``cluster`` is installed."""
    lacking = [name for name in ("distributed", "cryptography") if importlib.util.find_spec(name) is None]
    if lacking:
        raise PrerequisiteError(
            f"Dask is not installed here ({' and '.join(lacking)} cannot be imported)",
            fix="install groundbench with its extra `cluster` (in a checkout: `make cluster`), here and on every host",
        )


def find_scheduler(cluster: DaskCluster) -> str:
    """Return the address of a cluster's scheduler.

    Raises
    ------
    PrerequisiteError
        When there is no scheduler file.
    UsageError
        When the file names an address that is not encrypted and leaves this machine.
    """
    path = cluster.scheduler_file
    if path is None:
        return cluster.address
    try:
        address = str(read_json_file(path)["address"])
        check_address(address, insecure=cluster.insecure)
    except FileNotFoundError as error:
        raise PrerequisiteError(
            f"there is no scheduler file {path}: no scheduler has been started with it, or it is on another disk",
            fix=start_scheduler(cluster, ""),
        ) from error
    except OSError as error:
        raise PrerequisiteError(f"{path} cannot be read: {error.strerror}", fix="see its permissions") from error
    except (KeyError, TypeError) as error:
        raise PrerequisiteError(f"{path} is not the file of a Dask scheduler", fix="start it again") from error
    except ValueError as error:  # JSONDecodeError is one
        raise UsageError(f"{path}: {error}", fix=start_scheduler(cluster, "")) from error
    return address


def start_scheduler(cluster: DaskCluster, address: str) -> str:
    """Return in words how the scheduler of a cluster is started."""
    secure = cluster.scheduler_file is not None or address.startswith("tls:")
    parts = urlsplit(address)
    options = [
        *(["--protocol tls", f"--tls-ca-file {cluster.shared / 'tls' / AUTHORITY}"] if secure else []),
        *([f"--tls-cert {cluster.shared / 'tls' / MEMBER}"] if secure else []),
        *([f"--port {parts.port}"] if address else []),
        *([] if secure else [f"--host {parts.hostname}"]),
        *([f"--scheduler-file {cluster.scheduler_file}"] if cluster.scheduler_file else []),
        "--dashboard-address 127.0.0.1:8787",
    ]
    where = f"on {parts.hostname}" if parts.hostname else "on one host"
    return f"start it {where}: dask scheduler {' '.join(options)}"


def certificates(cluster: DaskCluster, address: str, *, make: bool) -> Path | None:
    """Return the folder with a cluster's certificates; None for an address without encryption.

    Parameters
    ----------
    cluster, address
        The cluster, and its scheduler's address.
    make
        Whether they are made where there are none: on the driver.
    """
    if not address.startswith("tls:"):
        return None
    return ensure_certificates(cluster.shared) if make else require_certificates(cluster.shared)


def security_of(folder: Path | None) -> Security | None:
    """Return what Dask needs of the certificates in a folder."""
    from distributed import Security

    if folder is None:
        return None
    member = str(folder / MEMBER)
    return Security(
        require_encryption=True,
        tls_ca_file=str(folder / AUTHORITY),
        tls_client_cert=member,
        tls_worker_cert=member,
        tls_scheduler_cert=member,
    )


def prove(cluster: DaskCluster, address: str, folder: Path | None) -> None:
    """Prove that a scheduler answers at an address and shows our certificate, before Dask is asked to connect.

    Dask itself tries again until its time is up, and then says only that.

    Raises
    ------
    PrerequisiteError
        When nothing answers, the certificates differ, or what answers is not a Dask scheduler.
    """
    parts = urlsplit(address)
    try:
        with contextlib.ExitStack() as opened:
            plain = opened.enter_context(socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_S))
            talk = plain if folder is None else opened.enter_context(_context(folder).wrap_socket(plain))
            if not talk.recv(1):  # either side of Dask greets first
                raise PrerequisiteError(
                    f"what answers at {address} hangs up: it may expect encryption, or another certificate",
                    fix=start_scheduler(cluster, address),
                )
    except ssl.SSLCertVerificationError as error:
        raise _other_certificate(
            cluster, address, f"its certificate is not from {folder}: {error.verify_message}"
        ) from error
    except ssl.SSLError as error:
        said = str(error.reason or error)
        if "ALERT" in said.upper():
            raise _other_certificate(
                cluster, address, f"it does not accept the certificate of {folder}: {said}"
            ) from error
        raise PrerequisiteError(
            f"what answers at {address} does not speak TLS: {said}", fix=start_scheduler(cluster, address)
        ) from error
    except TimeoutError as error:
        raise _unreachable(cluster, address, f"no answer within {CONNECT_S:.0f} s") from error
    except OSError as error:
        raise _unreachable(cluster, address, error.strerror or str(error)) from error


def _context(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / AUTHORITY))
    context.check_hostname = False  # hosts have no certificates of their own: all show that of the cluster
    context.load_cert_chain(str(folder / MEMBER))
    return context


def _unreachable(cluster: DaskCluster, address: str, why: str) -> PrerequisiteError:
    return PrerequisiteError(
        f"no scheduler answers at {address} (cluster {cluster.name!r}): {why}", fix=start_scheduler(cluster, address)
    )


def _other_certificate(cluster: DaskCluster, address: str, why: str) -> PrerequisiteError:
    return PrerequisiteError(
        f"the scheduler at {address} (cluster {cluster.name!r}) is refused: {why}",
        fix="it was started with other certificates, or `shared` is not its folder; "
        + start_scheduler(cluster, address),
    )


class Session:
    """A client of a scheduler, on a thread of its own.

    Parameters
    ----------
    cluster
        The cluster.

    Raises
    ------
    PrerequisiteError
        When Dask is not installed, or the scheduler does not answer or is another one.
    """

    def __init__(self, cluster: DaskCluster) -> None:
        require_dask()
        self.address = find_scheduler(cluster)
        folder = certificates(cluster, self.address, make=True)
        prove(cluster, self.address, folder)
        self._loop = asyncio.new_event_loop()
        # What matters is awaited and raised; Dask leaves futures behind whose failures nobody will ask for.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, name="dask", daemon=True)
        self._thread.start()
        try:
            self.client: Client = self.call(lambda: self._connect(security_of(folder)), CONNECT_S + ANSWER_S)
        except BaseException:
            self._end_loop()
            raise

    async def _connect(self, security: Security | None) -> Client:
        from distributed import Client

        for name in ("distributed.client", "distributed.core", "distributed.comm", "distributed.utils"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is raised, and told in one line
        return await Client(self.address, asynchronous=True, security=security, timeout=CONNECT_S, set_as_default=False)

    def call(self, work: Callable[[], Awaitable[Result]], seconds: float = ANSWER_S) -> Result:
        """Return what is awaited on the client's thread; raise PrerequisiteError where that takes too long."""

        async def awaited() -> Result:
            return await work()

        future = asyncio.run_coroutine_threadsafe(awaited(), self._loop)
        try:
            return future.result(seconds)
        except (TimeoutError, concurrent.futures.TimeoutError) as error:
            future.cancel()
            raise PrerequisiteError(
                f"the scheduler at {self.address} does not answer within {seconds:.0f} s",
                fix="see its log; the same command goes on with what is left",
            ) from error
        except (OSError, concurrent.futures.CancelledError, asyncio.CancelledError) as error:
            raise self.gone(str(error) or type(error).__name__) from error

    @property
    def lost(self) -> bool:
        """Whether the connection to the scheduler is lost; what was handed in is forgotten then, even if it is back."""
        return bool(self.client.status != "running")

    def gone(self, why: str) -> Interrupted:
        """Return the error for a scheduler that is gone: what has finished is kept."""
        return Interrupted(
            f"the scheduler at {self.address} is gone ({why}); workers end the shard that they run",
            fix="start it and the workers again; the same command goes on with what is left",
        )

    def workers(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the workers: address -> what the scheduler knows of it, with its `name`, `host` and `resources`."""
        found = self.call(lambda: self.client.scheduler.identity(n_workers=-1))
        return dict(found["workers"])

    def ask(self, question: Callable[..., Any], *arguments: str, workers: list[str], seconds: float) -> dict[str, str]:
        """Return what workers answer to a question, by their addresses; of one that does not, the reason as an error.

        Parameters
        ----------
        question
            A coroutine function of :mod:`harness.cluster.tasks`, found there by its name.
        arguments
            Its arguments.
        workers
            Addresses.
        seconds
            Time limit.
        """
        found = self.call(lambda: self.client.run(question, *arguments, workers=workers, on_error="return"), seconds)
        return {
            address: one if isinstance(one, str) else f"{type(one).__name__}: {one}" for address, one in found.items()
        }

    def close(self) -> None:
        """Let go of the scheduler; what takes longer than some seconds is left behind."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(Exception):  # it may be gone
            self.call(lambda: self.client.close(timeout=2), 5)
        self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self._loop.close()
