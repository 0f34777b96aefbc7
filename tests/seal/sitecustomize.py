"""Keeps a test that is not marked for it away from the container engine's daemon, the network and the GPUs.

An audit hook sees every connection and every program that Python starts, whatever library asks for it. Python imports
a module of this name when it starts and finds it on PYTHONPATH, so the commands that a test starts are watched as well;
it therefore imports nothing that costs time. `SEALED` in the environment names the test; without it everything is
allowed.
"""

import os
import sys

SEALED = "GROUNDBENCH_SEALED_TEST"

#: Where daemons of container engines listen; a test's own stand-in is in its temporary folder.
_DAEMONS = ("docker.sock", "podman.sock")
_DAEMON_FOLDERS = ("/run/", "/var/run/", os.path.expanduser("~/.docker/"))  # noqa: PTH111 - imports nothing more


class ReachedOut(BaseException):
    """A test reached for what it is not marked for.

    Not an `Exception`: code that goes on after any failure, such as the choice of an engine, would hide it.
    """


def _refuse(what, marker, otherwise):
    test = os.environ[SEALED]
    return f"{test} reached for {what}: mark it with @pytest.mark.{marker}, or {otherwise}"


def _local(host):
    return host in {"", "localhost", "::1", "0.0.0.0", "::"} or str(host).startswith("127.")  # noqa: S104 - ourselves


def _of_the_system(program):
    """Return whether a program is the system's and not a stand-in that a test has put on PATH."""
    if "/" not in program:
        places = [f"{folder}/{program}" for folder in os.get_exec_path()]
        program = next((place for place in places if os.access(place, os.X_OK)), program)
    return program.startswith(("/usr/", "/bin/", "/opt/"))


def _watch(event, arguments):
    if event not in _WATCHED or SEALED not in os.environ:
        return
    if event == "subprocess.Popen":
        program = os.fsdecode(arguments[0] or "")
        if program.endswith("nvidia-smi") and _of_the_system(program):
            # An ordinary error: machines with and without GPUs then look alike to a test.
            raise PermissionError(_refuse("the GPUs (nvidia-smi)", "gpu", "put a stand-in for nvidia-smi on PATH"))
        if program.endswith("docker") and _of_the_system(program):
            raise ReachedOut(_refuse("the container engine (docker)", "docker", "use the local engine"))
        return
    address = arguments[1] if event == "socket.connect" else arguments[0]
    if isinstance(address, (str, bytes)) and event == "socket.connect":
        path = os.fsdecode(address)
        if path.endswith(_DAEMONS) and path.startswith(_DAEMON_FOLDERS):
            arguments[0].close()
            raise ReachedOut(_refuse(f"the container engine ({path})", "docker", "use the local engine"))
        return
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(host, bytes):
        host = host.decode()
    if host is not None and not isinstance(host, int) and not _local(host):
        if event == "socket.connect":
            arguments[0].close()
        raise ReachedOut(_refuse(f"the network ({host})", "network", "answer it from a server on 127.0.0.1"))


_WATCHED = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen"})

sys.addaudithook(_watch)
