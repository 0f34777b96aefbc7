"""Which runs may stand in a ranking, and why the others may not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.registry.declaration import Prompt
from harness.rows import RunRow
from harness.status import RowLevel
from harness.store.database import Store

#: The ranking that a row belongs to: its level, None for the headline that several levels share; and its prompt,
#: ``"text"``, ``"box"`` or empty where nobody has said.
Standing = tuple[RowLevel | None, str]

#: Begins the reason of a run that a newer one of the same model and variant on the same data took the place of.
REPLACED = "replaced by the newer run"


def standing_of(level: RowLevel, prompt: str) -> Standing:
    """Return the ranking that a row of a level and a prompt belongs to; free and structured text share one."""
    prompts = {Prompt.TEXT: "text", Prompt.STRUCTURED_TEXT: "text", Prompt.BOX: "box"}
    return None if level.headline else level, prompts.get(prompt, "")  # type: ignore[call-overload] # its value


def stands(reasons: Iterable[str]) -> bool:
    """Return whether no newer run took the place of one, by the reasons why it is not ranked."""
    return not any(reason.startswith(REPLACED) for reason in reasons)


def reasons_apart(
    store: Store, runs: Sequence[RunRow], contradictions: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """Return, for every run, why it stands in no ranking; an empty list for one that does.

    Parameters
    ----------
    store
        The results database.
    runs
        All of its runs, oldest first.
    contradictions
        Run -> what speaks against what is stated of it, as of :class:`harness.runs.likeness.Likeness`.
    """
    replaced_by, against = _replacements(runs), contradictions or {}
    return {
        run.id: [*_reasons(store, run, replaced_by.get(run.id)), *filter(None, [against.get(run.id)])] for run in runs
    }


def _replacements(runs: Sequence[RunRow]) -> dict[str, str]:
    """Map each finished, rankable run to the newest one of the same model, people, variant and data, if newer."""
    keys = {
        run.id: (run.made_by, run.level, run.variant, run.fingerprint, run.split)
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
