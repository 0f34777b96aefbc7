"""Every model of the paper on two real CTs: its image, the sealed container, random weights, a mask for every finding.

Drives the command line as a user would. Of a model's variants the first of each kind is tried: asked by text or by
boxes, trained or not, each way to follow a box, other weights (``--every-variant``: all of them); one that is trained
is so for a few steps by the same ``bench run``, twice, which must give the same bytes. Inside the image it is also
looked whether the answer depends on how a CT is stored and on the text, whether a text that is too long is announced
(``probe.py``), and whether training changed what it should and nothing else (``trained.py``). With ``--gpu`` the first
of these is asked on that GPU, and there each variant then predicts, and trains for a few steps, at its declared size
(``full_size.py``). With ``--stages`` only the seconds of its cases are counted, stage by stage, there or on a CPU
(``stages.py``). With ``--published`` only one thing is tried: files made up in the published layout are loaded at
the declared size (``published.py``). The first variant that is asked by text, and the first that gets boxes, also pass
all of ``bench plugin check``; with ``--check`` only that is tried. A model whose upstream sources are not in the home
is skipped with the command that brings them. Prints a table; with ``--record`` keeps what was seen in
``docs/verified.json``, from which ``docs/models.md`` is made.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from parts import PARTS, VISIBLE
from seen import Row, keep, last, table

from harness.errors import BenchError
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.discovery import discover
from harness.upstream.sources import SourceStore

ROOT = Path(__file__).resolve().parents[2]
SAME = 0.98  # Dice: adapters that resample may differ at borders
REPEAT = 5  # of each slice of the largest CT, whose slices are 5 mm thick
STEPS = 6  # of a training at full size


class Failed(Exception):  # noqa: N818 - an outcome
    """A model does not do what it must; the message says what."""


def _bench(home: Path, *arguments: object, fails: bool = False) -> dict[str, Any]:
    """Return the document of a command, one of a model that failed too where `fails` is set."""
    command = [sys.executable, "-m", "harness", "--home", str(home), *map(str, arguments), "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode and not (fails and ended.stdout):
        raise Failed(last(ended.stderr))
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def _data(source: Path, home: Path) -> Path:
    """Lay the real CTs out so that the two largest are predicted, by trained variants too: val and test exchanged."""
    folder = home / "smoke-data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in ("ct", "seg"):
        shutil.copytree(source / part, folder / part, copy_function=shutil.copyfile)
        (folder / part).chmod(0o755)
    index = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    index["val"], index["test"] = index["test"], index["val"]
    (folder / "dataset.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def _kinds(model: Model) -> list[Variant]:
    """Return the first variant of each kind: those of one kind differ in windows, boxes or recipe, not in what is run.

    Other weights are another kind: their files, and what is built for them, may differ.
    """
    kinds: dict[tuple[object, ...], Variant] = {}
    for variant in model.variants:
        followed = [variant.params.get(name) for name in ("prompt", "within")] if variant.prompt is Prompt.BOX else []
        kinds.setdefault((variant.fine_tuned, variant.prompt, variant.weights, *followed), variant)
    return list(kinds.values())


def _to_check(model: Model) -> list[Variant]:
    """Return the first variant of each prompt: what a check sees does not depend on weights or recipe."""
    return list({variant.prompt: variant for variant in reversed(model.variants)}.values())


def _smoke(
    model: Model, variants: Sequence[Variant], home: Path, device: str, check: Callable[[Row, str], None]
) -> list[Row]:
    """Build a model and try some of its variants; whatever goes wrong is in their rows."""
    rows = [Row(model, variant) for variant in variants]
    said = _missing(model, SourceStore(home / "sources"))
    built: dict[str, Any] = {}
    began = time.monotonic()
    if not said:
        try:
            built = _bench(home, "build", "--plugin", model.name, "--device", device)
        except Failed as failed:
            said = f"FAILED: {failed}"
    for row in rows:
        if said:
            row.outcome = said
            continue
        row.built_s = time.monotonic() - began if row is rows[0] else None
        try:
            check(row, built["images"][0]["tag"])
        except Failed as failed:
            row.outcome = f"FAILED: {failed}"
    return rows


def _missing(model: Model, store: SourceStore) -> str:
    """Return why a model is skipped: a source that has not been fetched, and what fetches it; empty where all are."""
    for source in model.sources:
        try:
            store.check(source)
        except BenchError as error:
            bring = f"`bench get --plugin {model.name}`, or `bench sources add --from`"
            return f"skipped: {error.message}; {bring} a clone of {source.git}"
    return ""


def _try(row: Row, tag: str, home: Path, data: Path, gpu: str | None) -> None:
    """Try one variant in its image; what is seen before something fails stays in the row."""
    _probe(row, tag, gpu)
    _run(row, home, data)
    if row.variant.fine_tuned:
        _trained(row, tag, home)
        _again(row, home, data)
    if row.variant in _to_check(row.model):
        _checked(row, tag, home)
    if gpu is not None:
        _full_size(row, tag, data, gpu)


def _checked(row: Row, _: str, home: Path) -> None:
    """Run ``bench plugin check`` on the variant: no line of it may fail."""
    began = time.monotonic()
    asked = ("plugin", "check", row.model.name, "--variant", row.variant.name, "--engine", "docker")
    lines = _bench(home, *asked, fails=True)["checks"]
    if failed := [f"{line['name']}: {line['found']}" for line in lines if line["outcome"] == "FAIL"]:
        raise Failed("; ".join(failed))
    row.checked = {
        "passed": [line["name"] for line in lines if line["outcome"] == "pass"],
        "skipped": {line["name"]: line["found"] for line in lines if line["outcome"] == "skip"},
        "seconds": time.monotonic() - began,
    }


def _published(row: Row, tag: str, home: Path, keep: Path | None = None) -> None:
    """Load made-up files in the published layout, at the declared size, in two processes at once (``published.py``)."""
    with tempfile.TemporaryDirectory() as folder:
        files, clip = Path(folder) / "files", Path(folder) / "clip"
        for path in (Path(folder), files, clip):
            path.mkdir(exist_ok=True)
            path.chmod(0o777)  # the container's user writes
        _clip(row.model, home, clip)
        mounts = {str(files): {"bind": "/files", "mode": "rw"}, str(clip): {"bind": "/clip", "mode": "ro"}}
        asked = {"model": row.model.name, "params": row.variant.params, "weights": list(row.variant.weights)}
        found = _inside(row, tag, "published.py", asked, mounts, None)
        if "failed" in found:
            raise Failed("; ".join(found["failed"]))
        if not found["same"]:
            raise Failed("what was loaded is not what was saved, or not the same in both processes")
        size = sum(found["files"].values())
        row.published = {name: found[name] for name in ("parameters", "seconds", "tokens")} | {"bytes": size}
        row.outcome = (
            f"ok: {found['parameters']:,} parameters of {size / 1e9:.1f} GB in {found['seconds']:.0f} s, twice at once"
        )
        if found["tokens"]:
            row.texts = f"{found['tokens']} tokens"
        if keep is not None:
            shutil.copytree(files, keep / row.model.name / row.variant.name, dirs_exist_ok=True)


def _clip(model: Model, home: Path, folder: Path) -> None:
    """Write CLIP's tokenizer as published, which SegVol's code contains, where a model declares it."""
    declared = {file.file: file.sha256 for file in model.weights if file.name.startswith("clip--")}
    if not declared:
        return
    (source,) = [source for source in discover().get("segvol").model.sources if source.path == "config"]
    stored = SourceStore(home / "sources").check(source) / "clip"
    merges = json.loads((stored / "tokenizer.json").read_text(encoding="utf-8"))["model"]["merges"]
    head = "#version: 0.2 - Trained by `huggingface/tokenizers`"
    (folder / "vocab.json").write_bytes((stored / "vocab.json").read_bytes())
    (folder / "merges.txt").write_text("\n".join([head, *merges]) + "\n", encoding="utf-8")
    for name, digest in declared.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise Failed(f"{name} from SegVol's code is not the declared file")


def _probe(row: Row, tag: str, gpu: str | None) -> None:
    """Run ``probe.py``: storage, texts, and texts that are too long."""
    found = _inside(row, tag, "probe.py", {"prompt": row.variant.prompt.value}, {}, gpu)
    if "failed" in found:
        raise Failed("; ".join(found["failed"]))
    row.turned = f"{found['dice']:.3f} ({found['voxels']:,})"
    if found["dice"] <= SAME or found["slice"] != [45, 38, 1]:
        raise Failed(f"the answer depends on how the CT is stored: {row.turned}")
    if "differ" in found:
        row.texts = f"{found['differ']:,}"
        if not found["differ"]:
            raise Failed("two texts give one answer")
        if not any("longer than" in text for text in found["cut"]):
            raise Failed("a text of 9,000 words is read, or cut, without a word")


def _run(row: Row, home: Path, data: Path) -> None:
    """Run the variant on the two CTs, after training it where it is trained."""
    changes = VISIBLE.get(row.model.name, {}) if row.variant.fine_tuned else {}
    row.document = _bench(
        home, "run", "--plugin", row.model.name, "--variant", row.variant.name, "--dataset", data, "--split", "test",
        "--weights", "random", "--engine", "docker", "--fresh",
        *(text for name, value in changes.items() for text in ("--param", f"{name}={value}")),
    )  # fmt: skip
    masks = sorted((home / "runs" / row.document["run"] / "masks").glob("*/*.nii.gz"))
    voxels = [int(np.count_nonzero(np.asarray(nib.load(mask).dataobj))) for mask in masks]  # type: ignore[attr-defined]
    row.voxels = ", ".join(f"{n:,}" for n in voxels)
    row.masks = [hashlib.sha256(mask.read_bytes()).hexdigest() for mask in masks]
    missed = {status: n for status, n in row.document["coverage"].items() if status != "ok" and n}
    if missed:
        raise Failed(str(missed))


def _trained(row: Row, tag: str, home: Path) -> None:
    """Run ``trained.py`` on the checkpoint that the run predicted with, and hold it against :data:`~parts.PARTS`."""
    training = _training(row, home)
    checkpoint = home / "checkpoints" / training["key"] / "checkpoint"
    found = _inside(row, tag, "trained.py", {}, {str(checkpoint): {"bind": "/checkpoint", "mode": "ro"}}, None)
    changed = len(found["trained"]) - len(found["same"])
    row.trained_s = training["seconds"]
    row.trained = f"{changed}/{len(found['trained'])}, {len(found['frozen'])} frozen"
    for wrong in ("unsteady", "lost", "delivered_frozen"):
        if found[wrong]:
            raise Failed(f"{len(found[wrong])} parameters are {wrong}: {', '.join(found[wrong][:3])}")
    moved, left = PARTS[row.model.name]
    for part in moved:
        inside = [name for name in found["trained"] if name.startswith(part + ".")]
        # A bias that a normalisation takes away again has a gradient of exactly 0, and may stay.
        still = [name for name in inside if name in found["same"] and not name.endswith(".bias")]
        if not inside or still:
            raise Failed(f"{part} is to be trained: of {len(inside)} parameters {len(still)} stay: {still[:3]}")
    for part in left:
        inside = [name for name in found["trained"] if name.startswith(part + ".")]
        if inside or not any(name.startswith(part + ".") for name in found["frozen"]):
            raise Failed(f"{part} is to be left alone: {len(inside)} parameters of it were trained")


def _training(row: Row, home: Path) -> dict[str, Any]:
    """Return what the run's record says of the training before it."""
    assert row.document is not None
    training: dict[str, Any] = _bench(home, "results", "show", row.document["run"])["record"]["training"]
    return training


