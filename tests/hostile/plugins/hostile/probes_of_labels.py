"""Attempts to find the ground truth."""

import contextlib
import ctypes
import os
from pathlib import Path

from probe import ROOT, Breach, cases, probe, refused, system_call


@probe
def labels_by_walking_everything():
    """Whatever a file is called: no NIfTI lies anywhere but the CTs of this job and our own masks."""
    expected = {str(ROOT / case["ct"]) for case in cases()}
    found = []
    for folder, folders, names in os.walk("/"):
        if folder == "/":
            folders[:] = [name for name in folders if name not in ("proc", "sys")]
        if folder == "/bench/out":
            folders[:] = []
        if "site-packages" not in folder and "dist-packages" not in folder:
            found += [os.path.join(folder, name) for name in names if ".nii" in name or name == "dataset.json"]
    if set(found) != expected:
        raise Breach(f"{sorted(set(found) ^ expected)}")
    if sorted(os.listdir(ROOT)) != ["cases.jsonl", "ct", "job.json", "out"]:
        raise Breach(f"{os.listdir(ROOT)}")
    return f"only the {len(expected)} CTs of the job"


@probe
def labels_by_guessing_names():
    tried = 0
    for case in cases():
        name = os.path.basename(case["ct"])
        for guess in (
            f"/bench/seg/{name}", f"/bench/truth/{name}", f"/bench/ct/../seg/{name}", f"/bench/out/../../seg/{name}",
            f"/seg/{name}", f"/data/seg/{name}", f"/bench/labels/{name}", f"/bench/masks/{case['id']}/0.nii.gz",
            "/bench/dataset.json", "/bench/ct/../dataset.json", "/bench/results.db", "/bench/out/../../../results.db",
        ):  # fmt: skip
            refused(open, guess, "rb")
            tried += 1
    return f"{tried} paths are not there"


@probe
def labels_in_the_job():
    """The job and the cases hold nothing but the documented fields, and no category for free text."""
    for case in cases():
        if set(case) != {"id", "ct", "shape", "spacing", "findings", "seed"}:
            raise Breach(f"{sorted(case)}")
        if any(set(finding) != {"id", "text"} for finding in case["findings"]):
            raise Breach(f"{case['findings']}")
    return "only the documented fields"


@probe
def names_as_keys_of_a_dictionary():
    """No public name of a case or a finding, and no order of them, is in the job, in a file's name or in a variable."""
    shown = " ".join(path.read_text() for path in (ROOT / "job.json", ROOT / "cases.jsonl"))
    shown += " ".join([*os.listdir(ROOT / "ct"), *os.environ.values(), os.uname().nodename])
    if "toy_" in shown or "_a_1" in shown:
        raise Breach(shown)
    names = [case["id"] for case in cases()] + [finding["id"] for case in cases() for finding in case["findings"]]
    if len(set(names)) != len(names) or min(map(len, names)) < 17:
        raise Breach(f"{names}")
    return f"{len(names)} names that say nothing"


@probe
def labels_through_proc_root():
    here = sorted(os.listdir("/"))
    seen = []
    for pid in [name for name in os.listdir("/proc") if name.isdigit()]:
        for link in ("root", "cwd/..", "root/.."):
            with contextlib.suppress(OSError):
                inside = sorted(os.listdir(f"/proc/{pid}/{link}"))
                seen.append(pid)
                if link != "cwd/.." and inside != here:
                    raise Breach(f"/proc/{pid}/{link} holds {inside}")
    if len([name for name in os.listdir("/proc") if name.isdigit()]) > 10:
        raise Breach("the host's processes are seen")
    return f"processes {sorted(set(seen))} see the same root"


@probe
def labels_through_mount_sources():
    """The host's paths are in mountinfo; neither they nor their parents lead anywhere from inside."""
    tried = 0
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        source, target = (field.encode().decode("unicode_escape") for field in line.split()[3:5])
        if not target.startswith("/bench"):
            continue
        for path in (source, os.path.dirname(source), os.path.dirname(os.path.dirname(source))):
            if path.count("/") > 1:
                refused(os.stat, path)
                tried += 1
        refused(os.listdir, f"{target}/../../../.." + source)
    return f"{tried} host paths are not there"


@probe
def labels_through_mount_parents():
    for name in os.listdir(ROOT / "ct"):
        if name not in {os.path.basename(case["ct"]) for case in cases()}:
            raise Breach(f"ct/{name}")
    if Path("/bench/out/..").resolve() != ROOT or os.stat("/bench/out/..").st_ino != os.stat("/bench").st_ino:
        raise Breach("out/.. leads elsewhere")
    return "the parents of the mounts hold the mounts only"


@probe
def labels_by_file_handle():
    """The classic escape: open a file of the host by its inode (2 is the root folder)."""

    class Handle(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_ubyte * 8)]

    handle = Handle(8, 1, (ctypes.c_ubyte * 8)(2, 0, 0, 0, 0, 0, 0, 0))
    mount = os.open("/bench/job.json", os.O_RDONLY)
    try:
        return refused(system_call, 304, mount, ctypes.byref(handle), os.O_RDONLY)
    finally:
        os.close(mount)
