"""Our filter of system calls refuses whatever the engine's own refuses, and sockets to the hypervisor besides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.engines.seccomp import own_filter, profile

#: Makes every system call with arguments that mean nothing, each in its own process, and prints its errno.
EVERY_CALL = """
import ctypes, json, os, signal
libc = ctypes.CDLL(None, use_errno=True)
LEFT_OUT = {57, 58, 162, 306}  # fork, vfork: a second process; sync, syncfs: wait for the host's disks
found = {}
for number in sorted(set(range(470)) - LEFT_OUT):
    child = os.fork()
    if child == 0:
        signal.alarm(1)
        result = libc.syscall(number, *[ctypes.c_long(-1)] * 6)
        os._exit(ctypes.get_errno() if result == -1 else 200)
    found[number] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
for name, family in (("vsock", 40), ("alg", 38), ("inet", 2), ("unix", 1), ("netlink", 16)):
    handle = libc.socket(family, 2 if family == 2 else 1 if family != 16 else 3, 0)
    found[name] = 200 if handle >= 0 else ctypes.get_errno()
print(json.dumps(found))
"""

EPERM, ENOSYS, WORKED = 1, 38, 200

#: x86-64 numbers: socket (of family -1), ptrace, adjtimex, two calls that no kernel has, clock_adjtime, io_uring,
#: process_mrelease.
ALSO_REFUSED = {41, 101, 159, 214, 215, 305, 425, 426, 427, 448}


def _engine(version: str, **other: Any) -> dict[str, Any]:
    return {"Version": version, "Arch": "amd64", "Components": [{"Name": "Engine"}], **other}


@pytest.mark.parametrize(("version", "ours"), [
    (_engine("20.10.24+dfsg1"), True), (_engine("22.06.0-beta"), True), (_engine("23.0.1"), False),
    (_engine("28.2.2"), False), (_engine("20.10.24", Arch="s390x"), False), (_engine("dev"), False), ({}, False),
    (_engine("4.3.1", Components=[{"Name": "Podman Engine"}]), False),
])  # fmt: skip
def test_only_old_engines_get_our_filter(version: dict[str, Any], *, ours: bool) -> None:
    """An engine that keeps its own filter up to date keeps it."""
    assert bool(own_filter(version)) is ours


def _answers(image: str, *options: str) -> dict[str, int]:
    import docker

    client = docker.from_env(timeout=120)
    try:
        said = client.containers.run(
            image, ["-c", EVERY_CALL], entrypoint="python3", network_mode="none", cap_drop=["ALL"], remove=True,
            user="10001:10001", security_opt=["no-new-privileges:true", *options], init=True, stderr=False,
        )  # fmt: skip
    finally:
        client.close()
    return dict(json.loads(said))


@pytest.mark.docker
def test_no_call_is_let_through_that_the_engine_refuses(base_image: str) -> None:
    """Call by call, in two containers that differ in the filter only."""
    theirs, ours = _answers(base_image), _answers(base_image, f"seccomp={json.dumps(profile())}")
    refused = {call for call, answer in theirs.items() if answer in (EPERM, ENOSYS)}
    assert len(refused) > 30
    assert {call: ours[call] for call in refused if ours[call] not in (EPERM, ENOSYS)} == {}
    assert ours["vsock"] == ours["alg"] == EPERM
    assert ours["inet"] == ours["unix"] == ours["netlink"] == WORKED
    # What else ours refuses is a short list that somebody has looked at.
    also = {int(call) for call, answer in ours.items() if answer == EPERM and theirs[call] != EPERM and call.isdigit()}
    assert also <= ALSO_REFUSED, sorted(also - ALSO_REFUSED)
