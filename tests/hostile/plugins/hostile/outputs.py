"""Tricks with files in ``out/``: one a case from the second on; the mask of the first finding is concerned."""

import contextlib
import fcntl
import gzip
import hashlib
import os
import socket
import struct
import threading
import time
from pathlib import Path

import nibabel as nib
import numpy as np

OUT = Path("/bench/out")
TRICKS = []


def trick(function):
    TRICKS.append(function)
    return function


def attack(case, number):
    """Do the trick of this case; return the findings that it has dealt with."""
    path = OUT / case.id / f"{case.findings[0].id}.nii.gz"
    if number == 1:
        neighbour.path = path
    if not 2 <= number <= len(TRICKS) + 1:
        return set()
    function = TRICKS[number - 2]
    print(f"TRICK {case.id} {function.__name__.replace('_', '-')}", flush=True)
    return {finding.id for finding in case.findings[: function(case, path) or 1]}


def mask_bytes(case, fill=0):
    """Return a valid mask: one voxel, or everywhere `fill`."""
    mask = np.full(case.shape, fill, np.uint8)
    mask[0, 0, 0] = 1
    return gzip.compress(nib.Nifti1Image(mask, case.affine).to_bytes(), mtime=0)


def header_bytes(case):
    header = nib.Nifti1Image(np.zeros(case.shape, np.uint8), case.affine).header
    header.set_data_offset(352)
    return bytearray(header.binaryblock + bytes(4))


def neighbour():
    """Return the mask of the first case, which was accepted long ago."""
    return neighbour.path


@trick
def link_to_the_host(case, path):
    path.symlink_to("/etc/passwd")


@trick
def link_to_a_ct(case, path):
    path.symlink_to(case.path)


@trick
def link_to_another_mask(case, path):
    path.symlink_to(neighbour())


@trick
def hard_link_to_another_file(case, path):
    spare = path.with_name("spare")
    spare.write_bytes(mask_bytes(case))
    os.link(spare, path)


@trick
def folder_is_a_link(case, path):
    path.parent.rmdir()
    path.parent.symlink_to(neighbour().parent)
    return 2


@trick
def folder_is_a_link_upwards(case, path):
    path.parent.rmdir()
    path.parent.symlink_to("../../../../..")
    return 2


@trick
def folder_is_a_file(case, path):
    path.parent.rmdir()
    path.parent.write_bytes(mask_bytes(case))
    return 2


@trick
def pipe(case, path):
    os.mkfifo(path)


@trick
def listening_socket(case, path):
    os.chdir(path.parent)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path.name)
    server.listen()
    listening_socket.kept = server


@trick
def folder_instead_of_a_file(case, path):
    (path / path.name).mkdir(parents=True)


@trick
def unreadable_mask(case, path):
    path.write_bytes(mask_bytes(case))
    path.chmod(0)


@trick
def lease_on_the_mask(case, path):
    """A lease makes every process that opens the file wait until it is released."""
    path.write_bytes(mask_bytes(case))
    lease_on_the_mask.handle = handle = os.open(path, os.O_RDWR)
    import signal

    signal.signal(signal.SIGIO, signal.SIG_IGN)
    fcntl.fcntl(handle, 1024, fcntl.F_WRLCK)  # F_SETLEASE


@trick
def locks_on_the_mask(case, path):
    path.write_bytes(mask_bytes(case))
    locks_on_the_mask.file = file = path.open("r+b")
    fcntl.flock(file, fcntl.LOCK_EX)
    fcntl.lockf(file, fcntl.LOCK_EX)


@trick
def bomb(case, path):
    path.write_bytes(gzip.compress(bytes(header_bytes(case)), mtime=0) + gzip.compress(bytes(2**26), mtime=0) * 64)


@trick
def bomb_of_many_members(case, path):
    path.write_bytes(gzip.compress(bytes(header_bytes(case)), mtime=0) + gzip.compress(b"", mtime=0) * 10**5)


@trick
def header_claims_a_terabyte(case, path):
    raw = header_bytes(case)
    struct.pack_into("<8h", raw, 40, 3, 32767, 32767, 32767, 1, 1, 1, 1)
    path.write_bytes(gzip.compress(bytes(raw) + bytes(2**20), mtime=0))


@trick
def header_claims_negative_axes(case, path):
    raw = header_bytes(case)
    struct.pack_into("<8h", raw, 40, 3, -24, -20, 16, 1, 1, 1, 1)
    path.write_bytes(gzip.compress(bytes(raw) + bytes(2**16), mtime=0))


@trick
def header_points_far_away(case, path):
    raw = header_bytes(case)
    struct.pack_into("<f", raw, 108, 1e30)
    path.write_bytes(gzip.compress(bytes(raw) + bytes(2**16), mtime=0))


@trick
def header_points_nowhere(case, path):
    raw = header_bytes(case)
    struct.pack_into("<f", raw, 108, float("nan"))
    path.write_bytes(gzip.compress(bytes(raw) + bytes(2**16), mtime=0))


@trick
def header_extension_of_two_gigabytes(case, path):
    raw = header_bytes(case)
    struct.pack_into("<f", raw, 108, 2.0**31)
    raw[348] = 1
    path.write_bytes(gzip.compress(bytes(raw) + struct.pack("<ii", 2**31 - 16, 6) + bytes(2**20), mtime=0))


@trick
def affine_of_nan_and_infinity(case, path):
    raw = header_bytes(case)
    struct.pack_into("<12f", raw, 280, *[float("nan"), float("inf")] * 6)
    path.write_bytes(gzip.compress(bytes(raw) + bytes(int(np.prod(case.shape))), mtime=0))


