"""The daemon of a container engine: where it is looked for, the connection to it, and in words why there is none.

The only module that makes a client. A client reads ``~/.docker/config.json``; what it finds there is for the program
`docker` on this machine and is never passed on to a container.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests
from docker.context import ContextAPI
from docker.context.config import get_current_context_name
from docker.utils.utils import kwargs_from_env

from harness.errors import PrerequisiteError
from harness.redaction import redacted

#: Seconds for a daemon to answer the first question; one that works needs a few milliseconds.
ANSWER_S = 6.0

#: Seconds for each later request, some of which start or remove a container.
REQUEST_S = 120.0

UNREACHABLE = (requests.exceptions.RequestException, docker.errors.DockerException)

#: Answers of a daemon, or of what stands before it, that deny the access.
_FORBIDDEN = (401, 403, 407)

_DEFAULT = "unix:///var/run/docker.sock"

#: Programs that show that a container engine is installed, and where they lie beside the folders of PATH.
_PROGRAMS = ("docker", "dockerd", "podman")
_FOLDERS = ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/snap/bin")

_NOT_ISOLATED = "--engine local runs code that you trust, without isolation"


@dataclass(frozen=True)
class Address:
    """Where the daemon is looked for.

    Attributes
    ----------
    url
        Its address.
    named_by
        What named it, in words for a message.
    tls
        The certificates, as the client takes them; None for none.
    engine
        The engine that is expected there: ``"Docker"`` or ``"Podman"``.
    """

    url: str
    named_by: str
    tls: Any = None
    engine: str = "Docker"

    @property
    def socket(self) -> Path | None:
        """The socket's file, where it is one of this machine."""
        return Path(self.url.removeprefix("unix://")) if self.url.startswith("unix://") else None

    def __str__(self) -> str:
        return f"{self.url} ({self.named_by})"


