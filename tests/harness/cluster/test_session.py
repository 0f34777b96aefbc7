"""A scheduler is proved before Dask is asked: nothing there, something else there, other certificates."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.cluster import session
from harness.cluster.config import DaskCluster
from harness.cluster.session import certificates, find_scheduler, prove, require_dask, start_scheduler
from harness.cluster.tls import AUTHORITY, MEMBER
from harness.errors import BenchError, PrerequisiteError, UsageError

pytest.importorskip("cryptography", reason="it comes with the extra `cluster`, which the development lock installs")

Serve = Callable[[socket.socket], None]


def _cluster(shared: Path, **keys: object) -> DaskCluster:
    return DaskCluster.model_validate({"name": "lab", "kind": "dask", "shared": shared, **keys})


@contextlib.contextmanager
def _listening(serve: Serve) -> Iterator[int]:
    """Yield the port at which one connection is served."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                serve(server.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
    thread.join(10)


def _tls(folder: Path) -> Serve:
    def serve(plain: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / AUTHORITY)
        context.load_cert_chain(folder / MEMBER)
        with context.wrap_socket(plain, server_side=True) as talk:
            talk.sendall(b"hello")

    return serve


def _greet(plain: socket.socket) -> None:
    plain.sendall(b"hello")
    plain.close()


def _hang_up(plain: socket.socket) -> None:
    plain.close()


def _refused(cluster: DaskCluster, address: str, folder: Path | None) -> BenchError:
    with pytest.raises(PrerequisiteError) as raised:
        prove(cluster, address, folder)
    assert address in raised.value.message
    assert "dask scheduler" in raised.value.fix
    return raised.value


def test_the_right_one_is_accepted(tmp_path: Path) -> None:
    """With the certificates of the folder, and without encryption where there is none."""
    cluster = _cluster(tmp_path, address="tls://127.0.0.1:1")
    folder = certificates(cluster, cluster.address, make=True)
    assert folder is not None
    with _listening(_tls(folder)) as port:
        prove(cluster, f"tls://127.0.0.1:{port}", folder)
    with _listening(_greet) as port:
        prove(cluster, f"tcp://127.0.0.1:{port}", None)
    assert certificates(cluster, "tcp://127.0.0.1:1", make=True) is None


def test_other_certificates(tmp_path: Path) -> None:
    """Those of another cluster."""
    clusters = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        clusters.append(_cluster(tmp_path / name, address="tls://127.0.0.1:1"))
    one, other = (certificates(cluster, cluster.address, make=True) for cluster in clusters)
    assert one is not None
    assert other is not None
    with _listening(_tls(other)) as port:
        assert "is refused: its certificate" in _refused(clusters[0], f"tls://127.0.0.1:{port}", one).message


def test_something_else_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without TLS, one that hangs up, one that says nothing, and nobody at all."""
    monkeypatch.setattr(session, "CONNECT_S", 0.5)
    cluster = _cluster(tmp_path, address="tls://127.0.0.1:1")
    folder = certificates(cluster, cluster.address, make=True)
    with _listening(_greet) as port:
        assert "does not speak TLS" in _refused(cluster, f"tls://127.0.0.1:{port}", folder).message
    with _listening(_hang_up) as port:
        assert "hangs up" in _refused(cluster, f"tcp://127.0.0.1:{port}", None).message
    waiting = threading.Event()
    with _listening(lambda plain: (waiting.wait(5), plain.close())[1]) as port:
        assert "no answer within" in _refused(cluster, f"tcp://127.0.0.1:{port}", None).message
        waiting.set()
    assert "Connection refused" in _refused(cluster, "tcp://127.0.0.1:1", None).message


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (None, PrerequisiteError, "there is no scheduler file"),
        ("{}", PrerequisiteError, "is not the file of a Dask scheduler"),
        ("[]", PrerequisiteError, "is not the file of a Dask scheduler"),
        ("{", UsageError, "s.json"),
        (json.dumps({"address": "tcp://gpu1:8786"}), UsageError, "is not encrypted"),
    ],
)
def test_scheduler_files(tmp_path: Path, content: str | None, kind: type[BenchError], said: str) -> None:
    """What the file says is as much to be doubted as an address that is typed in."""
    path = tmp_path / "s.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(kind, match=said) as raised:
        find_scheduler(_cluster(tmp_path, scheduler_file=path))
    assert raised.value.fix
    path.write_text(json.dumps({"address": "tls://gpu1:8786"}))
    assert find_scheduler(_cluster(tmp_path, scheduler_file=path)) == "tls://gpu1:8786"


def test_how_a_scheduler_is_started(tmp_path: Path) -> None:
    """The command is whole: with the certificates, the port, and nothing that others can look at."""
    cluster = _cluster(tmp_path, address="tls://gpu1:8786")
    assert start_scheduler(cluster, cluster.address) == (
        f"start it on gpu1: dask scheduler --protocol tls --tls-ca-file {tmp_path}/tls/ca.pem "
        f"--tls-cert {tmp_path}/tls/member.pem --port 8786 --dashboard-address 127.0.0.1:8787"
    )
    assert "--host 127.0.0.1 " in start_scheduler(cluster, "tcp://127.0.0.1:1")


def test_without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named, not a package of others."""
    monkeypatch.setattr(session.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PrerequisiteError, match="Dask is not installed") as raised:
        require_dask()
    assert "make cluster" in raised.value.fix