def _again(row: Row, home: Path, data: Path) -> None:
    """Train and predict once more from nothing: the same bytes must come of it, checkpoint and masks."""
    first, masks = _training(row, home), row.masks
    shutil.rmtree(home / "checkpoints" / first["key"])
    _run(row, home, data)
    second = _training(row, home)
    if (second["key"], second["sha256"]) != (first["key"], first["sha256"]):
        raise Failed(f"trained twice, the checkpoints differ: {first['sha256'][:12]} and {second['sha256'][:12]}")
    if row.masks != masks:
        raise Failed("trained twice to the same checkpoint, the masks differ")
    row.trained += ", twice the same"


def _full_size(row: Row, tag: str, data: Path, gpu: str) -> None:
    """Run ``full_size.py`` on the largest CT, with as many slices as a scan of 1 mm has."""
    asked = _largest(row, data) | {"params": row.variant.params, "steps": STEPS if row.variant.fine_tuned else 0}
    row.full = _inside(row, tag, "full_size.py", asked, _mount(data), gpu)
    if "failed" in row.full["predict"]:
        raise Failed(row.full["predict"]["failed"])


def _stages(row: Row, tag: str, data: Path, gpu: str | None) -> None:
    """Run ``full_size.py --stages``, on a GPU at the declared size, else reduced; print a line a case."""
    asked = _largest(row, data) | ({"params": row.variant.params} if gpu is not None else {"repeat": 1})
    for line in _lines_inside(row, tag, "full_size.py", asked, _mount(data), gpu, "--stages"):
        case = {"model": row.model.name, "variant": row.variant.name, **json.loads(line)}
        sys.stdout.write(json.dumps(case) + "\n")
        if case["reason"]:
            raise Failed(case["reason"])


