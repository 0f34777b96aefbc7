"""Why no daemon answers is said in a few seconds: where it was looked for, whose fault it may be, and what to do."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from harness.engines import choose_engine, daemon
from harness.engines.daemon import connect, daemon_address, engine_trace
from harness.engines.local import LocalEngine
from harness.errors import PrerequisiteError

#: The library leaves its socket to the garbage collector where a connection fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Listen = Callable[..., Path]


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty folder for the client's settings; no variable, no program and no socket names an engine."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    settings = tmp_path / "settings"
    settings.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(settings))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(daemon, "_FOLDERS", ())
    monkeypatch.setattr(daemon, "_DEFAULT", f"unix://{tmp_path}/usual.sock")
    monkeypatch.setattr(daemon, "ANSWER_S", 0.3)
    yield settings
    gc.collect(1)  # what a test leaves behind is young; the whole heap of a long session takes most of a second


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listen]:
    """Return a function that starts a daemon with one answer to everything, and points DOCKER_HOST to it."""
    with contextlib.ExitStack() as running:

        def listen(status: int = 200, body: object = None, *, hang: bool = False) -> Path:
            text = body if isinstance(body, str) else json.dumps(body)
            over = threading.Event()

            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    if hang:
                        over.wait(30)
                        return
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text.encode())

                def address_string(self) -> str:
                    return "a socket"

                def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                    pass

            path = tmp_path / "d.sock"
            server = running.enter_context(ThreadingUnixStreamServer(str(path), Handler))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            running.callback(server.shutdown)
            running.callback(over.set)
            monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
            return path

        yield listen


def _refusal(*, trusted: bool = True) -> PrerequisiteError:
    with pytest.raises(PrerequisiteError) as refused:
        choose_engine("auto", trusted=trusted)
    assert refused.value.exit_code == 3
    assert refused.value.lacking == "engine"
    return refused.value


def test_a_daemon_that_answers_is_connected(answers: Listen) -> None:
    """The client is given longer for its later requests than for the first."""
    answers(body={"ApiVersion": "1.41", "Version": "20.10.24"})
    with contextlib.closing(connect()) as client:
        assert client.version()["Version"] == "20.10.24"
        assert client.api.timeout == daemon.REQUEST_S


def test_a_daemon_that_hangs_is_an_error(answers: Listen) -> None:
    """A daemon that takes the question and never answers is not waited for."""
    path = answers(hang=True)
    error = _refusal()
    assert f"unix://{path} (named by DOCKER_HOST) did not answer" in error.message
    assert "restart it" in error.fix


@pytest.mark.parametrize(
    ("status", "body", "words", "fix"),
    [
        (403, {"message": "authorization denied by plugin"}, "authorization denied by plugin", "ask who runs it"),
        (407, {"message": "proxy"}, "HTTP 407", "ask who runs it"),
        (500, {"message": "layer store is broken"}, "layer store is broken", "log"),
        (200, "no json at all", "no Docker daemon answers", "DOCKER_HOST"),
        (200, [], "no Docker daemon answers", "DOCKER_HOST"),
        (200, {"Version": "1"}, "no Docker daemon answers", "DOCKER_HOST"),
        (200, {"ApiVersion": "1.12"}, "too old", "update"),
    ],
    ids=["plugin", "proxy", "broken", "garbage", "list", "other service", "old"],
)
def test_what_a_daemon_answers_is_passed_on(answers: Listen, status: int, body: object, words: str, fix: str) -> None:
    """An answer that is none is an error with its words, and with where it came from."""
    path = answers(status, body)
    error = _refusal()
    assert words in error.message
    assert str(path) in error.message
    assert fix in error.fix


def test_a_socket_without_permission_names_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user outside the group is told so, not that no daemon runs."""

    def connect_not_permitted(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "usual.sock").touch()
    monkeypatch.setattr(socket.socket, "connect", connect_not_permitted)
    error = _refusal()
    assert "no permission to use the Docker daemon" in error.message
    assert "group" in error.fix


def test_a_socket_that_nobody_listens_on_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that has ended leaves its socket: models are not run without isolation for that."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/left.sock")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(tmp_path / "left.sock"))
    assert "refused" in _refusal().message


