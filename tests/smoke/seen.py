"""What the smoke test saw of a variant: a row, the table of rows, and what is kept of them in the docs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.registry.declaration import Model, Variant

RECORD = Path(__file__).resolve().parents[2] / "docs" / "verified.json"


@dataclass
class Row:
    """What came of one variant of a model."""

    model: Model
    variant: Variant
    outcome: str = "ok"  #: or "skipped" or "FAILED" and why
    built_s: float | None = None
    document: dict[str, Any] | None = None  #: what ``bench run --json`` printed
    voxels: str = ""  #: of every mask
    turned: str = ""  #: Dice between the answers to one volume stored in two ways
    texts: str = ""  #: voxels that differ between the answers to two texts
    trained: str = ""  #: parameters that training changed, of those that it delivered; how many are frozen; repeated
    trained_s: float | None = None
    full: dict[str, Any] | None = None  #: what ``full_size.py`` printed
    published: dict[str, Any] | None = None  #: parameters, bytes, seconds and tokens of made-up published files
    checked: dict[str, Any] | None = None  #: lines of ``bench plugin check`` that passed, and why others were skipped
    masks: list[str] = field(default_factory=list)  #: SHA-256 (hex) of every mask's file


def last(text: str) -> str:
    """Return the error among what a command said."""
    lines = [line for line in text.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(lines) if line.startswith("error:")), max(len(lines) - 3, 0))
    return " ".join(lines[start:])[:500]


def _cells(row: Row) -> list[str]:
    def number(value: float | None, form: str, scale: float = 1) -> str:
        return "" if value is None else format(value / scale, form)

    document, full = row.document or {}, row.full or {}
    predicted, trained = full.get("predict", {}), full.get("train", {})
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
        row.texts,
        number(row.trained_s, ".0f"),
        row.trained,
        f"{len(row.checked['passed'])} pass, {len(row.checked['skipped'])} skip" if row.checked else "",
        number(predicted.get("case_s"), ".0f"),
        number(predicted.get("gpu_bytes"), ".1f", 1e9),
        number(trained.get("step_s"), ".2f"),
        number(trained.get("gpu_bytes"), ".1f", 1e9),
        row.outcome,
    ]


def table(rows: list[Row]) -> str:
    """Return what was seen, a line a variant; columns without a value are left out."""
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
        "texts",
        "train s",
        "trained",
        "check",
        "full s/case",
        "full GB",
        "full s/step",
        "training GB",
        "outcome",
    ]
    columns = zip(head, *map(_cells, rows), strict=True)
    lines = list(zip(*(column for column in columns if any(column[1:])), strict=True))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    shown = []
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        shown.append("  ".join([*padded, line[-1]]).rstrip())
    return "\n".join(shown) + "\n"


def keep(rows: list[Row], device: str) -> None:
    """Write what was seen into the record; what was not tried now stays as it was."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    for row in rows:
        if not row.outcome.startswith("ok"):
            continue
        kinds = record.setdefault(row.model.name, {})
        seen = {"date": datetime.now(UTC).date().isoformat(), "version": row.model.version}
        if row.document is not None:
            timing = row.document["timing"]
            kinds.setdefault("random_cpu", {})[row.variant.name] = {
                **seen,
                "device": device,
                "image_bytes": timing["image_bytes"],
                "cases": row.document["n_cases"],
                "findings": row.document["n_findings"],
                "ok": row.document["coverage"]["ok"],
                "load_s": timing["model_load_s"],
                "case_s": timing["case_median_s"],
                "peak_bytes": timing["peak_container_bytes"],
                "turned": row.turned,
                "texts": row.texts,
                "train_s": row.trained_s,
                "trained": row.trained,
            }
        if row.full is not None:
            kinds.setdefault("full_size_gpu", {})[row.variant.name] = {**seen, "where": "image", **row.full}
        if row.checked is not None:
            kinds.setdefault("checked_cpu", {})[row.variant.name] = {**seen, **row.checked}
        if row.published is not None:
            kinds.setdefault("published_cpu", {})[row.variant.name] = {**seen, **row.published}
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
