"""A stand-in for Apptainer, which no package index has: its documented arguments, carried out by bubblewrap.

Called as ``apptainer.py STORE ARGUMENTS…``. It knows `--version`, one question about the configuration, `build TARGET
docker-archive:PATH` and `exec` with the options that the harness uses; anything else is refused as Apptainer does it,
with exit code 255. A ``.sif`` file of its making names a folder below STORE with the unpacked image.

Of the user's guide it keeps: `--containall` (own processes, IPC and environment, no home, no folder of the host), the
image's variables, `--env` after them, `HOME` from `--home` alone, `--workdir` in the place of ``/tmp``, mounts that an
image has no folder for, `--net --network none`, and limits by control groups for root.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

#: Flags of ``unshare``: a mount namespace of one's own.
_NEWNS = 0x00020000

_GROUPS = Path("/sys/fs/cgroup")


class Refusing(argparse.ArgumentParser):
    """Refuses what it does not know with Apptainer's words and exit code."""

    def error(self, message: str) -> NoReturn:
        """End the program."""
        fatal(message)


def fatal(message: str) -> NoReturn:
    """End as Apptainer does when it cannot run a container."""
    sys.stderr.write(f"FATAL:   {message}\n")
    sys.exit(255)


def build(store: Path, target: Path, source: str) -> None:
    """Unpack the layers of an archive, and write the file that names them."""
    kind, _, path = source.partition(":")
    if kind != "docker-archive" or target.exists():
        fatal(f"while building: {source} to {target}")
    name = uuid.uuid4().hex
    root = store / name / "root"
    root.mkdir(parents=True)
    with tarfile.open(path) as archive:
        listed = json.load(_open(archive, "manifest.json"))[0]
        for layer in listed["Layers"]:
            with tarfile.open(fileobj=_open(archive, layer)) as packed:
                _unpack(packed, root)
        (store / name / "config.json").write_bytes(_open(archive, listed["Config"]).read())
    target.write_text(name)


def _open(archive: tarfile.TarFile, name: str) -> Any:
    return archive.extractfile(name)


def _unpack(layer: tarfile.TarFile, root: Path) -> None:
    for member in layer:
        path = root / member.name
        if path.name.startswith(".wh."):
            gone = path.with_name(path.name.removeprefix(".wh."))
            if gone.is_dir() and not gone.is_symlink():
                shutil.rmtree(gone)
            else:
                gone.unlink(missing_ok=True)
            continue
        if not member.isdev():
            layer.extract(member, root, numeric_owner=True, filter="fully_trusted")


def parser() -> argparse.ArgumentParser:
    """Return the options of ``exec`` that the harness uses, as the guide has them."""
    options = Refusing(prog="apptainer exec", allow_abbrev=False, add_help=False)
    for flag in ("--containall", "--net", "--no-umask", "--no-eval", "--nv"):
        options.add_argument(flag, action="store_true")
    for option in ("--network", "--hostname", "--workdir", "--home", "--pwd", "--drop-caps", "--no-mount"):
        options.add_argument(option)
    for option in ("--memory", "--memory-swap", "--pids-limit"):
        options.add_argument(option, type=int)
    options.add_argument("--cpus", type=float)
    for option in ("--mount", "--env", "--security"):
        options.add_argument(option, action="append", default=[])
    options.add_argument("image", type=Path)
    options.add_argument("command", nargs=argparse.REMAINDER)
    return options


def run(store: Path, given: argparse.Namespace) -> int:
    """Run one container to its end, in control groups of its own."""
    if not given.containall or given.network != "none" or not given.net or not given.command:
        fatal("the stand-in knows sealed containers only")
    if given.security and os.getuid():
        fatal("--security uid and gid are for root")
    name = given.image.read_text() if given.image.is_file() else fatal(f"could not open image {given.image}")
    groups = make_groups(f"apptainer-{store.name}-{os.getpid()}", given)
    stage = Path(tempfile.mkdtemp(prefix=f"apptainer-{store.name}-"))
    child = os.fork()
    if child == 0:
        try:
            for group in groups:
                (group / "cgroup.procs").write_text(str(os.getpid()))
            enter(store / name, stage, given)
        except OSError as error:
            sys.stderr.write(f"FATAL:   container creation failed: {error}\n")
        os._exit(255)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the group has it, too: what is inside decides
    _, status = os.waitpid(child, 0)
    for folder in (*groups, stage):
        remove(folder)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def remove(folder: Path) -> None:
    """Remove a folder that processes which are about to end may still hold."""
    deadline = time.monotonic() + 10
    while folder.exists():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def make_groups(name: str, given: argparse.Namespace) -> list[Path]:
    """Make a control group for every limit that is requested, of the version that this machine has."""
    wanted = {
        "memory": [("memory.limit_in_bytes", "memory.max", given.memory)],
        "cpu": [("cpu.cfs_quota_us", "cpu.max", given.cpus and int(given.cpus * 100_000))],
        "pids": [("pids.max", "pids.max", given.pids_limit)],
    }
    second = (_GROUPS / "cgroup.controllers").is_file()
    made: list[Path] = []
    for controller, ((old, new, value),) in wanted.items():
        if value is None:
            continue
        if os.getuid():
            fatal(f"--{controller}: cannot limit a container of this user")
        parent = _GROUPS if second else _GROUPS / controller
        if second:
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")
        group = parent / name
        group.mkdir(exist_ok=True)
        (group / (new if second else old)).write_text(str(value))
        if group not in made:
            made.append(group)
    return made


