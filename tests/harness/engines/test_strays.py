"""A container without an owner goes; one whose owner cannot be seen waits until its lease is long over."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import docker
import docker.errors
import pytest
import requests

from harness.engines.owners import own_labels
from harness.engines.strays import ended_by_others, find_strays, moment, remove_strays
from harness.errors import PrerequisiteError
from harness.images.identity import LABEL

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
OURS = dict(own_labels("run"))
DEAD = OURS | {f"{LABEL}.start": "1"}
FOREIGN = DEAD | {f"{LABEL}.pidns": "pid:[1]"}


def _ago(seconds: float) -> str:
    """Return a moment before NOW as the daemon writes it, with nanoseconds."""
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f123Z")


def _answer(code: int) -> requests.Response:
    response = requests.Response()
    response.status_code = code
    return response


def _refusal(code: int) -> docker.errors.APIError:
    return docker.errors.APIError("refused", response=_answer(code), explanation=f"it says {code}")


@dataclass
class Daemon:
    """What a daemon answers about containers; each is (labels, created, change of its lease)."""

    containers: dict[str, tuple[dict[str, str], str, str | None]]
    refuses: int = 0
    events: list[dict[str, str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    @property
    def client(self) -> docker.DockerClient:
        """Return the part of a client that is used."""
        found = [
            SimpleNamespace(
                id=name,
                name=name,
                labels=labels,
                attrs={"Created": created, "Mounts": [] if lease is None else [{"Destination": "/bench/job.json"}]},
            )
            for name, (labels, created, lease) in self.containers.items()
        ]
        api = SimpleNamespace(
            get_archive=self._archive, remove_container=self._remove, events=lambda **_: iter(self.events)
        )
        everything = SimpleNamespace(
            containers=SimpleNamespace(list=lambda **_: found), api=api, info=lambda: {"SystemTime": _ago(0)}
        )
        return cast("docker.DockerClient", everything)

    def _archive(self, name: str, _: str) -> tuple[Any, dict[str, str | None]]:
        lease = self.containers[name][2]
        if lease in {"gone", "unreadable"}:
            error = docker.errors.NotFound if lease == "gone" else docker.errors.APIError
            raise error("refused", response=_answer(404 if lease == "gone" else 500))
        return SimpleNamespace(close=lambda: None), {"mtime": lease}

    def _remove(self, name: str, **_: object) -> None:
        if self.refuses:
            raise _refusal(self.refuses)
        self.removed.append(name)


def test_one_whose_owner_lives_is_no_stray() -> None:
    """What a living harness of this namespace watches is not listed."""
    assert find_strays(Daemon({"a": (OURS, _ago(9999), _ago(9999))}).client) == []


def test_one_whose_owner_has_ended_goes_at_once() -> None:
    """In the owner's own namespace the lease is not awaited."""
    (stray,) = find_strays(Daemon({"a": (DEAD, _ago(5), _ago(1))}).client)
    assert stray.kept == ""


@pytest.mark.parametrize(
    ("created", "lease", "stays"),
    [
        (_ago(5000), _ago(20), True),  # renewed
        (_ago(5000), _ago(599), True),  # its owner may be stopped or slow
        (_ago(5000), _ago(700), False),
        (_ago(5000), "unreadable", True),
        (_ago(5000), "gone", False),  # with its folder: nobody can renew it
        (_ago(50), "gone", True),
        (_ago(5000), None, False),  # a container without a job, such as one of doctor's: it lives for seconds
        (_ago(50), None, True),
        ("nonsense", _ago(5000), True),
    ],
)
def test_one_whose_owner_cannot_be_seen_waits_for_its_lease(created: str, lease: str | None, stays: bool) -> None:
    """From another namespace only a lease long over shows that the owner is gone; an unknown one shows nothing."""
    (stray,) = find_strays(Daemon({"a": (FOREIGN, created, lease)}).client)
    assert bool(stray.kept) is stays
    assert not stays or "another PID namespace" in stray.kept


def test_only_the_chosen_ones_are_removed_and_never_one_that_must_stay() -> None:
    """What appeared since it was listed stays, and so does what has got a sign of life."""
    daemon = Daemon({"a": (DEAD, _ago(9), None), "b": (DEAD, _ago(9), None), "c": (FOREIGN, _ago(9), _ago(1))})
    assert list(remove_strays(daemon.client, ["a", "c"])) == ["c"]
    assert daemon.removed == ["a"]


@pytest.mark.parametrize(("code", "stayed"), [(404, {}), (409, {}), (500, {"a": "it says 500"})])
def test_two_may_remove_the_same_container(code: int, stayed: dict[str, str]) -> None:
    """One that another process has removed or is removing is gone; any other refusal is passed on."""
    assert remove_strays(Daemon({"a": (DEAD, _ago(9), None)}, refuses=code).client, ["a"]) == stayed


def test_a_daemon_that_does_not_answer_is_an_error_with_a_fix() -> None:
    """A lost daemon is a missing prerequisite, not a traceback."""

    def lost(**_: object) -> None:
        raise requests.exceptions.ConnectionError("gone")

    client = cast("docker.DockerClient", SimpleNamespace(containers=SimpleNamespace(list=lost)))
    with pytest.raises(PrerequisiteError, match="gone"):
        find_strays(client)


@pytest.mark.parametrize("events", [[], [{"status": "kill"}]])
def test_who_ended_it_is_asked_of_the_daemon(events: list[dict[str, str]]) -> None:
    """`docker kill`, `stop` and `rm -f` are events; a death without one may be the container's own."""
    assert ended_by_others(Daemon({}, events=events).client, "a") is bool(events)


@pytest.mark.parametrize("well", [True, False])
def test_nobody_waits_for_the_daemon_where_a_container_ended_well(well: bool) -> None:
    """The daemon waits until the moment up to which events are asked for: none after now for a container of code 0."""
    client, asked = Daemon({}).client, []
    client.api.events = lambda **named: iter(asked.append(named["until"]) or ())  # type: ignore[func-returns-value]
    client.info = lambda: {"SystemTime": "2026-05-04T12:00:00.700000123Z"}
    assert not ended_by_others(client, "a", well=well)
    (until,) = asked
    assert float(until) == pytest.approx(NOW.timestamp() + 0.7 if well else NOW.timestamp() + 1, abs=1e-6)


def test_moments() -> None:
    """Times with nanoseconds, or with an offset, are read; nonsense is no time."""
    assert moment("2026-05-04T12:00:00.123456789Z") == pytest.approx(NOW.timestamp() + 0.123456)
    assert moment("2026-05-04T14:00:00+02:00") == NOW.timestamp()
    assert moment("") is None
