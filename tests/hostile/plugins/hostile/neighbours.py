"""Two runs side by side: one uses up everything that it may have, the other needs a little of each."""

import ctypes
import fcntl
import os
import resource
import time
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_F_SETPIPE_SZ = 1031
_LIMITS = ("memory.max", "cpu.max", "pids.max", "memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us", "pids/pids.max")


def _inotify():
    handle = _LIBC.inotify_init()
    if handle < 0:
        raise OSError(ctypes.get_errno(), "inotify_init")
    return handle


def _pipe():
    ends = os.pipe()
    fcntl.fcntl(ends[1], _F_SETPIPE_SZ, 2**20)
    return ends


def _all_that_is_given(make):
    """Take until the kernel gives no more; keep it."""
    kept = []
    try:
        while True:
            kept.append(make())
    except OSError:
        pass
    return kept


def begin():
    """Begin, in processes of their own, for as long as the container lives."""
    parts = (_watch, _pump, _fill, _remember)
    for part in parts:
        if os.fork() == 0:
            part()
            while True:
                pass
    if os.fork() == 0:
        children = _all_that_is_given(_spinning)
        print(f"SAID {len(children)} processes spin", flush=True)
        while True:
            time.sleep(1)


def _spinning():
    pid = os.fork()
    while pid == 0:
        pass
    return pid


def _watch():
    instances = _all_that_is_given(_inotify)
    for one in instances[:8]:
        for folder in Path("/proc/self/task").parent.glob("*"):
            _LIBC.inotify_add_watch(one, os.fsencode(folder), 0x100)
    print(f"SAID {len(instances)} instances of inotify", flush=True)
    globals()["kept_instances"] = instances


def _pump():
    pipes = _all_that_is_given(_pipe)
    for _, end in pipes:
        os.set_blocking(end, False)
        _all_that_is_given(lambda end=end: os.write(end, bytes(2**16)))
    print(f"SAID {len(pipes)} full pipes", flush=True)
    globals()["kept_pipes"] = pipes


def _fill():
    with open("/bench/out/filler", "wb", buffering=0) as file:
        file.writelines(bytes(2**20) for _ in range(55))
    print("SAID 55 MiB in out/", flush=True)


def _remember():
    globals()["kept_memory"] = [b"x" * 2**20 for _ in range(60)]
    print("SAID 60 MiB of memory", flush=True)


def work():
    """Need an inotify instance, some large pipes and a second of a processor."""
    limits = [f"{name}={Path('/sys/fs/cgroup', name).read_text().strip()}" for name in _LIMITS if _there(name)]
    limits += [f"{kind}={resource.getrlimit(kind)}" for kind in range(10)]
    print(f"LIMITS {' '.join(limits)}", flush=True)
    needed = [_inotify(), *(end for _ in range(8) for end in _pipe())]
    began, count = time.process_time(), 0
    while count < 5_000_000:
        count += 1
    print(f"WORKED {time.process_time() - began:.2f}", flush=True)
    for handle in needed:
        os.close(handle)


def _there(name):
    return Path("/sys/fs/cgroup", name).exists()