def enter(image: Path, stage: Path, given: argparse.Namespace) -> NoReturn:
    """Become the container, in the place of this process."""
    if os.getuid() == 0:
        if ctypes.CDLL(None).unshare(_NEWNS):
            raise OSError("no mount namespace")
        for arguments in (["--make-rprivate", "/"], ["-t", "tmpfs", "-o", "mode=755", "tmpfs", str(stage)]):
            subprocess.run(["/usr/bin/mount", *arguments], check=True)
    sealed = [
        *("/usr/bin/bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts"),
        *("--hostname", given.hostname or "localhost", "--cap-drop", "ALL", "--clearenv"),
        *_root(image, stage),
        *_places(stage, given),
        *_variables(image, given),
        *("--remount-ro", "/", "--chdir", given.pwd or "/", "--", *given.command),
    ]
    user = dict(part.split(":", 1) for part in given.security)
    if user:
        drop = ["--reuid", user["uid"], "--regid", user["gid"], "--clear-groups", "--no-new-privs"]
        sealed = ["/usr/bin/setpriv", *drop, *sealed]
    os.umask(0o022)
    os.execv(sealed[0], sealed)  # noqa: S606 - the container takes over


def _root(image: Path, stage: Path) -> Iterator[str]:
    root = reachable(image / "root", stage)
    for entry in sorted((image / "root").iterdir()):
        inside = f"/{entry.name}"
        if entry.is_symlink():
            yield from ("--symlink", str(entry.readlink()), inside)
        elif inside not in ("/proc", "/dev", "/tmp", "/sys"):  # noqa: S108 - inside it
            yield from ("--ro-bind", f"{root}/{entry.name}", inside)
    yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm", "--remount-ro", "/dev")  # noqa: S108


def _places(stage: Path, given: argparse.Namespace) -> Iterator[str]:
    """Yield the home, then what it has for temporary files, then the mounts; each hides what was there before."""
    outside, _, home = given.home.partition(":")
    yield from ("--bind", reachable(Path(outside), stage), home)
    for name, inside in (("tmp", "/tmp"), ("var_tmp", "/var/tmp")):  # noqa: S108 - inside it
        path = Path(given.workdir) / name
        path.mkdir(exist_ok=True)
        path.chmod(0o1777)
        yield from ("--bind", reachable(path, stage), inside)
    for mount in given.mount:
        (fields,) = csv.reader([mount])
        parts = dict(field.partition("=")[::2] for field in fields)
        if parts.pop("type", "") != "bind" or set(parts) - {"source", "destination", "ro"}:
            fatal(f"while parsing mount {mount!r}")
        kind = "--ro-bind" if "ro" in parts else "--bind"
        yield from (kind, reachable(Path(parts["source"]), stage), parts["destination"])
    if given.nv:
        for device in Path("/dev").glob("nvidia*"):
            yield from ("--dev-bind", str(device), str(device))


def _variables(image: Path, given: argparse.Namespace) -> Iterator[str]:
    config = json.loads((image / "config.json").read_text())["config"]
    pairs = [*(config.get("Env") or ()), *given.env, f"HOME={given.home.partition(':')[2]}"]
    for name, value in dict(pair.split("=", 1) for pair in pairs).items():
        yield from ("--setenv", name, value)


def reachable(source: Path, stage: Path) -> str:
    """Bind a file or folder into the stage where its user may reach it: root is somebody else afterwards."""
    if os.getuid():
        return str(source)
    place = stage / str(len(list(stage.iterdir())))
    if source.is_dir():
        place.mkdir()
    else:
        place.touch()
    subprocess.run(["/usr/bin/mount", "--bind", str(source), str(place)], check=True)
    return str(place)


def main() -> int:
    """Do what the arguments say."""
    store, *arguments = Path(sys.argv[1]), *sys.argv[2:]
    if arguments == ["--version"]:
        sys.stdout.write("apptainer version 1.3.4-stand-in\n")
        return 0
    if arguments == ["config", "global", "--get", "systemd cgroups"]:
        sys.stdout.write("no\n")
        return 0
    if arguments[:1] == ["build"] and len(arguments) == 3:
        build(store, Path(arguments[1]), arguments[2])
        return 0
    if arguments[:1] == ["exec"]:
        return run(store, parser().parse_args(arguments[1:]))
    fatal(f"unknown command {arguments[:1]}")


if __name__ == "__main__":
    sys.exit(main())
