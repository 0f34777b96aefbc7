"""Right answers (a one-voxel mask) on every case but ``toy_2_a_1``, where ``params["fault"]`` happens.

Names and order say nothing inside the wall; the case is recognised by its first voxels.
"""

import gzip
import json
import os
import signal
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from groundbench_sdk import Adapter

ROOT = Path(os.environ.get("BENCH_ROOT", "/bench"))
FAULT = json.loads((ROOT / "job.json").read_text())["params"]["fault"]

SECOND = np.random.default_rng(2).normal(-800, 60, 3).astype(np.int16).tolist()
PAUSES_S = {"slow": 0.25, "slower": 1.5}

if FAULT == "exit-1-at-import":
    sys.exit("the weights could not be read")
if FAULT == "hangs-at-import":
    time.sleep(3600)
if FAULT == "no-events":
    for line in (ROOT / "cases.jsonl").read_text().splitlines():
        case = json.loads(line)
        (ROOT / "out" / case["id"]).mkdir()
        for finding in case["findings"]:
            image = nib.load(ROOT / case["ct"])
            mask = np.zeros(image.shape, np.uint8)
            mask[0, 0, 0] = 1
            nib.save(nib.Nifti1Image(mask, image.affine), ROOT / "out" / case["id"] / f"{finding['id']}.nii.gz")
    (ROOT / "out" / "events.jsonl").unlink()
    os._exit(0)


class Misbehaving(Adapter):
    """Misbehaves as the parameter says, once."""

    def load(self, job):
        """Forget nothing."""
        self.number = 0

    def predict(self, case):
        """Yield a one-voxel mask for every finding, or misbehave."""
        self.number += 1
        skip = None
        time.sleep(PAUSES_S.get(FAULT, 0))
        first = json.loads((ROOT / "cases.jsonl").read_text().splitlines()[0])["id"]
        if FAULT != "none" and FAULT not in PAUSES_S and case.volume()[0, 0, :3].tolist() == SECOND:
            self.path = ROOT / "out" / case.id / f"{case.findings[0].id}.nii.gz"
            self.case, self.first = case, first
            getattr(self, FAULT.replace("-", "_"))()
            if FAULT == "writes-nothing":
                return
            if self.path.is_symlink() or self.path.exists():
                skip = case.findings[0].id
        for finding in case.findings:
            if finding.id == skip:
                continue
            mask = np.zeros(case.shape, bool)
            mask[0, 0, 0] = True
            yield finding.id, mask

    def save(self, array, affine):
        """Write whatever was asked for, unchecked."""
        nib.save(nib.Nifti1Image(array, affine), self.path)

    def exit_1(self):
        os._exit(1)

    def segfault(self):
        os.kill(os.getpid(), signal.SIGSEGV)

    def raises(self):
        raise RuntimeError("CUDA error: device-side assert triggered")

    def hangs(self):
        time.sleep(3600)

    def ignores_sigterm(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)

    def writes_nothing(self):
        pass

    def writes_4d_stack(self):
        self.save(np.zeros((2, *self.case.shape), np.uint8), np.eye(4))

    def other_grid(self):
        self.save(np.zeros([n + 3 for n in self.case.shape], np.uint8), self.case.affine)

    def float_nan(self):
        self.save(np.full(self.case.shape, np.nan, np.float32), self.case.affine)

    def wrong_affine(self):
        mask = np.zeros(self.case.shape, np.uint8)
        mask[1:3, 1:3, 1:3] = 1
        self.save(mask, self.case.affine @ np.diag([-1.0, 1.0, 1.0, 1.0]))

    def bomb(self):
        header = nib.Nifti1Image(np.zeros(self.case.shape, np.uint8), self.case.affine).header
        header.set_data_offset(352)
        zeros = gzip.compress(bytes(2**26), mtime=0)
        self.path.write_bytes(gzip.compress(header.binaryblock + bytes(4), mtime=0) + zeros * 64)

    def symlink(self):
        self.path.symlink_to("/etc/passwd")

    def hard_link(self):
        spare = self.path.with_name("spare")
        spare.write_bytes(b"x")
        os.link(spare, self.path)

    def fifo(self):
        os.mkfifo(self.path)

    def truncated(self):
        self.save(np.ones(self.case.shape, np.uint8), self.case.affine)
        self.path.write_bytes(self.path.read_bytes()[:-20])

    def not_nifti(self):
        self.path.write_text("no mask at all\n" * 100)

    def memory(self):
        self.hog = [bytearray(os.urandom(2**20)) * 8 for _ in range(1000)]

    def fills_out(self):
        for number in range(10):
            (ROOT / "out" / f"filler-{number}").write_bytes(os.urandom(2**23))
        for number in range(100):
            (ROOT / "out" / f"more-{number}").write_bytes(os.urandom(2**22))
            time.sleep(0.05)

    def floods_log(self):
        for _ in range(40):
            sys.stdout.write("x" * 2**20 + "\n")
        sys.stdout.write("the last line\n")

    def warns(self):
        for number in range(30):
            self.case.warn(f"finding 0: \x1b[2Jthe text was cut\nat word {number}")

    def forges_events(self):
        with (ROOT / "out" / "events.jsonl").open("ab") as events:
            events.write(b'{"event": "case_done", "case": "../../etc"}\n')
            events.write(b'{"event": "case_done", "case": "%s", "seconds": 1e-9}\n' % self.first.encode())
            events.write(
                b'{"event": "case_done", "case": "\\u0000", "seconds": NaN}\n' + b"[" * 100_000 + b"\n\xff\xfe\n"
            )
            events.write(b'{"event": "finished", "score": 1.0}\n' + b"x" * 200_000 + b"\n")
