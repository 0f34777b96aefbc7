"""Which runs may stand in a ranking, and why the others may not."""

from __future__ import annotations

from collections.abc import Sequence

from harness.rows import RunRow
from harness.store.database import Store

#: Begins the reason of a run that a newer one of the same model and variant on the same data took the place of.
REPLACED = "replaced by the newer run"


def reasons_apart(store: Store, runs: Sequence[RunRow]) -> dict[str, list[str]]:
    """Return, for every run, why it stands in no ranking; an empty list for one that does.

    Parameters
    ----------
    store
        The results database.
    runs
        All of its runs, oldest first.
    """
    replaced_by = _replacements(runs)
    return {run.id: _reasons(store, run, replaced_by.get(run.id)) for run in runs}


def _replacements(runs: Sequence[RunRow]) -> dict[str, str]:
    """Map each finished, rankable run to the newest one of the same model, variant and data, where that is newer."""
    keys = {
        run.id: (run.kind, run.plugin, run.variant, run.fingerprint, run.split)
        for run in runs
        if run.rankable and run.state == "done"
    }
    newest = {key: run_id for run_id, key in keys.items()}
    return {run_id: newest[key] for run_id, key in keys.items() if newest[key] != run_id}


def _reasons(store: Store, run: RunRow, replaced_by: str | None) -> list[str]:
    reasons = list(run.unrankable)
    if not run.rankable and not reasons:
        reasons.append("not rankable; the reason was not recorded")
    if run.state != "done":
        scored = sum(case.scored for case in store.cases(run.id))
        reasons.append(f"{run.state}: {scored} of {run.n_cases} cases scored")
    if replaced_by:
        reasons.append(f"{REPLACED} {replaced_by}")
    return reasons
