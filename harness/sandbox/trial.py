"""Tries out what surrounds a container before a model depends on it, so that a host's faults are not the model's.

One short container with the mounts, user, limits and GPUs of a run reads a line and writes it back. A model that could
not be given its input, or whose masks would not arrive, is not run at all, and nothing is recorded of it.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.engines.base import ContainerSpec, Engine, Tried
from harness.errors import Lacking, PrerequisiteError
from harness.sandbox.folder import remove_tree

#: How the command below reports what it could not do.
_READ, _WRITE, _TEMPORARY, _MOUNT, _LIMIT, _GPU = range(41, 47)

#: Printed where the numbers of users inside are others outside; some engines do not say so themselves.
_MAPPED = "in a user namespace:"

#: Only what every shell has built in, since an image may hold nothing else. A redirection that fails would end some
#: shells at once with a special built-in command, such as `:`; with `true` it does not.
_COMMAND = f"""
read -r inside outside count < /proc/self/uid_map && [ "$count" != 4294967295 ] && echo "{_MAPPED}"
IFS= read -r line < /bench/job.json || exit {_READ}
true < /bench/cases.jsonl || exit {_READ}
printf '%s\\n' "$line" > /bench/out/line || exit {_WRITE}
true > /tmp/line || exit {_TEMPORARY}
for file in "$@"; do true < "/bench/$file" || exit {_MOUNT}; done
"""

#: After it, where the engine limits memory.
_LIMITED = f"""
for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
  if [ -r "$file" ] && read -r limit < "$file"; then
    case $limit in max|92233720368547*) echo "$file is $limit"; exit {_LIMIT};; esac
  fi
done
"""

#: A driver's control device: of a graphics card, under Windows' Linux, and of two kinds of Jetson.
_SEES_GPU = f"""
for file in /dev/nvidiactl /dev/dxg /dev/nvhost-ctrl-gpu /dev/nvhost-ctrl; do
  if [ -e "$file" ]; then gpu=$file; fi
