"""The same numbers through the code of the models' authors and through ours: a table, or why an experiment was skipped.

Fetches nothing and builds nothing. An experiment runs in the image of a plugin (``bench build --plugin NAME``), sealed
off, on functions that lie in it or in a clone of upstream's repository at the pinned commit. Clones are looked for in
the folder ``--upstream`` (``FIDELITY_UPSTREAM``; by default ``upstream/`` in the home), whatever they are called. With
``--record`` the results are kept in ``docs/fidelity.json``, from which a table of ``docs/models.md`` is made.
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
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import BenchError
from harness.images.build import ensure_image, is_built
from harness.registry.discovery import discover

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "fidelity.json"


@dataclass(frozen=True)
class Repository:
    """A repository of upstream's: where the scripts find it, and the commit that is read."""

    name: str
    commit: str


SAT = Repository("SAT", "5676be5a62f5cd517264b948c6198e38ddfeb0e2")
MEDSAM2 = Repository("MedSAM2", "332f30d420f1d1b08e2a79b3ae6a602458808383")


@dataclass(frozen=True)
class Experiment:
    """One comparison.

    Attributes
    ----------
    name
        Its function in ``experiments.py``.
    model
        The plugin that is compared.
    what
        What is compared, for people.
    unit
        What its number counts.
    most
        The largest number that passes.
    image
        The plugin in whose image it runs: the model's own, or one that has the packages of upstream's function.
    needs
        File of a repository that is read.
    """

    name: str
    model: str
    what: str
    unit: str
    most: float
    image: str = ""
    needs: tuple[Repository, str] | None = None


EXPERIMENTS = (
    Experiment(
        "sat_windows", "sat", "windows over four shapes", "windows", 0, "segvol", (SAT, "data/inference_dataset.py")
    ),
    Experiment("sat_augmentation", "sat", "zoom, sharpening and contrast", "standardised grey levels", 2e-5, "segvol"),
    Experiment(
        "sat_crops", "sat", "50 crops around a voxel, and their texts", "crops", 0, "segvol",
        (SAT, "data/train_dataset.py"),
    ),
    Experiment("segvol_area", "segvol", "resizing by area for training", "of [0, 1]", 1e-6),
    Experiment(
        "medsam2_frames", "medsam2", "resized and normalised slices", "standardised grey levels", 1e-6, "",
        (MEDSAM2, "medsam2_infer_3D_CT.py"),
    ),
)  # fmt: skip


def find(folder: Path, repository: Repository) -> Path | None:
    """Return the clone below a folder that holds the pinned commit, by its content; None where none does."""
    candidates = [path for path in sorted(folder.glob("*")) if path.is_dir()] if folder.is_dir() else []
    for path in [inner for one in candidates for inner in (one, one / "repo")]:
        asked = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", str(path), "cat-file", "-e", f"{repository.commit}^{{commit}}"],
            capture_output=True,
            check=False,
        )
        if path.is_dir() and asked.returncode == 0:
            return path
    return None


def take(clone: Path, repository: Repository, file: str, into: Path) -> None:
    """Write one file of the pinned commit below ``into/<repository>``."""
    command = ["git", "-c", "safe.directory=*", "-C", str(clone), "archive", repository.commit, file]
    packed = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(into / repository.name, filter="data")


def image_of(name: str, home: Path) -> str:
    """Return the tag of a plugin's image as its content is today; empty where it has not been built."""
    import docker

    client, plugin = docker.from_env(), discover().get(name)
    try:
        return ensure_image(client, plugin, home=home).tag if is_built(client, plugin, home=home) else ""
    finally:
        client.close()