def test_another_engine_that_is_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the named socket is missing and Podman's exists, the fix says how to use it."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/missing.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "podman").mkdir()
    (tmp_path / "podman" / "podman.sock").touch()
    error = _refusal()
    assert "no such socket" in error.message
    assert f"DOCKER_HOST=unix://{tmp_path}/podman/podman.sock" in error.fix


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("tcp://127.0.0.1:1", "refused"),
        ("ssh://nobody@127.0.0.1", "another machine"),
        ("carrier-pigeon://here", "carrier-pigeon"),
        ("127.0.0.1:1", "refused"),
    ],
)
def test_any_docker_host_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, host: str, words: str) -> None:
    """Whatever DOCKER_HOST holds, the answer is an error that names it, never a traceback."""
    monkeypatch.setenv("DOCKER_HOST", host)
    monkeypatch.setattr(daemon, "_DEFAULT", "unix:///nowhere.sock")
    error = _refusal()
    assert words in error.message
    assert "DOCKER_HOST" in error.message + error.fix


def test_certificates_that_are_missing_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_TLS_VERIFY without its files names the variables."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    assert "DOCKER_CERT_PATH" in _refusal().fix


def _context(settings: Path, name: str, host: str) -> None:
    from docker.context.config import get_context_id

    folder = settings / "contexts" / "meta" / get_context_id(name)
    folder.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    (folder / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))


@pytest.mark.parametrize("by", ["settings", "variable"])
def test_the_chosen_context_is_used(nothing_configured: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """What `docker context use` or DOCKER_CONTEXT chose is where the program `docker` and we look."""
    _context(nothing_configured, "mine", "unix:///somewhere/docker.sock")
    if by == "variable":
        (nothing_configured / "config.json").write_text("{}")
        monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    else:
        (nothing_configured / "config.json").write_text(json.dumps({"currentContext": "mine"}))
    assert daemon_address().url == "unix:///somewhere/docker.sock"
    assert "context 'mine'" in _refusal().message


def test_docker_host_comes_before_the_context(nothing_configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the program `docker`."""
    _context(nothing_configured, "mine", "unix:///somewhere/docker.sock")
    (nothing_configured / "config.json").write_text(json.dumps({"currentContext": "mine"}))
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    assert daemon_address().url == "unix:///elsewhere.sock"


def test_a_context_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and the usual socket is not taken in its place."""
    monkeypatch.setenv("DOCKER_CONTEXT", "lost")
    assert "'lost'" in _refusal().message


@pytest.mark.parametrize("text", ["[]", '"text"', '{"proxies": null}', '{"proxies": []}', "{", ""])
def test_settings_that_cannot_be_read_are_an_error_or_nothing(
    nothing_configured: Path, answers: Listen, text: str
) -> None:
    """Whatever ~/.docker/config.json holds, a daemon that answers is used or the file is named."""
    answers(body={"ApiVersion": "1.41"})
    (nothing_configured / "config.json").write_text(text)
    fix = ""
    try:
        connect().close()
    except PrerequisiteError as error:
        fix = error.fix
    assert not fix or "config.json" in fix


def test_local_is_chosen_only_where_no_engine_is_installed() -> None:
    """Without any trace of an engine, what comes with groundbench runs as a plain process."""
    assert engine_trace() == ""
    assert isinstance(choose_engine("auto", trusted=True), LocalEngine)


def test_a_strangers_plugin_needs_local_by_name() -> None:
    """Without an engine a stranger's code is refused, until --engine local says that it is trusted."""
    assert "--engine local" in _refusal(trusted=False).fix
    assert isinstance(choose_engine("local", trusted=False), LocalEngine)


@pytest.mark.parametrize("trace", ["program", "Podman", "socket", "variable", "context"])
def test_every_trace_of_an_engine_forbids_the_fall_back(
    tmp_path: Path, nothing_configured: Path, monkeypatch: pytest.MonkeyPatch, trace: str
) -> None:
    """A program, a socket, a variable or a context: each means that isolation is expected."""
    if trace in ("program", "Podman"):
        program = tmp_path / {"program": "docker", "Podman": "podman"}[trace]
        program.touch()
        program.chmod(0o755)
    elif trace == "socket":
        (tmp_path / "usual.sock").touch()
    elif trace == "variable":
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    else:
        _context(nothing_configured, "mine", "unix:///nowhere.sock")
        (nothing_configured / "config.json").write_text(json.dumps({"currentContext": "mine"}))
    assert _refusal().message
    assert os.environ["PATH"] == str(tmp_path)


def test_a_podman_service_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message speaks of Podman, and how its service is started."""
    monkeypatch.setenv("CONTAINER_HOST", f"unix://{tmp_path}/nowhere")
    with pytest.raises(PrerequisiteError, match=r"no Podman daemon is at .*named by CONTAINER_HOST") as refused:
        choose_engine("podman", trusted=False)
    assert "podman.socket" in refused.value.fix
