"""Attempts to gain rights."""

import mmap
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

from probe import HOST_MARKER, Breach, library_call, probe, refused, system_call


@probe
def become_root():
    if 0 in (os.getuid(), os.geteuid(), os.getgid(), *os.getgroups()):
        raise Breach(f"uid {os.getuid()}, groups {os.getgroups()}")
    return "; ".join([refused(os.setuid, 0), refused(os.setgid, 0), refused(os.setgroups, [0])])


@probe
def setuid_program():
    who = subprocess.run(["/opt/setuid-id", "-u"], capture_output=True, text=True, check=False).stdout.strip()
    if who == "0":
        raise Breach("a set-uid program runs as root")
    return f"a set-uid root program runs as {who}"


@probe
def capabilities():
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if int(status[name], 16):
            raise Breach(f"{name} {status[name]}")
    if status["NoNewPrivs"] != "1" or status["Seccomp"] != "2":
        raise Breach(f"NoNewPrivs {status['NoNewPrivs']}, Seccomp {status['Seccomp']}")
    try:
        ran = subprocess.run(["/opt/capable-cat", "/proc/self/status"], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"none; a program with capabilities: {error}"
    if "CapEff:\t0000000000000000" not in ran.stdout:
        raise Breach("a program gained its file's capabilities")
    return "none, not even by a program's file"


@probe
def user_namespace():
    # NEWUSER, NEWNS, NEWNET, NEWPID, NEWCGROUP
    return "; ".join(
        refused(library_call, "unshare", flag) for flag in (0x10000000, 0x20000, 0x40000000, 0x20000000, 0x02000000)
    )


@probe
def join_namespaces():
    handle = os.open("/proc/1/ns/mnt", os.O_RDONLY) if os.access("/proc/1/ns/mnt", os.R_OK) else -1
    return refused(library_call, "setns", handle, 0)


@probe
def trace_processes():
    """Only the container's own processes can be traced or signalled: others have no number in it."""
    own = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    threads = {int(name) for name in os.listdir("/proc/self/task")}  # kill() takes these numbers, too
    for pid in set(range(1, 5000)) - own - threads:
        refused(library_call, "ptrace", 16, pid, None, None)
        last = refused(os.kill, pid, 0)
    return f"{len(own)} own processes; any other: {last}"


@probe
def mount_file_systems():
    return "; ".join(
        [
            refused(library_call, "mount", b"none", b"/tmp", b"tmpfs", 0, None),
            refused(library_call, "mount", b"/", b"/tmp", None, 0x1000, None),
            refused(library_call, "umount2", b"/bench/job.json", 2),
            refused(system_call, 155, b"/tmp", b"/tmp"),  # pivot_root
        ]
    )


@probe
def make_devices():
    for name, number in (("mem", os.makedev(1, 1)), ("disk", os.makedev(8, 0)), ("gpu", os.makedev(195, 0))):
        for folder in ("/tmp", "/bench/out", "/dev/shm"):
            for kind in (stat.S_IFBLK, stat.S_IFCHR):
                last = refused(os.mknod, f"{folder}/{name}", kind | 0o666, number)
    return last


@probe
def read_devices():
    harmless = {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "ptmx",
        "console",
        "core",
        "stdin",
        "stdout",
        "stderr",
    }
    there = {name for name in os.listdir("/dev") if not (Path("/dev") / name).is_dir()}
    if there - harmless:
        raise Breach(f"/dev holds {sorted(there - harmless)}")
    for path in (
        "/proc/kcore",
        "/proc/kmsg",
        "/dev/mem",
        "/dev/kvm",
        "/dev/fuse",
        "/dev/sda",
        "/dev/vda",
        "/dev/nvidia0",
    ):
        try:
            with open(path, "rb") as file:
                got = file.read(16)
        except OSError:
            continue
        if got:
            raise Breach(f"{path} can be read")
    return "none but the harmless ones"


@probe
def change_root():
    return refused(os.chroot, "/tmp")


@probe
def kernel_keyring():
    return "; ".join(
        [refused(system_call, 248, b"user", b"x", b"y", 1, -3), refused(system_call, 250, 0, -3, 0)]  # add_key, keyctl
    )


@probe
def privileged_system_calls():
    calls = {
        "bpf": (321, 0, None, 0), "perf_event_open": (298, None, 0, -1, -1, 0), "init_module": (175, None, 0, b""),
        "finit_module": (313, -1, b"", 0), "delete_module": (176, b"x", 0), "kexec_load": (246, 0, 0, None, 0),
        "reboot": (169, 0xFEE1DEAD, 672274793, 0x01234567, None), "swapon": (167, b"/tmp/x", 0),
        "acct": (163, b"/tmp/x"), "quotactl": (179, 0, None, 0, None),
        "sethostname": (170, b"x", 1), "syslog": (103, 3, None, 0), "iopl": (172, 3),
        "userfaultfd": (323, 0), "process_vm_readv": (310, 1, None, 0, None, 0, 1), "fanotify_init": (300, 0, 0),
    }  # fmt: skip
    allowed = []
    for name, arguments in calls.items():
        try:
            system_call(*arguments)
        except OSError:
            continue
        allowed.append(name)
    if set(allowed) - {"userfaultfd"}:
        raise Breach(f"{allowed}")
    return f"{len(calls) - len(allowed)} of {len(calls)} calls refused"


@probe
def set_the_clock():
    return refused(time.clock_settime, time.CLOCK_REALTIME, time.time() + 3600)


@probe
def raise_own_limits():
    for name in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        last = refused(resource.setrlimit, name, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    refused(os.nice, -5)
    return last


@probe
def kill_init():
    """SIGKILL to the container's own init does nothing; no other process can be killed."""
    os.kill(1, signal.SIGKILL)
    os.kill(1, signal.SIGSTOP)
    return "process 1 ignores it; the host's processes have no number here"


@probe
def meet_the_host_in_shared_memory():
    for folder in ("/dev/shm", "/tmp", "/dev/mqueue"):
        if HOST_MARKER in os.listdir(folder):
            raise Breach(f"{folder} is the host's")
    if len(Path("/proc/sysvipc/shm").read_text().splitlines()) > 1:
        raise Breach("the host's shared memory is seen")
    return "nothing of the host is seen"


@probe
def read_the_environment():
    names = {name for name in os.environ if not name.startswith(("PYTHON", "LC_", "GPG"))}
    names -= {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "HOSTNAME",
        "LANG",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "OMP_WAIT_POLICY",
        "NVIDIA_VISIBLE_DEVICES",
    }
    if names:
        raise Breach(f"{sorted(names)}")
    return "nothing of the host's environment"


@probe
def take_gpus_that_were_not_asked_for():
    if os.environ.get("NVIDIA_VISIBLE_DEVICES") != "void":
        raise Breach(f"NVIDIA_VISIBLE_DEVICES={os.environ.get('NVIDIA_VISIBLE_DEVICES')}")
    return "NVIDIA_VISIBLE_DEVICES=void, whatever the image says"


@probe
def run_from_temporary_folders():
    said = []
    for folder in ("/tmp", "/dev/shm"):
        path = Path(folder) / "program"
        path.write_bytes(Path(os.path.realpath(sys.executable)).read_bytes()[:4096] + b"#!/bin/sh\n")
        path.chmod(0o755)
        with open(path, "rb") as file:
            said.append(refused(mmap.mmap, file.fileno(), 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC))
        said.append(refused(subprocess.run, [str(path)], check=False))
        path.unlink()
    return said[0]
