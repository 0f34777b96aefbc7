"""A build goes on without the registry credentials that a missing or silent helper program keeps."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from harness.images import credentials
from harness.images.credentials import keep_readable_credentials

Kept = Callable[..., tuple[dict[str, object], list[str]]]

AUTH = "dXNlcjpwYXNz"  # user:pass


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """Return a function that makes a client with these settings and says which credentials it would send, and why."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def keep(settings: object, helper: str = "") -> tuple[dict[str, object], list[str]]:
        (tmp_path / "config.json").write_text(json.dumps(settings))
        if helper:
            program = tmp_path / "docker-credential-mine"
            program.write_text(f"#!/bin/sh\n{helper}\n")
            program.chmod(0o755)
        client = docker.DockerClient(base_url="unix:///nowhere.sock", version="1.41")
        said: list[str] = []
        keep_readable_credentials(client, said.append)
        headers: dict[str, str] = {}
        client.api._set_auth_headers(headers)
        client.close()
        sent = json.loads(base64.urlsafe_b64decode(headers.get("X-Registry-Config", "e30=")))
        return sent, said

    return keep


@pytest.mark.parametrize(
    ("settings", "helper"),
    [
        ({"credsStore": "desktop"}, ""),
        ({"credHelpers": {"example.org": "gone"}}, ""),
        ({"credsStore": "mine"}, "echo not logged in >&2; exit 1"),
        ({"credsStore": "mine"}, "echo no json"),
        ({"credsStore": "mine"}, "echo '[]'"),
    ],
    ids=["missing", "missing for one", "fails", "garbage", "list"],
)
def test_a_helper_that_does_not_work_is_a_warning(kept: Kept, settings: dict[str, object], helper: str) -> None:
    """The credentials that stand in the file itself are still used."""
    sent, said = kept({**settings, "auths": {"example.com": {"auth": AUTH}}}, helper)
    assert list(sent) == ["example.com"]
    assert len(said) == 1
    assert "goes on without" in said[0]


def test_a_helper_that_never_answers_is_not_awaited(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key ring that waits for a password does not hold up a build."""
    monkeypatch.setattr(credentials, "HELPERS_S", 0.2)
    _, said = kept({"credsStore": "mine"}, "exec sleep 3")
    assert "no answer within" in said[0]


def test_without_helpers_nothing_is_said(kept: Kept) -> None:
    """Credentials in the file are sent as before; no file is no warning."""
    assert kept({"auths": {"example.com": {"auth": AUTH}}})[1] == []
    assert kept({}) == ({}, [])