done
[ -n "$gpu" ] || {{ echo "there is no /dev/nvidiactl"; exit {_GPU}; }}
true < "$gpu" || exit {_GPU}
"""

#: Codes of a container whose image has no shell.
_NO_SHELL = (126, 127)


def prove(engine: Engine, spec: ContainerSpec) -> bool:
    """Run a short container in the place of a model's, and refuse a host on which it does not succeed.

    Parameters
    ----------
    engine
        The engine.
    spec
        The container of the model, with a root of its own, which is made and removed here.

    Returns
    -------
    bool
        Whether it was tried; False for an image without a shell.

    Raises
    ------
    PrerequisiteError
        What the container could not do, the likely reason, and what to do about it.
    """
    if not engine.isolates:
        return True
    line = secrets.token_hex(16)
    gpu = _SEES_GPU if spec.gpu_ids else ""
    limited = _LIMITED if engine.limits_memory else ""
    command = ["sh", "-c", f"{gpu}{_COMMAND}{limited}exit 0", "sh", *(mount.target for mount in spec.mounts)]
    try:
        _prepare(spec.root, line)
        tried = engine.try_out(spec, command)
        if tried.code in _NO_SHELL or (tried.code is None and _lacks_shell(tried.said)):
            return False
        if tried.code == 0 and _arrived(spec.root / "out" / "line", line):
            return True
        what, fix, lacking = _explained(tried, spec)
        raise PrerequisiteError(f"containers do not work here: {what}", fix=fix, lacking=lacking)
    finally:
        with contextlib.suppress(OSError):  # what another user has written may stay
            remove_tree(spec.root)


def prove_again(engine: Engine, spec: ContainerSpec) -> None:
    """Prove a host again whose container has failed, before the failure is recorded as its model's.

    Parameters
    ----------
    engine
        The engine.
    spec
        The container that has failed; its folder is left alone.

    Raises
    ------
    PrerequisiteError
        As for :func:`prove`.
    """
    prove(engine, replace(spec, name=f"{spec.name}-trial", root=spec.root.with_name(f"{spec.root.name}-trial")))


def _prepare(root: Path, line: str) -> None:
    """Make a container's folder as a job's is made, with the line in the place of the job."""
    remove_tree(root)
    root.mkdir(parents=True, mode=0o700)
    (root / "out").mkdir()
    for name in ("job.json", "cases.jsonl"):
        (root / name).write_text(f"{line}\n", encoding="ascii")
        (root / name).chmod(0o644)


def _arrived(path: Path, line: str) -> bool:
    try:
        return path.read_text(encoding="utf-8", errors="replace") == f"{line}\n"
    except OSError:
        return False


def _lacks_shell(said: str) -> bool:
    return bool(
        re.search(r'exec(utable)?:? .*"sh".*(not found|no such file)|crun: .*`?sh`?.*not found', said, re.IGNORECASE)
    )


#: What each code of the command means, and what to do; `{}` is its output.
_CODES: Mapping[int, tuple[str, str, Lacking]] = {
    _GPU: (
        "the engine did not add a GPU to a container ({})",
        "install the NVIDIA Container Toolkit, configure the engine with `nvidia-ctk`, and restart it",
        "gpu",
    ),
    _LIMIT: (
        "the engine ignores the limit of a container's memory ({})",
        "a rootless engine on cgroup v1 does: use cgroup v2, or the system's daemon",
        "engine",
    ),
}

#: What a container was doing when an access was refused.
_DOING = {
    _READ: "read its job",
    _WRITE: "write into its folder out/",
    _TEMPORARY: "write into /tmp",
    _MOUNT: "read the data",
}


def _explained(tried: Tried, spec: ContainerSpec) -> tuple[str, str, Lacking]:
    """Return what failed and why, what to do, and what is lacking."""
    if tried.code is None:
        return _refused(tried.said, spec)
    if tried.code == 0:
        return (*_not_seen(spec, "what a container wrote into out/ did not arrive"), "engine")
    if re.search("no space left|quota exceeded", tried.said, re.IGNORECASE):
        what, fix = "there is no room to write ({})", "free some space on the disk of --home and of the engine"
        return what.format(tried.said), fix, "disk"
    if tried.code in _DOING:
        return (*_denied(f"a container cannot {_DOING[tried.code]} ({tried.said})", tried, spec), "engine")
    what, fix, lacking = _CODES.get(
        tried.code,
        (
            f"a container that only reads and writes a line ended with exit code {tried.code} ({{}})",
            "see `docker info` and the engine's log",
            "engine",
        ),
    )
    return what.format(tried.said), fix, lacking


def _denied(what: str, tried: Tried, spec: ContainerSpec) -> tuple[str, str]:
    """Explain a refused access by what the daemon says of itself."""
    mapped = ("userns",) if _MAPPED in tried.said else ()
    for known, why, fix in _PROPERTIES:
        if known in (*tried.properties, *mapped):
            return f"{what}{why}", fix
    said = tried.said.lower()
    if "read-only file system" in said:
        return f"{what}: its file system is read-only", "choose another place with --home"
    if "no such file" in said:
        return _not_seen(spec, what)
    return (
        f"{what}: its user has no access to {spec.root.parent}",
        "NFS with root_squash, access lists or a security module may forbid it: choose a --home on a local disk",
    )


#: Properties of a daemon that explain a refused access, why, and what to do.
_PROPERTIES = (
    (
        "rootless",
        ": the engine is rootless, so that files of this machine are not its user's",
        "use the system's daemon; DOCKER_HOST or `docker context use` names another one",
    ),
    (
        "userns",
        ": the engine uses user namespaces (userns-remap), so that files of this machine are not its user's",
        "use a daemon without userns-remap; DOCKER_HOST or `docker context use` names another one",
    ),
    (
        "selinux",
        "; SELinux may forbid it",
        "label the folders for containers: `chcon -R -t container_file_t` on --home and on the data set",
    ),
)


def _not_seen(spec: ContainerSpec, what: str) -> tuple[str, str]:
    why = (
        f"the daemon does not see {spec.root.parent} as this command does; it runs on another machine, in a virtual "
        "machine or a container, or with its own view of the disks"
    )
    fix = (
        "choose a --home and a data set in folders that the daemon sees (Docker Desktop: Settings, File sharing), or "
        "run bench where the daemon runs"
    )
    return f"{what}: {why}", fix


def _kept_out(spec: ContainerSpec, path: str) -> tuple[str, str]:
    """Explain a file that a daemon may not look at, though it is root: it is mounted for others than root only."""
    why = f"the engine's daemon, which is root, may not enter {path}: NFS with root_squash and FUSE without allow_root "
    if Path(path).is_relative_to(spec.root):
        return f"{why}keep root out", "choose a --home on a local disk; the data set may stay if the daemon may read it"
    fix = "copy the data (or weights) to a local disk, or mount them with no_root_squash or allow_root"
    return f"{why}keep root out", fix


#: What a daemon says when it refuses to start a container, what it means, and what to do; `{}` is its message.
_REFUSALS: Sequence[tuple[str, str, str, Lacking]] = (
    ("did not finish within", "{}: it hangs or is overloaded",
     "see its log (`journalctl -u docker`) and restart it", "engine"),
    ("no space left|quota exceeded", "the engine's disk is full ({})",
     "`bench clean --images` removes images that were built here; `docker system df` shows the others", "disk"),
    ("device driver|nvidia|gpu|cdi", "the engine cannot add a GPU to a container: {}",
     "install the NVIDIA Container Toolkit, configure the engine with `nvidia-ctk`, and restart it", "gpu"),
    ("init binary|docker-init|catatonit", "the engine lacks the program that starts a container: {}",
     "install docker-init (package docker.io or tini) or, for Podman, catatonit", "engine"),
    ("rlimit|setting limits", "the engine cannot set a container's limits: {}",
     "raise the limits of the daemon (LimitNOFILE in its service)", "engine"),
    ("cgroup", "the engine cannot limit a container: {}",
     "use cgroup v2, or the system's daemon; see `docker info`", "engine"),
)  # fmt: skip


def _refused(said: str, spec: ContainerSpec) -> tuple[str, str, Lacking]:
    """Explain why the engine did not start a container, in its own words where they are not known."""
    if re.search("source path does not exist|creating mount source|statfs .*no such file", said, re.IGNORECASE):
        return (*_not_seen(spec, f"the engine does not find a file ({said})"), "engine")
    if kept_out := re.search(r"stat(?:fs)? (/.+?): permission denied", said):
        return (*_kept_out(spec, kept_out[1]), "engine")
    for pattern, what, fix, lacking in _REFUSALS:
        if re.search(pattern, said, re.IGNORECASE):
            return what.format(said), fix, lacking
    return f"the engine refused to start a container: {said}", "see `docker info` and the engine's log", "engine"
