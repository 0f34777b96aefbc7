"""The same numbers through the code of the models' authors and through ours: a table, or why there is none.

Fetches nothing and builds nothing. The experiments run in a Python that has what `requirements.txt` beside this file
names, on packages that are installed there or on clones of upstream's repositories at the pinned commits. Clones are
looked for in the folder ``--upstream`` (``FIDELITY_UPSTREAM``; by default ``upstream/`` in the home), whatever they are
called. With ``--record`` the results are kept in ``docs/fidelity.json``, from which a table of ``docs/models.md`` is
made.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.registry.discovery import discover

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RECORD = ROOT / "docs" / "fidelity.json"


@dataclass(frozen=True)
class Files:
    """Files and folders of a repository of upstream's, at the commit that is read."""

    repository: str
    commit: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """One comparison.

    Attributes
    ----------
    name
        Its function in a module that ``experiments.py`` looks through.
    model
        The plugin that is compared.
    what
        What is compared, for people.
    unit
        What its number counts.
    most
        The largest number that passes.
    needs
        What it reads of upstream's repositories.
    """

    name: str
    model: str
    what: str
    unit: str
    most: float
    needs: tuple[Files, ...] = ()


def _sat(*paths: str) -> tuple[Files]:
    return (Files("SAT", "5676be5a62f5cd517264b948c6198e38ddfeb0e2", paths),)


def _segvol(*paths: str) -> tuple[Files]:
    return (Files("SegVol", "5768c9795794a327a2629ce7f137ab03d5ea8378", paths),)


def _medsam2(*paths: str) -> tuple[Files]:
    return (Files("MedSAM2", "332f30d420f1d1b08e2a79b3ae6a602458808383", paths),)


BIOMEDPARSE = Files("BiomedParse", "750eb40d4624398561fe586418101f48ae9b0f1d", ("inference_utils/processing_utils.py",))
DETECTRON = Files("detectron2-xyz", "42121d75e10d9f858f3a91b6a39f5722c02868f0", ("detectron2",))
SAM2 = Files("sam2", "2b90b9f5ceec907a1c18123530e92e794ad901a4", ("sam2",))
SCRIPT = "medsam2_infer_3D_CT.py"
BOTH_WAYS = "24 slices in both directions, all at once or one by one"
STANDARDISED = "standardised grey levels"

EXPERIMENTS = (
    Experiment(
        "sat_input", "sat", "orientation, resampling, crop and normalisation of four stored orientations",
        STANDARDISED, 2e-5, _sat("data/inference_dataset.py"),
    ),
    Experiment("sat_windows", "sat", "windows over four shapes", "windows", 0, _sat("data/inference_dataset.py")),
    Experiment(
        "sat_sliding", "sat", "two texts over eight weighted windows of a random Nano", "probability", 0,
        _sat("data/inference_dataset.py", "evaluate/inference_engine.py", "model", "train"),
    ),
    Experiment("sat_augmentation", "sat", "zoom, sharpening and contrast", STANDARDISED, 2e-5),
    Experiment(
        "sat_crops", "sat", "50 crops around a voxel, and their texts", "crops", 0, _sat("data/train_dataset.py")
    ),
    Experiment(
        "segvol_input", "segvol", "normalisation, crop and sampling", "of [0, 1]", 1e-6,
        _segvol("data_process/demo_data_process.py"),
    ),
    Experiment("segvol_area", "segvol", "resizing by area for training", "of [0, 1]", 1e-6),
    Experiment(
        "segvol_text", "segvol", "two texts through a random network, predicting and training", "logit", 1e-5,
        _segvol("segment_anything_volumetric", "network", "utils", "config"),
    ),
    Experiment(
        "biomedparse_picture", "biomedparse", "picture of a slice at 1,024 pixels, apart from its edges",
        "grey levels of 255", 2, (BIOMEDPARSE,),
    ),
    Experiment(
        "biomedparse_scale", "biomedparse", "ten draws of scale and crop for training", "pixels", 0, (DETECTRON,)
    ),
    Experiment("sam2_propagation", "sam2", BOTH_WAYS, "voxels", 0, (SAM2, *_medsam2(SCRIPT))),
    Experiment("medsam2_frames", "medsam2", "resized and normalised slices", STANDARDISED, 1e-6, _medsam2(SCRIPT)),
    Experiment(
        "medsam2_propagation", "medsam2", BOTH_WAYS, "voxels", 0,
        _medsam2(SCRIPT, "sam2", "efficient_track_anything"),
    ),
    Experiment(
        "medsam2_text_windows", "medsam2-text", "windows that training may draw from 20 CTs, and what they show",
        "windows", 0, _medsam2("training/dataset/vos_sampler.py"),
    ),
    Experiment("voxtell_axes", "voxtell", "upstream's reader on 48 orientations", "orientations", 0),
    Experiment("voxtell_plans", "voxtell", "layers and weights from a made-up published folder", "tensors", 0),
    Experiment("voxtell_text", "voxtell", "three texts through a made-up language model", "of the vectors", 1e-5),
    Experiment("voxtell_prompts", "voxtell", "three texts together or one by one", "logit", 1e-5),
    Experiment(
        "nninteractive_session", "nninteractive", "upstream's loader and ours on a made-up folder", "voxels", 0
    ),
)  # fmt: skip


