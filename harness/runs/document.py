"""The one JSON document that ``run --json`` and ``score --json`` print."""

from __future__ import annotations

from typing import Any

from harness.rows import RunRow
from harness.store.database import Store

SCHEMA = 1


def run_document(store: Store, run: RunRow, profile: str) -> dict[str, Any]:
    """Return what is known of a run under one profile.

    Parameters
    ----------
    store
        The open results database.
    run
        A finished run.
    profile
        Name of the profile.

    Returns
    -------
    dict
        JSON values only; metrics in full precision, each ``{"value", "ci95", "n"}``.
    """
    return {
        "schema": SCHEMA,
        "run": run.id,
        "kind": run.kind,
        "plugin": run.plugin,
        "plugin_version": run.plugin_version,
        "variant": run.variant,
        "prompt": run.prompt,
        "profile": profile,
        "dataset": {"name": run.dataset, "fingerprint": run.fingerprint, "split": run.split},
        "engine": run.engine,
        "image": run.image_id,
        "rankable": run.rankable,
        "unrankable": run.unrankable,
        "state": run.state,
        "n_cases": run.n_cases,
        "n_findings": run.n_findings,
        "coverage": {"ok": 0, **store.coverage(run.id)},
        "metrics": store.metrics(run.id, profile),
        "timing": run.timing,
    }
