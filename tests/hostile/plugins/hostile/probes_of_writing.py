"""Attempts to write where nothing may be written, or more than may be."""

import contextlib
import ctypes
import fcntl
import os
from pathlib import Path

from probe import ROOT, Breach, cases, library_call, probe, refused


@probe
def write_over_inputs():
    inputs = [ROOT / "job.json", ROOT / "cases.jsonl", *(ROOT / case["ct"] for case in cases())]
    for path in inputs:
        for attempt in (
            lambda p: p.open("ab"), lambda p: p.open("r+b"), Path.unlink, lambda p: p.chmod(0o777),
            lambda p: p.rename(p.with_name("other")), lambda p: os.truncate(p, 0), os.utime,
            lambda p: os.rename("/bench/out/events.jsonl", p), lambda p: os.setxattr(p, "user.x", b"x"),
        ):  # fmt: skip
            last = refused(attempt, path)
    return f"{len(inputs)} files withstood; {last}"


@probe
def write_outside_out():
    allowed = {"/tmp", "/dev/shm", "/dev/mqueue", "/bench/out", "/scratch"}
    tried = 0
    for folder, folders, _ in os.walk("/"):
        if folder == "/":
            folders[:] = [name for name in folders if name != "proc"]
        if any(folder == a or folder.startswith(f"{a}/") for a in allowed):
            continue
        refused(open, os.path.join(folder, "written-by-a-model"), "wb")
        tried += 1
    return f"{tried} folders cannot be written"


@probe
def write_into_the_kernel():
    for path in (
        "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches",
        "/sys/kernel/uevent_helper", "/proc/sys/fs/binfmt_misc/register", "/proc/acpi/x",
    ):  # fmt: skip
        last = refused(open, path, "r+b")
    refused(Path("/proc/self/oom_score_adj").write_text, "-1000")
    return last


@probe
def write_cgroup_limits():
    tried = 0
    for folder, _, names in os.walk("/sys/fs/cgroup"):
        for name in names:
            if name in {"memory.limit_in_bytes", "pids.max", "memory.max", "cpu.max", "tasks", "cgroup.procs",
                        "release_agent", "notify_on_release", "devices.allow"}:  # fmt: skip
                refused(open, os.path.join(folder, name), "r+b")
                tried += 1
    return f"{tried} knobs cannot be written"


@probe
def link_an_input_into_out():
    return refused(os.link, ROOT / cases()[0]["ct"], "/bench/out/linked.nii.gz")


@probe
def remount_inputs_writable():
    flags = 0x20 | 0x1000  # MS_REMOUNT | MS_BIND
    return refused(library_call, "mount", b"none", b"/bench/job.json", None, flags, None)


@probe
def write_into_a_volume_of_the_image():
    """A volume that the image declares is bounded and held in memory, not on the host's disk."""
    written = 0
    try:
        for number in range(64):
            with open(f"/scratch/{number}", "wb") as file:
                file.write(os.urandom(2**20))
            written += 1
    except OSError as error:
        return f"{written} MiB, then {error}"
    else:
        raise Breach("64 MiB went into a volume")
    finally:
        for number in range(64):
            with contextlib.suppress(OSError):
                os.unlink(f"/scratch/{number}")


@probe
def fill_temporary_folders():
    said = []
    for folder in ("/tmp", "/dev/shm"):
        try:
            with open(f"{folder}/filler", "wb") as file:
                file.writelines(os.urandom(2**20) for _ in range(64))
            raise Breach(f"64 MiB went into {folder}")
        except OSError as error:
            said.append(f"{folder}: {os.strerror(error.errno)}")
        finally:
            os.unlink(f"{folder}/filler")
    return "; ".join(said)


@probe
def sparse_terabyte():
    path = Path("/bench/out/sparse")
    with path.open("wb") as file:
        said = refused(os.truncate, file.fileno(), 2**40)
    path.unlink()
    return said


@probe
def immutable_file():
    """Chattr +i on a file in out/ would make it undeletable."""
    path = Path("/bench/out/immutable")
    path.write_bytes(b"x")
    with path.open("rb") as file:
        flags = ctypes.c_long(0x10)
        try:
            fcntl.ioctl(file, 0x40086602, flags)
        except OSError as error:
            said = str(error)
        else:
            raise Breach("a file was made immutable")
    path.unlink()
    return said
