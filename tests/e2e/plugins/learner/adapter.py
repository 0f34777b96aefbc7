"""Learns the mean Hounsfield units of each text's words, one case a step, and says where a CT comes near to them."""

import json
import os
import sys
import time

import numpy as np
from groundbench_sdk import Adapter, TrainingFailed


def say(word, what):
    """Print a line that the tests read."""
    sys.stdout.write(f"{word} {what}\n")
    sys.stdout.flush()


class Learner(Adapter):
    """The model."""

    def load(self, job):
        self.job = job
        self.means = {}
        if job.checkpoint is not None:
            self.means = json.loads((job.checkpoint / "means.json").read_text())
        say("SEEN", json.dumps({"verb": job.verb, "devices": job.devices, "checkpoint": bool(job.checkpoint)}))
        seen = {name: value for name, value in os.environ.items() if name.startswith("NVIDIA")}
        say("ENVIRONMENT", json.dumps(seen))

    def predict(self, case):
        ct = case.volume(np.float32)
        for finding in case.findings:
            mean = self.means.get(finding.text)
            yield finding.id, np.zeros(ct.shape, bool) if mean is None else np.abs(ct - mean) < 1

    def finetune(self, train, val, training):
        fault = self.job.params["fault"]
        say("SPLITS", json.dumps({"train": [c.id for c in train], "val": [c.id for c in val]}))
        say("FILES", json.dumps(sorted(str(p.name) for p in self.job.weights.parent.rglob("*.nii.gz"))))
        state = training.state / "state.json"
        step, sums = json.loads(state.read_text()) if state.exists() else (0, {})
        say("FROM", step)
        steps = len(train)
        while step < steps:
            case = train[step]
            ct, labels = case.volume(np.float32), case.labels()
            for channel, finding in enumerate(case.findings):
                inside = ct[labels[channel] > 0]
                total, count = sums.get(finding.text, (0.0, 0))
                sums[finding.text] = (total + float(inside.sum()), count + int(inside.size))
            step += 1
            partial = training.state / ".partial-state"
            partial.write_text(json.dumps([step, sums]))
            partial.replace(state)
            self.misbehave(fault, step, training)
            training.event(step, steps, {"error": 1.0 / step}, epoch=step / steps, val_dice=step / (steps + 1))
            if fault in ("slow", "exits"):
                time.sleep(self.job.params["pause_s"])
        if fault == "no-checkpoint":
            return
        training.checkpoint(lambda folder: self.write(folder, fault, sums))

    def misbehave(self, fault, step, training):  # noqa: C901 - one fault after the other
        if step != 2:
            return
        if fault == "nan":
            raise TrainingFailed("nan_loss", "the loss is nan at step 2")
        if fault == "raises":
            raise RuntimeError("the optimiser is lost")
        if fault == "stalls":
            raise TrainingFailed("stalled_loader", "no sample came within 300 s")
        if fault == "silent":
            time.sleep(60)
        if fault == "memory":
            self.held = np.ones(2**28)
        if fault == "exits" and not (training.state / "died").exists():
            (training.state / "died").write_text("")
            os.kill(os.getpid(), 9)
        if fault == "fills-out":
            for number in (1, 2):
                (training.state / f"huge{number}").write_bytes(bytes(60 * 2**20))
            time.sleep(8)
        if fault == "forges-events":
            for record in (
                {"event": "train", "step": 10**6, "steps": 10, "losses": {}},
                {"event": "train", "step": 5, "steps": 10, "losses": {"a\n": 1.0}},
                {"event": "train", "step": 5, "steps": 10, "losses": {"a": float("inf")}},
                {"event": "train", "step": -1, "steps": 10, "losses": {}},
                {"event": "train", "step": 5, "steps": 10, "val_dice": 7.0},
            ):
                with (training.state.parent / "events.jsonl").open("a") as file:
                    file.write(json.dumps(record) + "\n")

    @staticmethod
    def write(folder, fault, sums):
        if fault == "empty-checkpoint":
            return
        means = {text: total / max(1, count) for text, (total, count) in sums.items()}
        (folder / "means.json").write_text(json.dumps(means, sort_keys=True))
        if fault == "link":
            (folder / "passwd").symlink_to("/etc/passwd")
        if fault == "fifo":
            os.mkfifo(folder / "pipe")
        if fault == "odd-name":
            (folder / "a\nb").write_text("")
