"""A filter of system calls for engines whose own lets a container reach the hypervisor (Docker before 23).

An allow-list: calls for processes, files, memory, threads and local sockets, and none that mounts, traces, loads,
changes the machine, makes namespaces or uses newer interfaces of the kernel (BPF, io_uring, userfaultfd). Sockets are
those of four families; ``AF_VSOCK`` is not among them. Only the machine's own calling convention is allowed: the
32-bit one has a single call for every kind of socket, which a filter cannot distinguish.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: The first Docker whose own filter leaves ``AF_VSOCK`` out.
_CLOSED_SINCE = 23

#: Flags of ``clone`` that make namespaces.
_NAMESPACES = 0x7E020000

#: AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: with the last a program lists its network interfaces.
_FAMILIES = (1, 2, 10, 16)

#: Arguments of ``personality`` that are harmless: plain Linux, its 32-bit and uname variants, and the query.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

_ENOSYS = 38

_ALLOWED = """
accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown clock_getres clock_gettime
clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat
faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchown fchownat fcntl fdatasync fgetxattr
flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_waitv futimesat
get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer
getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid
getsockname getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1
inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set
kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen
listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise membarrier memfd_create memfd_secret mincore
mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt mprotect mq_getsetattr mq_notify mq_open
mq_timedreceive mq_timedsend mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read
readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat
renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr
sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg
sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer
setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr shmat
shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink
symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname
unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
"""


def own_filter(version: Mapping[str, Any]) -> list[str]:
    """Return the security options that replace the engine's filter by ours; none where the engine's is strict enough.

    Parameters
    ----------
    version
        The daemon's own report.
    """
    major = str(version.get("Version", "")).partition(".")[0]
    ours = not is_podman(version) and major.isdigit() and int(major) < _CLOSED_SINCE
    # Names and numbers of system calls were checked on these two.
    return [f"seccomp={json.dumps(profile())}"] if ours and version.get("Arch") in ("amd64", "arm64") else []


def is_podman(version: Mapping[str, Any]) -> bool:
    """Return whether a daemon's report of itself is that of Podman, which speaks Docker's language."""
    return "Podman Engine" in {str(part.get("Name")) for part in version.get("Components") or ()}


def profile() -> dict[str, Any]:
    """Return the filter in Docker's format."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [
            _rule(*_ALLOWED.split()),
            _rule("clone", value=_NAMESPACES, value_two=0, op="SCMP_CMP_MASKED_EQ"),
            *(_rule("socket", value=family) for family in _FAMILIES),
            *(_rule("personality", value=value) for value in _PERSONALITIES),
            # Its flags are behind a pointer, which a filter cannot follow; the C library falls back to clone.
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
        ],
    }


def _rule(*names: str, value: int | None = None, value_two: int = 0, op: str = "SCMP_CMP_EQ") -> dict[str, Any]:
    """Allow calls: always, or where the first argument is `value` (masked by `value` it is `value_two`)."""
    arguments = [] if value is None else [{"index": 0, "value": value, "valueTwo": value_two, "op": op}]
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", "args": arguments}
