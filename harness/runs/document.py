"""The one JSON document that ``run --json`` and ``score --json`` print, and its cases and findings."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from harness.rows import CaseRow, FindingRow, RunRow
from harness.runs.claims import claimed, exposure_of, trained_here
from harness.runs.seeds import box_seeds
from harness.scoring.placement import placement, placement_shares
from harness.scoring.profiles import PROFILES
from harness.scoring.summary import summarise_groups
from harness.store.database import Store

SCHEMA = 1


def run_document(store: Store, run: RunRow, profile: str) -> dict[str, Any]:
    """Return the document of a run under one profile.

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
    run = claimed(run, trained_here(store))
    seeds = box_seeds(store, run, profile)
    groups = groups_of(store, run, profile)
    return {
        **({} if seeds is None else {"box_seeds": seeds.document | {"words": seeds.words}}),
        "schema": SCHEMA,
        "run": run.id,
        "kind": run.kind,
        "level": run.level,
        "plugin": run.plugin,
        "who": run.who,
        "plugin_version": run.plugin_version,
        "variant": run.variant,
        "prompt": run.prompt,
        "exposure": exposure_of(run.record),
        "card": run.card,
        "profile": profile,
        "dataset": {
            "name": run.dataset,
            "edition": run.record.get("dataset", {}).get("edition", ""),
            "fingerprint": run.fingerprint,
            "split": run.split,
        },
        "engine": run.engine,
        "image": run.image_id,
        "data_warnings": run.record.get("data_warnings", []),
        "rankable": run.rankable,
        "unrankable": run.unrankable,
        "state": run.state,
        "n_cases": run.n_cases,
        "n_findings": run.n_findings,
        "coverage": {"ok": 0, **store.coverage(run.id)},
        "placements": placement_shares(store.findings(run.id)),
        "metrics": {
            metric: {**cells, **groups.get(metric, {})} for metric, cells in store.metrics(run.id, profile).items()
        },
        "timing": run.timing,
    }


def groups_of(store: Store, run: RunRow, profile: str) -> dict[str, dict[str, Any]]:
    """Return metric -> group -> label -> cell of the groups that are made when they are shown; none without scores."""
    if not store.metrics(run.id, profile):
        return {}
    quirks = profile == run.profile and bool(run.plan.get("organiser_quirks"))
    return summarise_groups(store.findings(run.id), replace(PROFILES[profile], organiser_quirks=quirks))


def case_document(case: CaseRow) -> dict[str, Any]:
    """Return the outcome of a case in the form of ``results show --json`` and a run's ``record.json``.

    In both, schema 1 calls the case ``case_id``.
    """
    values = asdict(case)
    return {"case_id": values.pop("case"), **values}


def finding_document(row: FindingRow) -> dict[str, Any]:
    """Return the score of a finding, as ``results show --json`` has it: schema 1 says ``case_id`` and ``ordinal``."""
    values = asdict(row)
    return {
        "case_id": values.pop("case"),
        "finding": values.pop("finding"),
        "ordinal": values.pop("index"),
        **values,
        "placement": placement(row).name,
        "verdict": row.verdict.to_json() if row.verdict else {},
        "details": row.details.to_json(),
    }
