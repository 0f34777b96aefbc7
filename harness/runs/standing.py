"""Whether a run may stand in a ranking, judged when it is shown: by what was run, and by what is declared today.

What a run was made of is a fact: its plan and its record. Whether these are the parameters and the weights that the
plugin declares is a judgement, and the declaration may change after the run: a digest is pinned, a value becomes the
declared one, or is one no more. So it is made again whenever a row is opened, listed or published.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from harness.registry.declaration import Variant
from harness.registry.discovery import Plugin, Registry
from harness.registry.pinned import Weights
from harness.rows import CaseRow, RunRow
from harness.runs.claims import NOT_ISOLATED, claimed, exposure_of
from harness.runs.params import decisive
from harness.runs.run_weights import NOT_PINNED, not_pinned
from harness.status import UNKNOWN, Status
from harness.upstream.weights import Received

#: How reasons begin that depend on the declaration.
_DECLARED = (NOT_PINNED, "weights pinned otherwise", "changed parameters")

#: Limits that may have decided how a case ended: with more of one of them it might have ended well.
_DECISIVE: Mapping[str, Collection[str]] = {
    Status.TIMEOUT: ("start_timeout_s", "case_timeout_s", "cpus"),
    Status.OOM: ("memory_mb",),
    Status.PLUGIN_ERROR: ("out_mb", "memory_mb", "shm_mb", "tmp_mb", "pids", "exec_tmp"),
}


def judged(runs: Iterable[RunRow], registry: Registry, made: Mapping[str, str] | None = None) -> list[RunRow]:
    """Return rows with today's judgement; those of a plugin that is not here keep the one that they have.

    Parameters
    ----------
    runs, registry
        The rows, and the plugins.
    made
        The files that trainings made here, as :func:`harness.runs.claims.trained_here`.
    """
    return [claimed(judge(run, registry.plugins.get(run.plugin)), made or {}) for run in runs]


def judge(run: RunRow, plugin: Plugin | None) -> RunRow:
    """Return a row as judged by what `plugin` declares today.

    Parameters
    ----------
    run
        The row. Facts among its reasons (a part of the split, random weights, no isolation) stay.
    plugin
        The model as it is declared now; None where it is not here. Of another version of it nothing is declared.
    """
    plan = run.plan
    foreign = run.kind != "measured" or not run.level.headline  # a name that is installed here says nothing of it
    if plugin is None or foreign or plan.get("plugin_version") != plugin.model.version:
        return run
    variant = next((one for one in plugin.model.variants if one.name == run.variant), None)
    if variant is None or "params" not in plan:
        return run
    facts = [reason for reason in run.unrankable if not reason.startswith(_DECLARED)]
    last = next((number for number, reason in enumerate(facts) if reason.startswith(NOT_ISOLATED)), len(facts))
    reasons = [
        *facts[:last],
        *_weights(plan, plugin, run.record.get("weights") or []),
        *_params(plan["params"], variant),
        *facts[last:],
    ]
    unexplained = not run.rankable and not run.unrankable  # an older row, whose reason was not recorded
    record = run.record
    if exposure_of(run.record) == UNKNOWN != variant.exposure.value:  # stated since, of the same weights
        record = {**record, "exposure": {"of": variant.exposure.value, "origin": variant.exposure.origin}}
    return replace(run, unrankable=reasons, rankable=not reasons and not unexplained, record=record)


def redone(case: CaseRow, before: Mapping[str, Any], today: Mapping[str, Any]) -> bool:
    """Return whether a case failed under a smaller limit than today's that may have decided it.

    Parameters
    ----------
    case
        How it ended.
    before, today
        Limits as records name them; one that was not recorded is not known to have been smaller.
    """
    decisive = _DECISIVE.get(case.status, ())
    return any(name in before and name in today and before[name] < today[name] for name in decisive)


def untrusted(case: CaseRow, record: Mapping[str, Any]) -> bool:
    """Return whether a failure may be the machine's: it was recorded before machines were tried out.

    Parameters
    ----------
    case
        How it ended.
    record
        The run's record.
    """
    return "tried_out" not in record and case.status in (Status.PLUGIN_ERROR, Status.MISSING_OUTPUT)


def _weights(plan: Mapping[str, Any], plugin: Plugin, recorded: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say which of the weights that were loaded are pinned by nobody today, or are pinned with another digest."""
    loaded = plan.get("weights", {})
    if loaded.get("mode") != "pinned":
        return []
    declared = {weights.name: weights for weights in plugin.model.weights}
    files = loaded.get("files", {})
    open_ = [name for name in files if name not in declared or not declared[name].pinned]
    other = [name for name in files if name not in open_ and declared[name].sha256 != files[name]]
    stated = {str(one.get("name")): one for one in recorded if one.get("sha256") == files.get(one.get("name"))}
    open_hubs = {
        name: "" if pinned is None else pinned.hub
        for name in open_
        if (pinned := _stated(declared.get(name), stated.get(name, {}))) is None or not pinned.pinned
    }
    return [
        *not_pinned(open_hubs),
        *([f"weights pinned otherwise by the plugin: {', '.join(other)}"] if other else []),
    ]


def _stated(declared: Weights | None, recorded: Mapping[str, Any]) -> Received | None:
    """Return what a hub stated of a file, if it is the file that is declared."""
    if declared is None or (declared.repo, declared.file) != (recorded.get("repo"), recorded.get("file")):
        return None
    revision = str(recorded.get("revision", ""))
    if not revision or declared.revision not in {"", revision}:
        return None
    return Received(str(recorded["sha256"]), 0, revision, str(recorded.get("hub", "")))


def _params(used: Mapping[str, Any], variant: Variant) -> list[str]:
    """Say which parameters were not those that are declared today, the missing ones included."""
    used, declared = decisive(used), decisive(variant.params)  # a plan of earlier versions has them all
    other = [f"{name}={json.dumps(value)}" for name, value in used.items() if (name, value) not in declared.items()]
    other += [f"no {name}" for name in declared if name not in used]
    return [f"changed parameters: {', '.join(other)}"] if other else []
