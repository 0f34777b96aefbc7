"""Right answers (a one-voxel mask) on every case but ``toy_2_a_1``, where ``params["attack"]`` happens.

Names and order say nothing inside the wall; a case is recognised by its first voxels.
"""

import json
import os
import signal
import threading
import time
from pathlib import Path

import events
import neighbours
import numpy as np
import outputs
import probe
import probes_of_labels  # noqa: F401 - its probes count themselves in
import probes_of_network  # noqa: F401 - its probes count themselves in
import probes_of_rights  # noqa: F401 - its probes count themselves in
import probes_of_writing  # noqa: F401 - its probes count themselves in
from groundbench_sdk import Adapter

ROOT = Path("/bench")
OUT = ROOT / "out"
ATTACK = json.loads((ROOT / "job.json").read_text())["params"]["attack"]

#: First voxels -> number, as the tests draw their volumes.
NUMBERS = {tuple(np.random.default_rng(n).normal(-800, 60, 3).astype(np.int16).tolist()): n for n in range(1, 100)}

if ATTACK == "everything-at-once":
    neighbours.begin()
if ATTACK == "hang-at-import":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)


def say(line):
    """Tell the test what happened, in the log."""
    print(f"SAID {line}", flush=True)


class Hostile(Adapter):
    """Attacks on its second case, and is a plain model otherwise."""

    def load(self, job):
        """Begin to count."""
        self.place = 0

    def predict(self, case):
        """Yield a one-voxel mask for every finding, or attack."""
        number = NUMBERS[tuple(case.volume()[0, 0, :3].tolist())]
        self.place += 1
        taken = set()
        if ATTACK == "outputs":
            taken = outputs.attack(case, self.place) or set()
        elif ATTACK == "events":
            taken = events.attack(case, number) or set()
        elif ATTACK == "probe-everything":
            probe.main(number - 1, of=len(probe.cases()))  # a part a case: each has a few seconds only
        elif ATTACK == "everything-at-once":
            time.sleep(4)
        elif ATTACK == "neighbour":
            neighbours.work()
        elif number == 2:
            globals()[ATTACK.replace("-", "_")](case)
        for finding in case.findings:
            if finding.id in taken:
                continue
            mask = np.zeros(case.shape, bool)
            mask[0, 0, 0] = True
            yield finding.id, mask


def fork_bomb(_case):
    """Fork without end; the limit on processes stops it, and the children are gone with the container."""
    children = 0
    try:
        while True:
            pid = os.fork()
            if pid == 0:
                time.sleep(3600)
            children += 1
            if children > 1000:
                say("BREACH 1000 processes")
    except OSError as error:
        say(f"HELD {children} processes, then {error}")
    os._exit(1)


def memory_bomb(_case):
    hog = []
    while True:
        hog.append(b"x" * 2**25)
        if len(hog) > 25:
            say("BREACH 800 MiB")


def memory_bomb_without_a_name(_case):
    """Files in memory that lie in no folder, which no limit of a folder holds."""
    handles = []
    for _ in range(25):
        handles.append(os.memfd_create("hog"))
        os.write(handles[-1], b"x" * 2**25)
    say("BREACH 800 MiB")


def fill_inodes(_case):
    """Empty files take no room, but the kernel's memory."""
    made = 0
    try:
        for folder in ("/tmp", "/scratch"):
            for number in range(150_000):
                os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_WRONLY))
                made += 1
    except OSError as error:
        say(f"HELD {made} files, then {error}")
        os._exit(1)
    say("BREACH 300,000 files in memory")


def fill_out(_case):
    for number in range(10_000):
        (OUT / f"filler-{number}").write_bytes(os.urandom(2**22))
        time.sleep(0.02)
    say("BREACH 40 GB")


def rewrite_disk(_case):
    """Write one small file over and over, each time down to the disk, for the time that a case has without an end."""
    block = os.urandom(2**23)
    written, began = 0, time.monotonic()
    with open(OUT / "again", "wb") as file:
        while (seconds := time.monotonic() - began) < 3:
            os.pwrite(file.fileno(), block, 0)
            os.fsync(file.fileno())
            written += len(block)
    print(f"RATE {written / seconds:.0f}", flush=True)


def fill_out_deep(_case):
    """Fill the disk below folders that are nested deeper than a path can be long."""
    os.chdir(OUT)
    for _ in range(3000):
        os.mkdir("d" * 100)
        os.chdir("d" * 100)
    for number in range(10_000):
        with open(f"filler-{number}", "wb") as file:
            file.write(os.urandom(2**22))
        time.sleep(0.02)


def fill_unlinked(_case):
    """Fill the disk with files that have no name any more."""
    held = []
    try:
        for number in range(4000):
            file = (OUT / f"gone-{number}").open("wb", buffering=0)
            (OUT / f"gone-{number}").unlink()
            held.append(file)
            file.write(bytes(2**23))
    except OSError as error:
        say(f"{len(held)} files, then {error}")
    time.sleep(3600)


def many_files(_case, count=200_000):
    folder = OUT / "many"
    folder.mkdir()
    for number in range(count):
        os.close(os.open(folder / f"{number}", os.O_CREAT | os.O_WRONLY))
    say(f"{count} files")


def million_files(case):
    many_files(case, 10**6)


def flood_stdout(_case):
    line = b"x" * 65536 + b"\n"
    for _ in range(10 * 2**30 // len(line)):
        os.write(1, line)
    say("BREACH 10 GB")


def hang_in_case(_case):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(3600)


def stop_itself(_case):
    os.kill(os.getpid(), signal.SIGSTOP)


def hang_at_exit(_case):
    import atexit

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    atexit.register(time.sleep, 3600)


def spam_progress(case):
    """Announce the case again and again, and others in between, so that its clock might start anew."""
    with (OUT / "events.jsonl").open("a") as file:
        while True:
            for name in (each["id"] for each in probe.cases()):
                file.write(json.dumps({"event": "progress", "stage": "case", "case": name}) + "\n")
            file.write('{"event": "progress", "stage": "loaded", "seconds": 0}\n{"event": "started"}\n')
            file.flush()
            time.sleep(0.01)


def daemonise(_case):
    """Leave a process behind that has nothing to do with us any more and outlives the container's own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            for handle in range(3):
                os.close(handle)
            while True:
                with (OUT / "late").open("ab") as file:
                    file.write(b"still here\n")
                time.sleep(0.05)
        os._exit(0)
    os.wait()


def close_out(_case):
    """Shut the output folder, and what is in it, against anyone who wants to look or to clean up."""
    (OUT / "shut" / "inside").mkdir(parents=True)
    (OUT / "shut" / "inside" / "file").write_text("x")
    (OUT / "shut").chmod(0)

    def shut():
        time.sleep(1)
        OUT.chmod(0)

    threading.Thread(target=shut).start()


def hide_events(_case):
    """Put a pipe where the events were."""
    (OUT / "events.jsonl").unlink()
    os.mkfifo(OUT / "events.jsonl")