def _mount(data: Path) -> dict[str, dict[str, str]]:
    return {str(data.resolve()): {"bind": "/data", "mode": "ro"}}


def _largest(row: Row, data: Path) -> dict[str, Any]:
    ct = max((data / "ct").iterdir(), key=lambda path: path.stat().st_size).name
    return {
        "prompt": row.variant.prompt.value,
        "ct": f"/data/ct/{ct}",
        "seg": f"/data/seg/{ct}",
        "repeat": REPEAT,
        "memory_mb": row.model.resources.memory_mb,
    }


def _inside(
    row: Row,
    tag: str,
    name: str,
    asked: Mapping[str, Any],
    mounts: Mapping[str, dict[str, str]],
    gpu: str | None,
) -> dict[str, Any]:
    """Run one of the scripts beside this one in an image, sealed, with a GPU or none; return what it printed."""
    found: dict[str, Any] = json.loads(_lines_inside(row, tag, name, asked, mounts, gpu)[-1])
    return found


def _lines_inside(
    row: Row,
    tag: str,
    name: str,
    asked: Mapping[str, Any],
    mounts: Mapping[str, dict[str, str]],
    gpu: str | None,
    *flags: str,
) -> list[str]:
    import docker
    import docker.errors
    from docker.types import DeviceRequest

    resources, devices, room, requests = row.model.resources, ["cpu"], "1g", []
    if gpu is not None:
        # States of a training at full size lie in /tmp, and count as memory.
        resources, devices, room = (row.variant.fine_tuned and row.model.training) or resources, ["cuda:0"], "48g"
        requests = [DeviceRequest(device_ids=[gpu], capabilities=[["gpu", "compute", "utility"]])]
    client = docker.from_env(timeout=3600)
    config = client.images.get(tag).attrs["Config"]
    entry = [*(config["Entrypoint"] or ()), *(config["Cmd"] or ())][-1]
    described = {
        "adapter": entry,
        "variant": row.variant.name,
        "params": {**row.variant.params, **row.variant.reduced},
        "devices": devices,
        **asked,
    }
    scripts = {str(Path(__file__).with_name(part)): f"/{part}" for part in (name, *(["stages.py"] if flags else []))}
    try:
        said = client.containers.run(
            tag,
            [f"/{name}", json.dumps(described), *flags],
            entrypoint="python",
            volumes={**{script: {"bind": place, "mode": "ro"} for script, place in scripts.items()}, **mounts},
            environment={"OMP_NUM_THREADS": "1", "HOME": "/tmp"},  # noqa: S108 - the container's
            network_mode="none",
            read_only=True,
            tmpfs={"/tmp": f"size={room}"},  # noqa: S108 - in the container
            mem_limit=f"{resources.memory_mb}m",
            shm_size=f"{resources.shm_mb}m",
            device_requests=requests,
            user="10001:10001",
            remove=True,
        )
    except docker.errors.ContainerError as error:
        raise Failed(last((error.stderr or b"").decode("utf-8", "replace"))) from error
    finally:
        client.close()
    lines: list[str] = [line for line in said.decode().splitlines() if line.startswith("{")]
    return lines


