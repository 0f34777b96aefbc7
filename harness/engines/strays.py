"""Containers of ours that nobody watches any more: found, judged by their owner or by their lease, and removed."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import docker
import docker.errors
import requests

from harness.engines.owners import LEASE, STALE_S, owner_lives
from harness.errors import PrerequisiteError
from harness.images.identity import LABEL

_REFUSED = (requests.exceptions.RequestException, docker.errors.DockerException)

_ELSEWHERE = "it was started on another host or in another PID namespace"


@dataclass(frozen=True)
class Stray:
    """A container of ours that no process is known to watch.

    Attributes
    ----------
    id, name
        The engine's id of it, and its name.
    kept
        Why it must stay: its owner cannot be seen from here and may live. Empty where nobody will come for it.
    """

    id: str
    name: str
    kept: str = ""


def find_strays(client: docker.DockerClient) -> list[Stray]:
    """Return the containers of ours whose owner has ended, and those whose owner cannot be seen from here.

    Raises
    ------
    PrerequisiteError
        When the daemon does not list its containers.
    """
    found = []
    try:
        # By the label that only we set: the plain one comes with the image, also for containers started by hand.
        for container in client.containers.list(all=True, filters={"label": f"{LABEL}.pid"}, ignore_removed=True):
            lives = owner_lives(container.labels)
            if not lives:
                kept = "" if lives is False else _why_kept(client, container)
                found.append(Stray(str(container.id), str(container.name), kept))
    except _REFUSED as error:
        raise PrerequisiteError(
            f"the Docker daemon did not list its containers: {getattr(error, 'explanation', None) or error}",
            fix="see `docker info` and the daemon's log",
            lacking="engine",
        ) from error
    return found


def remove_strays(client: docker.DockerClient, names: Iterable[str]) -> dict[str, str]:
    """Remove those of these containers that are still without an owner; return the others with the reason."""
    stayed = {}
    chosen = set(names)
    for stray in find_strays(client) if chosen else ():
        if stray.name not in chosen:
            continue
        if stray.kept:
            stayed[stray.name] = stray.kept
            continue
        try:
            client.api.remove_container(stray.id, force=True, v=True)
        except docker.errors.APIError as error:
            # 404 and 409: another process has removed it, or is about to; both want it gone.
            if error.status_code not in {404, 409}:
                stayed[stray.name] = str(error.explanation or error)
        except _REFUSED as error:
            stayed[stray.name] = str(error)
    return stayed


def ended_by_others(client: docker.DockerClient, container: str, *, well: bool = False) -> bool:
    """Return whether somebody asked the daemon to end a container, which its exit code does not tell.

    Parameters
    ----------
    client
        A connected client.
    container
        Its id. The harness itself has not asked.
    well
        Whether it ended with exit code 0: a process that handled the signal had time, and the daemon has told of the
        signal. It may do so up to a second later of one that was killed, for which it is asked to wait.
    """
    with contextlib.suppress(*_REFUSED):
        now = moment(str(client.info().get("SystemTime", "")))
        until = f"{now:.6f}" if well and now is not None else int(now or time.time()) + 1
        events = client.api.events(since=0, until=until, filters={"container": container, "event": "kill"}, decode=True)
        return any(True for _ in events)
    return False


def _why_kept(client: docker.DockerClient, container: Any) -> str:
    """Say why a container must stay whose owner cannot be seen; empty once its lease is long over."""
    signs = [str(container.attrs.get("Created", ""))]
    if any(mount.get("Destination") == f"/bench/{LEASE}" for mount in container.attrs.get("Mounts", [])):
        try:
            # Through the daemon: its files may lie on a host that is not this one.
            stream, status = client.api.get_archive(container.id, f"/bench/{LEASE}")
            stream.close()
            signs.append(str(status.get("mtime", "")))
        except docker.errors.NotFound:
            pass  # its folder is gone: nobody can renew the lease any more
        except docker.errors.APIError:
            signs.append("")
    moments = [moment(sign) for sign in signs]
    now = moment(str(client.info().get("SystemTime", "")))
    seen = [found for found in moments if found is not None]
    if now is None or len(seen) < len(moments):
        return f"{_ELSEWHERE}, and its lease cannot be read"
    silent_s = max(0.0, now - max(seen))
    return "" if silent_s > STALE_S else f"{_ELSEWHERE}; its last sign of life was {silent_s:.0f} s ago"


def moment(text: str) -> float | None:
    """Return a time of the daemon in seconds since 1970; None where it is none."""
    try:
        # Nanoseconds are more digits than Python reads.
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()
    except ValueError:
        return None