def run(experiments: Sequence[Experiment], tag: str, upstream: Path) -> dict[str, Any]:
    """Run some experiments in an image, sealed off; return their numbers, or the last line of what went wrong."""
    import docker
    import docker.errors

    client = docker.from_env(timeout=3600)
    names = [experiment.name for experiment in experiments]
    mounts = {str(Path(__file__).with_name("experiments.py")): "/experiments.py", str(ROOT / "plugins"): "/plugins"}
    mounts[str(upstream)] = "/upstream"
    try:
        said = client.containers.run(
            tag,
            ["/experiments.py", *names],
            entrypoint="python",
            volumes={host: {"bind": inside, "mode": "ro"} for host, inside in mounts.items()},
            environment={"HOME": "/tmp", "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"},  # noqa: S108 - the container's
            network_mode="none",
            read_only=True,
            tmpfs={"/tmp": "size=4g"},  # noqa: S108 - in the container
            mem_limit="14g",
            remove=True,
        )
    except docker.errors.ContainerError as error:
        lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        return dict.fromkeys(names, lines[-1] if lines else f"exit code {error.exit_status}")
    finally:
        client.close()
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def compare(experiments: Sequence[Experiment], home: Path, upstream: Path) -> list[tuple[Experiment, Any]]:
    """Run what can be run; return each experiment with its number, or with a text that says why there is none."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch)
        files.chmod(0o755)
        ready: dict[str, list[Experiment]] = {}
        for experiment in experiments:
            if experiment.needs is not None:
                repository, file = experiment.needs
                clone = find(upstream, repository)
                if clone is None:
                    results[experiment.name] = f"skipped: no clone with {repository.name} at {repository.commit[:12]}"
                    continue
                take(clone, repository, file, files)
            ready.setdefault(experiment.image or experiment.model, []).append(experiment)
        for name, together in ready.items():
            try:
                tag, why = image_of(name, home), f"skipped: no image; `bench build --plugin {name}`"
            except BenchError as error:
                tag, why = "", f"skipped: {error.message}"
            # One process each: plugins have modules of the same names.
            for experiment in together:
                results |= run([experiment], tag, files) if tag else {experiment.name: why}
    return [(experiment, results[experiment.name]) for experiment in experiments]


def passed(experiment: Experiment, result: Any) -> bool:
    """Return whether a number is within its bound."""
    return not isinstance(result, str) and result <= experiment.most


def main() -> int:
    """Run, print and keep; exit with 1 when one differs by more than its bound or failed, 3 when none could be run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("BENCH_HOME", ROOT / ".bench")))
    parser.add_argument("--upstream", type=Path, help="folder of clones")
    parser.add_argument("--only", action="append", choices=[one.name for one in EXPERIMENTS], help="may be repeated")
    parser.add_argument("--record", action="store_true", help="keep the numbers in docs/fidelity.json")
    options = parser.parse_args()
    upstream = options.upstream or Path(os.environ.get("FIDELITY_UPSTREAM") or options.home / "upstream")
    chosen = [one for one in EXPERIMENTS if not options.only or one.name in options.only]
    found = compare(chosen, options.home, upstream)
    width = max(len(experiment.name) for experiment, _ in found)
    for experiment, result in found:
        number = result if isinstance(result, str) else f"{result:g} {experiment.unit} (at most {experiment.most:g})"
        sys.stdout.write(f"{experiment.name.ljust(width)}  {number}{'' if passed(experiment, result) else '  !'}\n")
    ran = [(experiment, result) for experiment, result in found if not str(result).startswith("skipped:")]
    if options.record:
        keep([(experiment, result) for experiment, result in ran if passed(experiment, result)])
    if not ran:
        return 3
    return int(not all(passed(experiment, result) for experiment, result in ran))


def keep(found: Sequence[tuple[Experiment, Any]]) -> None:
    """Write numbers into the record; what was not compared now stays as it was."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    for experiment, result in found:
        record[experiment.name] = {
            "model": experiment.model,
            "what": experiment.what,
            "unit": experiment.unit,
            "most": experiment.most,
            "result": result,
            "version": discover().get(experiment.model).model.version,
            "date": datetime.now(UTC).date().isoformat(),
        }
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