def main() -> int:
    """Run, print, and keep; exit with 1 when a model failed, 2 when no model has that name, 3 without CTs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plugin", action="append", help="only this one; may be repeated")
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("BENCH_HOME", ROOT / ".bench")))
    default = Path(os.environ.get("GROUNDBENCH_REAL_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=default / "realct", help="a data set with real CTs")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="which build of torch")
    parser.add_argument("--gpu", metavar="ID", help="also at full size, on this GPU (index or UUID)")
    parser.add_argument("--stages", action="store_true", help="only where the seconds go, a JSON line a case")
    parser.add_argument("--check", action="store_true", help="only `bench plugin check`, once a prompt")
    parser.add_argument("--published", action="store_true", help="only load made-up published files, at full size")
    parser.add_argument("--keep", type=Path, help="with --published: leave the files in KEEP/<model>/<variant>")
    parser.add_argument("--every-variant", action="store_true", help="not only the first of each kind")
    parser.add_argument("--record", action="store_true", help="keep what was seen in docs/verified.json")
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.stderr.write(f"no real CTs at {options.data}; GROUNDBENCH_REAL_DATA names them (docs/real-inputs.md)\n")
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
    data, rows = _data(options.data, options.home), []
    for model in chosen:
        sys.stderr.write(f"{model.name} ...\n")
        variants = model.variants if options.every_variant else _kinds(model)
        if options.check:
            variants = _to_check(model)
        check = partial(_try, home=options.home, data=data, gpu=options.gpu)
        if options.check:
            check = partial(_checked, home=options.home)
        if options.stages:
            check = partial(_stages, data=data, gpu=options.gpu)
        if options.published:
            check = partial(_published, home=options.home, keep=options.keep)
        rows += _smoke(model, variants, options.home, options.device, check)
    sys.stdout.write(table(rows))
    if options.record:
        keep(rows, options.device)
    return int(any(row.outcome.startswith("FAILED") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