def daemon_address() -> Address:
    """Return where the program `docker` would look: ``DOCKER_HOST``, the chosen context, or the usual socket.

    Raises
    ------
    PrerequisiteError
        When what is named does not exist or cannot be understood.
    """
    try:
        named = kwargs_from_env()
        if named.get("base_url"):
            return Address(named["base_url"], "named by DOCKER_HOST", named.get("tls"))
        context = os.environ.get("DOCKER_CONTEXT") or get_current_context_name() or "default"
        if context == "default":
            return Address(_DEFAULT, "the usual place: DOCKER_HOST is not set and no context is chosen")
        found = ContextAPI.get_context(context)
    except (*UNREACHABLE, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _misconfigured(error) from error
    if found is None or not found.Host:
        raise PrerequisiteError(
            f"the Docker context {context!r} does not exist or names no host",
            fix="`docker context ls` lists them; choose one with `docker context use`, or set DOCKER_HOST",
            lacking="engine",
        )
    return Address(found.Host, f"named by the Docker context {context!r}", found.TLSConfig)


def engine_trace() -> str:
    """Return a trace that a container engine is or was meant to be here; empty where there is none.

    A variable, a chosen context, a socket or an installed program: each of them means that models are expected to be
    isolated, whether the daemon answers or not.
    """
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        if os.environ.get(name):
            return f"{name} is set"
    context = get_current_context_name()
    if context not in (None, "default"):
        return f"the Docker context {context!r} is chosen"
    if Path(_DEFAULT.removeprefix("unix://")).exists():
        return f"{_DEFAULT} exists"
    path = os.pathsep.join([os.environ.get("PATH", ""), *_FOLDERS])
    return next(
        (f"{found} is installed" for found in (shutil.which(name, path=path) for name in _PROGRAMS) if found), ""
    )


def connect(address: Address | None = None, *, request_s: float = REQUEST_S) -> docker.DockerClient:
    """Return a client of the daemon, which has answered.

    Parameters
    ----------
    address
        Where it is; None: where :func:`daemon_address` says.
    request_s
        Seconds for each later request.

    Raises
    ------
    PrerequisiteError
        When no daemon answers within a few seconds: where it was looked for, whose fault it may be, and what to do.
    """
    address = address or daemon_address()
    try:
        # Asks for the daemon's version at once, which is the first question.
        client = docker.DockerClient(base_url=address.url, tls=address.tls or False, timeout=ANSWER_S, version="auto")
    except (*UNREACHABLE, OSError) as error:
        raise _unreachable(error, address) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _misconfigured(error) from error
    client.api.timeout = request_s
    if address.socket is not None:
        client.api.trust_env = False  # no proxy stands before a socket; to look for one is a third of a request
    return client


def said(error: BaseException) -> str:
    """Return what the daemon itself said of a failure, in one line without secrets; else the error's own text."""
    return redacted(" ".join(str(getattr(error, "explanation", None) or error).split()))


def _misconfigured(error: BaseException) -> PrerequisiteError:
    folder = os.environ.get("DOCKER_CONFIG") or "~/.docker"
    return PrerequisiteError(
        f"the settings of the Docker client cannot be used: {said(error) or type(error).__name__}",
        fix=f"check {folder}/config.json, its contexts/, and DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH",
        lacking="engine",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything that it was raised from or carries: libraries wrap the system's own."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [other for other in (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
                    if isinstance(other, BaseException)]  # fmt: skip


#: Kinds of failure, what each means, and what to do; `{at}` is the address and `{said}` the message.
_START = "{start}{others}"
_STARTS = {
    "Docker": "start Docker (`sudo systemctl start docker`, or Docker Desktop)",
    "Podman": "start its service (`sudo systemctl start podman.socket`, or `podman system service --time=0 ADDRESS`)",
}
_MEANINGS: Sequence[tuple[type[BaseException] | tuple[type[BaseException], ...], str, str]] = (
    (FileNotFoundError, "no {engine} daemon is at {at}: there is no such socket", _START),
    (ConnectionRefusedError, "no {engine} daemon listens at {at}: the connection was refused", _START),
    ((requests.exceptions.Timeout, TimeoutError),
     f"the {{engine}} daemon at {{at}} did not answer within {ANSWER_S:.0f} s: it hangs or cannot be reached",
     "see its log (`journalctl -u docker`) and restart it (`sudo systemctl restart docker`)"),
    (docker.errors.InvalidVersion, "the {engine} daemon at {at} is too old: {said}",
     "update it: Docker 20.10 or newer, or Podman 4 or newer"),
    (socket.gaierror, "the host of {at} is not known: {said}", "check DOCKER_HOST or the context"),
    ((ssl.SSLError, docker.errors.TLSParameterError), "the certificates for {at} do not work: {said}",
     "check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, or the context's certificates"),
)  # fmt: skip


def _unreachable(error: BaseException, address: Address) -> PrerequisiteError:
    """Return the error for a daemon that does not answer: the first cause that is known decides the words."""
    words = next((words for words in (_words(cause, address) for cause in _causes(error)) if words), None)
    what, fix = words or (
        f"no {address.engine} daemon answers at {address}: {said(error)}",
        "check that a daemon listens there and that DOCKER_HOST or the context is right",
    )
    return PrerequisiteError(what, fix=f"{fix}; {_NOT_ISOLATED}", lacking="engine")


def _words(cause: BaseException, address: Address) -> tuple[str, str] | None:
    """Return what one cause means and what to do about it; None where it says too little."""
    if address.url.startswith("ssh://"):
        return (
            f"a daemon on another machine cannot be used: {address}",
            "run bench on that machine: containers read data sets and write masks in folders of this one",
        )
    if isinstance(cause, PermissionError):
        return _not_permitted(address)
    if isinstance(cause, docker.errors.APIError) and cause.status_code is not None:
        fix = "see the daemon's log (`journalctl -u docker`)"
        if cause.status_code in _FORBIDDEN:
            fix = "an authorization plugin or a proxy before the daemon decides this: ask who runs it"
        return (
            f"the {address.engine} daemon at {address} refused to answer (HTTP {cause.status_code}): {said(cause)}",
            fix,
        )
    for kind, what, fix in _MEANINGS:
        if isinstance(cause, kind):
            told = {
                "at": str(address), "said": said(cause), "others": _other_sockets(address),
                "engine": address.engine, "start": _STARTS[address.engine],
            }  # fmt: skip
            return what.format(**told), fix.format(**told)
    return None


def _not_permitted(address: Address) -> tuple[str, str]:
    import grp

    user, group = _user_name(), ""
    if address.socket is not None:
        with contextlib.suppress(OSError, KeyError):
            group = grp.getgrgid(address.socket.stat().st_gid).gr_name
    join = f"add it to the group {group} (`sudo usermod -aG {group} {user}`, then log in again)"
    if group in ("", "root"):
        join = "give it permission to use the socket, usually through the group docker"
    return (
        f"this user ({user}) has no permission to use the {address.engine} daemon at {address}",
        f"ask an administrator to {join}; or use a rootless engine of your own",
    )


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _other_sockets(address: Address) -> str:
    """Return a hint at a socket of another engine of this user that exists; empty without one."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    places = [
        f"{runtime}/docker.sock",
        f"{runtime}/podman/podman.sock",
        os.path.expanduser("~/.docker/desktop/docker.sock"),  # noqa: PTH111 - a home that cannot be found stays as it is
        "/var/run/docker.sock",
        "/run/podman/podman.sock",
    ]
    for place in places:
        if place != str(address.socket) and os.path.exists(place):  # noqa: PTH110 - no error without permission
            return f", or use the engine whose socket is {place}: DOCKER_HOST=unix://{place}"
    return ""