@trick
def sparse_file_of_zeros(case, path):
    with path.open("wb") as file:
        file.truncate(40 * 2**20)


@trick
def second_sparse_file(case, path):
    """With the one before it this is more than a case may deliver, but the bound belongs to a case."""
    sparse_file_of_zeros(case, path)


@trick
def not_compressed(case, path):
    path.write_bytes(gzip.decompress(mask_bytes(case)))


@trick
def only_the_partial_name(case, path):
    path.with_name(".partial-" + path.name).write_bytes(mask_bytes(case))


@trick
def names_that_confuse(case, path):
    """Newlines, control characters, escapes, options, no Unicode, 255 bytes: in the case's folder and beside it."""
    for folder in (path.parent, OUT):
        for name in (
            b"a\nb", b"\x1b[2J\x1b]0;owned\x07", b"-rf", b"--help", b"\xff\xfe\xfd", b"x" * 255, b"\\", b"'; rm -rf .",
            "\u202etxt.exe".encode(), b"0.nii.gz ", b"refused.json", b"..0.nii.gz", b" ", b"job.json", b"%s%n",
        ):  # fmt: skip
            with contextlib.suppress(FileExistsError), open(os.fsencode(folder) + b"/" + name, "xb") as file:
                file.write(b"x")
    path.write_bytes(mask_bytes(case))


@trick
def gzip_header_without_end(case, path):
    """The name field of a gzip header may be as long as one likes."""
    body = mask_bytes(case)
    path.write_bytes(body[:3] + b"\x08" + body[4:10] + b"n" * 2**22 + body[10:])


@trick
def two_masks_in_one_file(case, path):
    path.write_bytes(mask_bytes(case) * 2)


@trick
def grows_while_it_is_taken(case, path):
    path.write_bytes(mask_bytes(case))

    def grow():
        with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
            for _ in range(2000):
                file.write(bytes(4096))

    threading.Thread(target=grow, daemon=True).start()


@trick
def shrinks_while_it_is_taken(case, path):
    valid = mask_bytes(case)
    path.write_bytes(valid)

    def shrink():
        with contextlib.suppress(OSError), path.open("r+b", buffering=0) as file:
            for _ in range(20_000):
                file.truncate(10)
                os.pwrite(file.fileno(), valid, 0)

    threading.Thread(target=shrink, daemon=True).start()


@trick
def folder_switched_while_it_is_taken(case, path):
    """A thread that replaces the case's folder by a link to the inputs and back."""
    folder = path.parent
    path.write_bytes(mask_bytes(case))
    path.with_name(f"{case.findings[1].id}.nii.gz").write_bytes(mask_bytes(case))

    def switch():
        aside = OUT / "aside"
        with contextlib.suppress(OSError):
            for _ in range(50_000):
                folder.rename(aside)
                folder.symlink_to("/bench/ct")
                folder.unlink()
                aside.rename(folder)

    threading.Thread(target=switch, daemon=True).start()
    return 2


@trick
def set_uid_file(case, path):
    path.write_bytes(mask_bytes(case))
    program = OUT / "program"
    program.write_bytes(b"#!/bin/sh\n")
    program.chmod(0o6777)


@trick
def switched_while_it_is_taken(case, path):
    """A thread that replaces mask by link and link by mask as fast as it can."""
    valid = path.with_name("valid")
    valid.write_bytes(mask_bytes(case))

    def switch():
        with contextlib.suppress(OSError):
            for _ in range(100_000):
                other = path.with_name("other")
                other.symlink_to(case.path)
                other.replace(path)
                os.link(valid, other)
                other.replace(path)

    path.write_bytes(mask_bytes(case))
    threading.Thread(target=switch, daemon=True).start()


def remember(case, path):
    print(f"SHA {case.id} {hashlib.sha256(path.read_bytes()).hexdigest()}", flush=True)


@trick
def will_be_overwritten(case, path):
    path.write_bytes(mask_bytes(case))
    remember(case, path)
    will_be_overwritten.path = path


@trick
def overwrites_the_one_before(case, path):
    time.sleep(3)
    will_be_overwritten.path.write_bytes(mask_bytes(case, fill=1))
    path.write_bytes(mask_bytes(case))


@trick
def will_be_replaced(case, path):
    path.write_bytes(mask_bytes(case))
    remember(case, path)
    will_be_replaced.path = path


@trick
def replaces_the_one_before(case, path):
    time.sleep(3)
    other = path.with_name("other")
    other.write_bytes(mask_bytes(case, fill=1))
    other.replace(will_be_replaced.path)
    with (OUT / "events.jsonl").open("a") as file:
        file.write('{"event": "case_done", "case": "%s"}\n' % will_be_replaced.path.parent.name)
    path.write_bytes(mask_bytes(case))


@trick
def will_be_changed_through_a_handle(case, path):
    path.write_bytes(mask_bytes(case))
    remember(case, path)
    will_be_changed_through_a_handle.file = path.open("r+b")


@trick
def changes_the_one_before_through_a_handle(case, path):
    time.sleep(3)
    file = will_be_changed_through_a_handle.file
    file.truncate(0)
    file.write(mask_bytes(case, fill=1))
    file.flush()
    path.write_bytes(mask_bytes(case))


@trick
def will_be_taken_away(case, path):
    path.write_bytes(mask_bytes(case))
    remember(case, path)
    will_be_taken_away.path = path


@trick
def takes_the_one_before_away(case, path):
    time.sleep(3)
    will_be_taken_away.path.unlink()
    path.write_bytes(mask_bytes(case))
