"""What ``containers/dev/engine.sh`` decides to do, with stand-ins for the tools that change a machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "containers" / "dev" / "engine.sh"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
TAG = "groundbench-script-test:1"

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="engine.sh goes no further for an ordinary user")

DOCKER = """#!/bin/sh
echo "docker $*" >>"$CALLS"
case "$1 $2" in
    "version --format") [ -e "$STATE/daemon" ] && echo 1.0 ;;
    "image inspect") for last; do :; done; [ -e "$STATE/$(echo "$last" | tr '/:' '__')" ] && cat "$STATE/label" ;;
    "pull -q") [ -e "$STATE/registry" ] ;;
    "build -q") touch "$STATE/groundbench-script-test_1" ;;
    "import --change") cat >/dev/null; touch "$STATE/groundbench_rootfs_bookworm" ;;
esac
"""
DEBOOTSTRAP = """#!/bin/sh
echo "debootstrap $*" >>"$CALLS"
[ -e "$STATE/mirror" ] || { echo "E: no mirror"; exit 1; }
mkdir -p "$4/usr/local/bin" "$4/usr/lib/python3.11" "$4/etc"
"""


class Machine:
    """A machine whose docker, dockerd, debootstrap and apt-get only write down what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.calls = folder / "calls"
        self.state = folder / "state"
        self.temporary = folder / "tmp"
        tools = folder / "bin"
        for path in (self.state, self.temporary, tools):
            path.mkdir()
        self.calls.touch()
        (self.state / "label").touch()
        simple = '#!/bin/sh\necho "{0} $*" >>"$CALLS"\n'
        scripts = {"docker": DOCKER, "debootstrap": DEBOOTSTRAP, "apt-get": simple.format("apt-get")}
        scripts["dockerd"] = simple.format("dockerd") + 'touch "$STATE/daemon"\nsleep 5\n'
        for name, script in scripts.items():
            (tools / name).write_text(script, encoding="utf-8")
            (tools / name).chmod(0o755)
        self.environment = {
            "PATH": f"{tools}:/usr/sbin:/usr/bin:/sbin:/bin",
            "CALLS": str(self.calls),
            "STATE": str(self.state),
            "TMPDIR": str(self.temporary),
            "BENCH_BASE_IMAGE": TAG,
            "BENCH_DEBIAN_MIRROR": "http://mirror.invalid/debian",
        }

    def has(self, *names: str) -> Machine:
        """Put things in place: ``daemon``, ``registry``, ``mirror``, an image's name with ``_`` for ``/`` and ``:``."""
        for name in names:
            (self.state / name).touch()
        return self

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script; it must leave no temporary file."""
        done = subprocess.run(
            ["bash", str(SCRIPT), *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert list(self.temporary.iterdir()) == []
        return done

    def did(self, what: str) -> bool:
        """Return whether a tool was called with words that begin so."""
        return any(call.startswith(what) for call in self.calls.read_text(encoding="utf-8").splitlines())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_help_names_every_variable(machine: Machine) -> None:
    """What can be set is what the help says can be set; asking for help needs no rights and does nothing."""
    done = machine.run("--help")
    assert done.returncode == 0
    used = set(re.findall(r"\$\{?(BENCH_\w+|DOCKER_HOST)", SCRIPT.read_text(encoding="utf-8")))
    assert used == set(re.findall(r"^  (BENCH_\w+|DOCKER_HOST) ", done.stdout, flags=re.MULTILINE))
    assert not machine.did("")


def test_unknown_argument_is_a_usage_error(machine: Machine) -> None:
    """A slip changes nothing on the machine."""
    done = machine.run("--hepl")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: engine.sh")
    assert not machine.did("")


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_ordinary_user_is_told_to_be_root(machine: Machine) -> None:
    """Without the rights it says so, and does nothing."""
    become = ["setpriv", "--reuid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    with SCRIPT.open("rb") as script:
        done = subprocess.run(
            [*become, "bash"], stdin=script, env=machine.environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "run it as root" in done.stderr
    assert not machine.did("")


@root_only
def test_nothing_is_done_where_everything_is_there(machine: Machine) -> None:
    """A second run, or an image that somebody else made, is left alone."""
    done = machine.has("daemon", "groundbench-script-test_1").run()
    assert done.returncode == 0, done.stderr
    for change in ("apt-get", "dockerd", "debootstrap", "docker pull", "docker build", "docker import"):
        assert not machine.did(change), change


@root_only
def test_image_is_pulled_where_there_is_a_registry(machine: Machine) -> None:
    """The public image is preferred to one that is made here."""
    done = machine.has("daemon", "registry").run()
    assert f"{TAG} pulled" in done.stdout
    assert not machine.did("debootstrap")


@root_only
@pytest.mark.skipif(not CERTIFICATES.is_file(), reason="this machine has no bundle of certificates")
def test_image_is_made_where_there_is_no_registry(machine: Machine) -> None:
    """Packages first, then the certificates, then a try: Python runs in it without a network."""
    done = machine.has("daemon", "mirror").run()
    assert done.returncode == 0, done.stderr
    calls = machine.calls.read_text(encoding="utf-8")
    order = [
        "docker pull",
        "debootstrap",
        "docker import",
        "docker build",
        "docker run --rm --network none --read-only",
    ]
    places = [calls.index(call) for call in order]
    assert places == sorted(places)
    assert "http://mirror.invalid/debian" in calls


@root_only
@pytest.mark.skipif(not CERTIFICATES.is_file(), reason="this machine has no bundle of certificates")
def test_changed_certificates_renew_one_layer(machine: Machine) -> None:
    """An image that was made here follows the machine's certificates, without fetching anything again."""
    machine.has("daemon", "groundbench-script-test_1", "groundbench_rootfs_bookworm")
    (machine.state / "label").write_text("0000000000000000\n", encoding="utf-8")
    assert machine.run().returncode == 0
    assert machine.did("docker build")
    assert not machine.did("debootstrap")
    assert not machine.did("docker pull")


@root_only
@pytest.mark.skipif(not CERTIFICATES.is_file(), reason="this machine has no bundle of certificates")
def test_mirror_that_cannot_be_reached_is_named(machine: Machine) -> None:
    """The tool's own words, the address and what to set; nothing half-made remains."""
    done = machine.has("daemon").run()
    assert done.returncode == 1
    assert "E: no mirror" in done.stderr
    assert "could not fetch bookworm from http://mirror.invalid/debian" in done.stderr
    assert not machine.did("docker import")


@root_only
def test_daemon_elsewhere_is_never_started(machine: Machine) -> None:
    """Where DOCKER_HOST names a daemon, a silent one is an error and not a reason to start another."""
    done = machine.run(DOCKER_HOST="tcp://127.0.0.1:1")
    assert done.returncode == 1
    assert "no daemon answers at tcp://127.0.0.1:1" in done.stderr
    assert not machine.did("dockerd")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_script_passes_shellcheck() -> None:
    """The linter for shell has nothing to say."""
    done = subprocess.run(["shellcheck", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
