"""Show that tiny learns: untrained, trained (killed on the way), and with the texts of each CT exchanged.

``make tiny-proof`` runs it on a phantom of 30 cases, with a seed that the model was not developed on, in containers.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run everything and print a table; the exit code is 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=ROOT / ".bench")
    parser.add_argument("--wheels", type=Path, help="folder with a CPU wheel of torch; without it the image is there")
    parser.add_argument("--seed", type=int, default=7001, help="seed of the phantom")
    parser.add_argument("--engine", default="docker")
    options = parser.parse_args()
    proof = Proof(options.home, options.engine)
    phantom = options.home / "datasets" / f"phantom-{options.seed}"
    if not phantom.exists():
        proof.bench("data", "phantom", str(phantom), "--cases", "30", "--size", "small", "--seed", str(options.seed))
    if options.wheels:
        proof.bench("build", "--plugin", "tiny", "--device", "cpu", "--wheels", str(options.wheels))
    before = proof.dice("zero-shot", phantom)
    proof.kill_in_the_middle(phantom)
    trained = proof.dice("fine-tuned", phantom)
    exchanged = proof.dice("fine-tuned", exchanged_texts(phantom, options.home / "datasets"))
    pairs, same = equal_masks(options.home, trained["run"])
    rows = [
        ("untrained, mean Dice", before["dice"], "at most 0.05", before["dice"] <= 0.05),
        ("trained, mean Dice", trained["dice"], "at least 0.45", trained["dice"] >= 0.45),
        ("texts exchanged, share lost", 1 - exchanged["dice"] / trained["dice"], "at least 0.5",
         exchanged["dice"] <= 0.5 * trained["dice"]),
        (f"equal masks in {pairs} pairs of one CT", same, "0", same == 0),
        ("training, minutes", trained["minutes"], "at most 15, on two idle cores", trained["minutes"] <= 15),
    ]  # fmt: skip
    for what, value, bound, kept in rows:
        sys.stdout.write(f"{what:<40} {value:8.3f}   {bound}   {'' if kept else 'MISSED'}\n")
    return 0 if all(kept for *_, kept in rows) else 1


class Proof:
    """The command line on one home and engine."""

    def __init__(self, home: Path, engine: str) -> None:
        self.home, self.engine = home, engine

    def command(self, *arguments: str) -> list[str]:
        """Return a whole command."""
        return [sys.executable, "-m", "harness", "--home", str(self.home), *arguments]

    def bench(self, *arguments: str) -> str:
        """Run a command, its progress shown, and return what it prints."""
        done = subprocess.run(self.command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(done.returncode)  # the command has said why
        return done.stdout

    def run_command(self, variant: str, dataset: Path) -> list[str]:
        """Return the arguments of a run."""
        return ["run", "--plugin", "tiny", "--variant", variant, "--dataset", str(dataset), "--engine", self.engine]

    def dice(self, variant: str, dataset: Path) -> dict[str, Any]:
        """Run a variant; return its run, mean Dice, and the minutes of its training."""
        document = json.loads(self.bench(*self.run_command(variant, dataset), "--json"))
        shown = json.loads((self.home / "runs" / document["run"] / "record.json").read_text(encoding="utf-8"))
        seconds = shown["run"]["record"].get("training", {}).get("seconds", 0.0)
        return {"run": document["run"], "dice": document["metrics"]["dice"]["all"]["value"], "minutes": seconds / 60}

    def kill_in_the_middle(self, dataset: Path) -> None:
        """Begin to train, and kill the harness with SIGKILL once a third of the steps is done and saved."""
        process = subprocess.Popen(self.command(*self.run_command("fine-tuned", dataset)), cwd=ROOT)
        while process.poll() is None:
            time.sleep(1)
            for events in self.home.glob("checkpoints/*/container/out/events.jsonl"):
                lines = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
                steps = [line for line in lines if line["event"] == "train"]
                if steps and steps[-1]["step"] >= steps[-1]["steps"] / 3:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    sys.stderr.write(f"killed after step {steps[-1]['step']}\n")
                    return


def exchanged_texts(phantom: Path, shelf: Path) -> Path:
    """Return the phantom with the texts of every test CT handed on to the next finding of the same CT."""
    out = shelf / f"{phantom.name}-exchanged"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    for name in ("ct", "seg"):
        (out / name).symlink_to((phantom / name).resolve())
    index = json.loads((phantom / "dataset.json").read_text(encoding="utf-8"))
    for case in index["test"]:
        keys = list(case["findings"])
        texts = [case["findings"][key] for key in keys]
        case["findings"] = dict(zip(keys, texts[1:] + texts[:1], strict=True))
    (out / "dataset.json").write_text(json.dumps(index), encoding="utf-8")
    for name in ("groundbench.json",):
        shutil.copy(phantom / name, out / name)
    return out


def equal_masks(home: Path, run: str) -> tuple[int, int]:
    """Return how many pairs of findings of one CT there are, and how many of them got the same mask."""
    import nibabel as nib
    import numpy as np

    pairs = same = 0
    for case in sorted(path for path in (home / "runs" / run / "masks").iterdir() if not path.name.startswith(".")):
        masks = [np.asanyarray(nib.load(path).dataobj) for path in sorted(case.glob("*.nii.gz"))]
        for number, first in enumerate(masks):
            for second in masks[number + 1 :]:
                pairs += 1
                same += bool(first.any()) and np.array_equal(first, second)
    return pairs, same


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
