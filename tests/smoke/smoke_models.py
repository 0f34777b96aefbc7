"""Every model of the paper on two real CTs: its image, the sealed container, random weights, a mask for every finding.

Drives the command line as a user would; in each image it also looks whether the answer depends on how a CT is stored
(``turned.py``). A model whose upstream sources are not in the home is skipped with the command
that brings them. Prints a table; with ``--record`` keeps what was seen in ``docs/verified.json``, from which
``docs/models.md`` is made.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from harness.errors import BenchError
from harness.models import Model, Variant
from harness.registry import discover
from harness.sources import SourceStore

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "verified.json"
SPLIT, CASES = "val", 2
SAME = 0.98  # Dice: adapters that resample may differ at borders


@dataclass(frozen=True)
class Row:
    """What came of one model."""

    model: Model
    variant: Variant
    outcome: str  #: "ok", or "skipped" or "FAILED" and why
    built_s: float | None = None
    document: dict[str, Any] | None = None  #: what ``bench run --json`` printed
    voxels: str = ""  #: of every mask
    turned: str = ""  #: Dice between the answers to one volume stored in two ways


def _bench(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "--home", str(home), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _smoke(model: Model, home: Path, data: Path, device: str) -> Row:
    """Build and run one model; whatever goes wrong is its row."""
    variant = next((v for v in model.variants if not v.fine_tuned), model.variants[0])
    store = SourceStore(home / "sources")
    for source in model.sources:
        try:
            store.check(source)
        except BenchError as error:
            bring = (
                f"`bench sources fetch --plugin {model.name}`, or `bench sources add --from` a clone of {source.git}"
            )
            return Row(model, variant, f"skipped: {error.message}; {bring}")
    began = time.monotonic()
    built = _bench(home, "build", "--plugin", model.name, "--device", device, "--json")
    built_s = time.monotonic() - began
    if built.returncode:
        return Row(model, variant, f"FAILED: {_last(built.stderr)}", built_s)
    same, turned = _turned(model, variant, json.loads(built.stdout)["images"][0]["tag"])
    if not same:
        return Row(model, variant, f"FAILED: the answer depends on how the CT is stored: {turned}", built_s)
    ran = _bench(
        home, "run", "--plugin", model.name, "--variant", variant.name, "--dataset", data, "--split", SPLIT,
        "--limit", CASES, "--weights", "random", "--engine", "docker", "--fresh", "--json",
    )  # fmt: skip
    if ran.returncode:
        return Row(model, variant, f"FAILED: {_last(ran.stderr)}", built_s)
    document = json.loads(ran.stdout)
    missed = {status: n for status, n in document["coverage"].items() if status != "ok" and n}
    outcome = f"FAILED: {missed}" if missed else "ok"
    masks = sorted((home / "runs" / document["run"] / "masks").glob("*/*.nii.gz"))
    voxels = [int(np.count_nonzero(np.asarray(nib.load(mask).dataobj))) for mask in masks]  # type: ignore[attr-defined]
    return Row(model, variant, outcome, built_s, document, ", ".join(f"{n:,}" for n in voxels), turned)


def _turned(model: Model, variant: Variant, tag: str) -> tuple[bool, str]:
    """Run ``turned.py`` in an image; return whether the answers are the same, and their Dice and size."""
    import docker
    import docker.errors

    client = docker.from_env(timeout=3600)
    entry = client.images.get(tag).attrs["Config"]["Entrypoint"][-1]
    params = {**variant.params, **variant.reduced}
    asked = {"adapter": entry, "variant": variant.name, "prompt": variant.prompt.value, "params": params}
    script = Path(__file__).with_name("turned.py")
    try:
        said = client.containers.run(
            tag,
            ["/turned.py", json.dumps(asked)],
            entrypoint="python",
            volumes={str(script): {"bind": "/turned.py", "mode": "ro"}},
            environment={"OMP_NUM_THREADS": "1", "HOME": "/tmp"},  # noqa: S108 - the container's
            network_mode="none",
            read_only=True,
            tmpfs={"/tmp": "size=1g"},  # noqa: S108 - idem
            mem_limit=f"{model.resources.memory_mb}m",
            user="10001:10001",
            remove=True,
        )
    except docker.errors.ContainerError as error:
        return False, _last((error.stderr or b"").decode("utf-8", "replace"))
    finally:
        client.close()
    found = json.loads(said.splitlines()[-1])
    if "failed" in found:
        return False, "; ".join(found["failed"])
    same = found["dice"] > SAME and found["slice"] == [45, 38, 1]
    return same, f"{found['dice']:.3f} ({found['voxels']:,})"


def _last(text: str) -> str:
    """Return the error among what a command said."""
    lines = [line for line in text.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(lines) if line.startswith("error:")), max(len(lines) - 3, 0))
    return " ".join(lines[start:])[:500]


def _cells(row: Row) -> list[str]:
    def number(value: float | None, form: str, scale: float = 1) -> str:
        return "" if value is None else format(value / scale, form)

    document = row.document or {}
    timing = document.get("timing", {})
    n, ok = document.get("n_findings"), document.get("coverage", {}).get("ok")
    return [
        row.model.name,
        row.variant.name,
        number(row.built_s, ".0f"),
        number(timing.get("image_bytes"), ".1f", 1e9),
        number(timing.get("model_load_s"), ".0f"),
        number(timing.get("case_median_s"), ".0f"),
        number(timing.get("peak_container_bytes"), ".2f", 1e9),
        f"{ok}/{n}" if n else "",
        row.voxels,
        row.turned,
        row.outcome,
    ]


def _table(rows: list[Row]) -> str:
    head = [
        "model",
        "variant",
        "build s",
        "image GB",
        "load s",
        "s/case",
        "peak GB",
        "ok",
        "mask voxels",
        "turned",
        "outcome",
    ]
    lines = [head, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    shown = []
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        shown.append("  ".join([*padded, line[-1]]).rstrip())
    return "\n".join(shown) + "\n"


def _keep(rows: list[Row], device: str) -> None:
    """Write what was seen into the record; what was not tried now stays as it was."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    today = datetime.now(UTC).date().isoformat()
    for row in rows:
        if row.document is None or row.outcome != "ok":
            continue
        seen, timing = {"date": today, "version": row.model.version}, row.document["timing"]
        kept = record.setdefault(row.model.name, {})
        kept["built"] = seen | {"device": device, "image_bytes": timing["image_bytes"]}
        kept["random_cpu"] = seen | {
            "variant": row.variant.name,
            "cases": row.document["n_cases"],
            "findings": row.document["n_findings"],
            "ok": row.document["coverage"]["ok"],
            "load_s": timing["model_load_s"],
            "case_s": timing["case_median_s"],
            "peak_bytes": timing["peak_container_bytes"],
        }
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main() -> int:
    """Run, print, and keep; exit with 1 when a model failed, 2 when none is of that name, 3 when there are no CTs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plugin", action="append", help="only this one; may be repeated")
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("BENCH_HOME", ROOT / ".bench")))
    default = Path(os.environ.get("GROUNDBENCH_REAL_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default / "realct", help="a data set with real CTs")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="which build of torch")
    parser.add_argument("--record", action="store_true", help="keep what was seen in docs/verified.json")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.stderr.write(f"no real CTs at {options.data}; set GROUNDBENCH_REAL_DATA\n")
        return 3
    registry = discover()
    try:
        asked = [registry.get(name).model for name in options.plugin or registry.plugins]
    except BenchError as error:
        sys.stderr.write(f"{error.message}; {error.fix}\n")
        return error.exit_code
    chosen = [model for model in asked if model.sources or model.weights]
    if not chosen:
        sys.stderr.write("nothing to do: what was asked for has neither upstream code nor weights\n")
        return 2
    rows = []
    for model in chosen:
        sys.stderr.write(f"{model.name} ...\n")
        rows.append(_smoke(model, options.home, options.data, options.device))
    sys.stdout.write(_table(rows))
    if options.record:
        _keep(rows, options.device)
    return int(any(row.outcome.startswith("FAILED") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
