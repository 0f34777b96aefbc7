"""The whole way of one report: read, taken through the steps, run, measured, drawn, written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from curation.report_text import read_report
from harness.dataset import Dataset
from harness.digests import DigestCache
from harness.engines.gpus import require_gpus
from harness.registry.declaration import Variant
from harness.registry.discovery import Plugin
from harness.runs.plan import RunRequest
from harness.runs.predict import Prediction, predict, require_promptable
from harness.runs.preflight import require_files
from harness.runs.training.watcher import TrainingWatcher
from harness.sandbox.stop import Stop
from leaderboard.gallery.choice import choose_slices
from leaderboard.gallery.parts import Layer, model_layer
from leaderboard.gallery.pictures import draw_finding, draw_slices
from leaderboard.gallery.scans import read_scan
from leaderboard.grounded.folder import WORK, Folder, open_folder
from leaderboard.grounded.inputs import CASE, SPLIT, curate, data_set_of, require_ct, require_oriented
from leaderboard.grounded.masks import measure, read_voxels, write_mask
from leaderboard.grounded.result import Result, Shown, document, page
from leaderboard.pages.report_page import render_report
from leaderboard.pages.vendor import VIEWER, asset

#: Names of the results below the folder.
PAGE: Final = "index.html"
FINDINGS: Final = "findings.json"


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes
    ----------
    report, ct
        The text file of the report, and its CT.
    plugin, variant
        The model.
    out, home
        The folder of the result, and the home: images and weights.
    engine, gpus, gpu_ids, weights
        As in :class:`harness.runs.plan.RunRequest`.
    """

    report: Path
    ct: Path
    plugin: Plugin
    variant: Variant
    out: Path
    home: Path
    engine: str = "auto"
    gpus: int = 0
    gpu_ids: tuple[str, ...] = ()
    weights: str = "pinned"

    @property
    def run_folder(self) -> Path:
        """Outcomes, masks and logs of the run."""
        return self.out / WORK / "run"


def make(
    asked: Asked, method_of: Callable[[Any, str], Any], *, watcher: TrainingWatcher, stop: Stop
) -> tuple[Result, dict[str, Any]]:
    """Make page, document and masks, going on where an earlier call was stopped.

    Everything that can be refused is, before a report is sent to a language model.

    Parameters
    ----------
    asked
        What was asked for.
    method_of
        Returns what performs the steps of curation.
    watcher, stop
        As in :func:`harness.runs.run.execute`.

    Returns
    -------
    tuple
        The result, and its document.

    Raises
    ------
    BenchError
        When report, CT, model, folder or machine do not allow it; nothing of a person's is overwritten.
    Interrupted
        When `stop` was set.
    """
    require_promptable(asked.plugin, asked.variant)
    require_ct(asked.ct)
    text = read_report(asked.report, CASE)
    _require_machine(asked)
    cache = asked.home / "datasets" / ".digests"
    with stop.nothing_in_flight():
        report_sha256 = hashlib.sha256(asked.report.read_bytes()).hexdigest()
        ct_sha256 = DigestCache(cache).digest(asked.ct)
        made_for = {"report": report_sha256, "CT": ct_sha256, "model": f"{asked.plugin.name}:{asked.variant.name}"}
        folder = open_folder(asked.out, made_for)
        data = data_set_of(asked.ct, (), root=folder.work, cache=cache)
        require_oriented(data)
        traced, by = curate(text.report, folder.work / "report", method_of)
    [case] = data.split(SPLIT)
    facts: dict[str, Any] = {
        "report": {"sha256": report_sha256},
        "ct": {
            "name": asked.ct.name,
            "sha256": ct_sha256,
            "shape": list(case.shape),
            "spacing_mm": [round(size, 6) for size in case.spacing or ()],
        },
        "by": by,
    }
    files: dict[str, bytes] = {}
    shown: list[Shown] = []
    model: dict[str, Any] = {}
    notes: list[str] = []
    if traced.findings:
        data = data_set_of(asked.ct, traced.findings, root=folder.work, cache=cache)
        prediction = _run(asked, data, watcher, stop)
        with stop.nothing_in_flight():
            shown, drawn = _shown(asked, folder, prediction)
            files |= drawn
        model, notes = _model(prediction), [f"How it was run: {why}" for why in prediction.ready.plan.unrankable]
    result = Result(traced, text.others, shown, **facts, model=model, notes=notes)
    told = document(result)
    files |= {name: asset(name) for name in ("assets/site.css", "assets/app.js", *VIEWER)}
    files[FINDINGS] = json.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n"
    files[PAGE] = render_report(page(result)).encode("utf-8", "replace")
    folder.write(files)
    return result, told


def _require_machine(asked: Asked) -> None:
    """Refuse what this machine cannot run, before anything is written."""
    gpus = bool(asked.gpus or asked.gpu_ids)
    require_gpus(asked.gpus, asked.gpu_ids)
    require_files(asked.plugin, asked.variant, weights=asked.weights, engine=asked.engine, home=asked.home, gpus=gpus)
    asked.home.mkdir(parents=True, exist_ok=True)


def _run(asked: Asked, data: Dataset, watcher: TrainingWatcher, stop: Stop) -> Prediction:
    request = RunRequest(
        plugin=asked.plugin,
        variant=asked.variant,
        dataset=data,
        split=SPLIT,
        profile="mlhc2025",
        engine=asked.engine,
        gpus=asked.gpus,
        gpu_ids=asked.gpu_ids,
        weights=asked.weights,
    )
    asked.run_folder.mkdir(exist_ok=True)
    return predict(request, home=asked.home, folder=asked.run_folder, watcher=watcher, stop=stop)


def _shown(asked: Asked, folder: Folder, prediction: Prediction) -> tuple[list[Shown], dict[str, bytes]]:
    """Return the findings, and the files that are shown of them: their masks in the CT's grid, and pictures."""
    [predicted] = prediction.cases
    scan = read_scan(predicted.case)
    shown: list[Shown] = []
    files: dict[str, bytes] = {}
    layers: dict[int, Layer] = {}
    for delivered in predicted.masks:
        one = Shown(delivered)
        if delivered.path is not None:
            voxels = read_voxels(delivered.path, scan, root=asked.run_folder)
            own = folder.work / "mask.nii.gz"
            file = f"masks/{delivered.finding.id}.nii.gz"
            one = Shown(delivered, file, write_mask(own, voxels, scan))
            files[file] = own.read_bytes()
            own.unlink()
            if len(voxels):
                points = scan.turned(*voxels.T)
                one = replace(one, measured=measure(voxels, points, scan))
                layers[len(shown)] = model_layer("model", asked.plugin.model.title, points, scan)
        shown.append(one)
    depths = choose_slices([[layer] for layer in layers.values()], scan.shape[2])
    files |= draw_slices(scan, depths, "img/ct") if layers else {}
    for place, layer in layers.items():
        drawn = draw_finding(scan, [layer], depths, ct="img/ct", name=f"img/{shown[place].mask.finding.id}")
        shown[place] = replace(shown[place], picture=drawn.picture)
        files |= drawn.files
    return shown, files


def _model(prediction: Prediction) -> dict[str, Any]:
    """Describe the model and how it was run, as far as it is the same wherever it runs."""
    plan = prediction.ready.plan
    model = plan.request.plugin.model
    return {
        "plugin": model.name,
        "title": model.title,
        "version": model.version,
        "variant": plan.request.variant.name,
        "prompt": str(plan.request.variant.prompt),
        "weights": plan.request.weights if model.weights else "none",
        "engine": plan.engine,
        "image": plan.image.id,
        "run": prediction.run,
    }