def find(folder: Path, files: Files) -> Path | None:
    """Return the clone below a folder that holds the pinned commit, by its content; None where none does."""
    candidates = [path for path in sorted(folder.glob("*")) if path.is_dir()] if folder.is_dir() else []
    for path in [inner for one in candidates for inner in (one, one / "repo")]:
        asked = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", str(path), "cat-file", "-e", f"{files.commit}^{{commit}}"],
            capture_output=True,
            check=False,
        )
        if path.is_dir() and asked.returncode == 0:
            return path
    return None


def take(clone: Path, files: Files, into: Path) -> None:
    """Write what is read of a commit below ``into/<repository>``."""
    command = ["git", "-c", "safe.directory=*", "-C", str(clone), "archive", files.commit, *files.paths]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(into / files.repository, filter="data")


def lacking(python: Path) -> str:
    """Return why the experiments cannot run in this Python; empty where it has all that is required, as required."""
    required = HERE / "requirements.txt"
    if not python.is_file():
        return f"no Python with {required.relative_to(ROOT)}; name it in FIDELITY_PYTHON"
    wanted = [line for line in required.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    script = (
        "import sys; from importlib.metadata import distributions\n"
        "held = {one.metadata['Name'].lower().replace('_', '-'): one.version for one in distributions()}\n"
        "for line in sys.argv[1:]:\n"
        "    name, _, version = line.partition('==')\n"
        "    if name not in held or (version and held[name].partition('+')[0] != version): print(line)"
    )
    asked = subprocess.run([str(python), "-c", script, *wanted], capture_output=True, text=True, check=True)
    missing = asked.stdout.split()
    return f"{python} lacks {', '.join(missing)}; install {required.relative_to(ROOT)}" if missing else ""


def run(experiment: Experiment, python: Path, upstream: Path) -> tuple[Any, str]:
    """Run an experiment in a process of its own; return its number and torch's version, or what went wrong."""
    surroundings = {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        **dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), str(upstream)),
    }
    ran = subprocess.run(
        [str(python), "-W", "ignore", str(HERE / "experiments.py"), str(upstream), experiment.name],
        env=os.environ | surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        lines = ran.stderr.strip().splitlines()
        return lines[-1] if lines else f"exit code {ran.returncode}", ""
    found = json.loads(ran.stdout.splitlines()[-1])
    return found["result"], found["torch"]


def compare(experiments: Sequence[Experiment], python: Path, upstream: Path) -> dict[str, tuple[Any, str]]:
    """Run what can be run; return each one's number, or a text that says why there is none, and torch's version."""
    results: dict[str, tuple[Any, str]] = {}
    why = lacking(python)
    for experiment in experiments:
        found = {files: find(upstream, files) for files in experiment.needs}
        clones = {files: clone for files, clone in found.items() if clone}
        absent = [f"{files.repository} at {files.commit[:12]}" for files in experiment.needs if files not in clones]
        if why or absent:
            results[experiment.name] = f"skipped: {why or f'no clone with {absent[0]}'}", ""
        else:
            with tempfile.TemporaryDirectory() as scratch:
                for files, clone in clones.items():
                    take(clone, files, Path(scratch))
                results[experiment.name] = run(experiment, python, Path(scratch))
        _say(experiment, results[experiment.name][0])
    return results


def _say(experiment: Experiment, result: Any) -> None:
    number = result if isinstance(result, str) else f"{result:.2g} {experiment.unit} (at most {experiment.most:g})"
    said = f"{experiment.name.ljust(max(len(one.name) for one in EXPERIMENTS))}  {number}"
    fine = passed(experiment, result) or str(result).startswith("skipped:")
    sys.stdout.write(f"{said}{'' if fine else '  !'}\n")
    sys.stdout.flush()


def passed(experiment: Experiment, result: Any) -> bool:
    """Return whether a number is within its bound."""
    return not isinstance(result, str) and result <= experiment.most


def main() -> int:
    """Run, print and keep; exit with 1 when one differs by more than its bound or failed, 3 when none could be run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("BENCH_HOME", ROOT / ".bench")))
    parser.add_argument("--upstream", type=Path, help="folder of clones")
    parser.add_argument("--python", type=Path, help="the Python that has requirements.txt")
    parser.add_argument("--only", action="append", choices=[one.name for one in EXPERIMENTS], help="may be repeated")
    parser.add_argument("--record", action="store_true", help="keep the numbers in docs/fidelity.json")
    options = parser.parse_args()
    upstream = options.upstream or Path(os.environ.get("FIDELITY_UPSTREAM") or options.home / "upstream")
    python = options.python or Path(os.environ.get("FIDELITY_PYTHON") or ROOT / ".venv-fidelity" / "bin" / "python")
    chosen = [one for one in EXPERIMENTS if not options.only or one.name in options.only]
    found = compare(chosen, python, upstream)
    ran = [one for one in chosen if not str(found[one.name][0]).startswith("skipped:")]
    if options.record:
        keep({one: found[one.name] for one in ran if passed(one, found[one.name][0])})
    if not ran:
        return 3
    return int(not all(passed(one, found[one.name][0]) for one in ran))


def keep(found: Mapping[Experiment, tuple[Any, str]]) -> None:
    """Write numbers into the record; what was not compared now stays as it was."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    for experiment, (result, torch) in found.items():
        record[experiment.name] = {
            "model": experiment.model,
            "what": experiment.what,
            "unit": experiment.unit,
            "most": experiment.most,
            "result": result,
            "version": discover().get(experiment.model).model.version,
            "torch": torch,
            "date": datetime.now(UTC).date().isoformat(),
        }
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
