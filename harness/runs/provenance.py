"""The row of a run at its beginning: model, data, machine, and the rest of the record beside its identity."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from harness.dataset.editions import edition_of
from harness.images.build import Image
from harness.images.context import content_of
from harness.registry.declaration import Model
from harness.rows import RunRow
from harness.runs.checkpoint import Checkpoint
from harness.runs.hardware import describe_harness
from harness.runs.plan import Plan
from harness.runs.training.derived import NOT_RECORDED
from harness.sandbox import CONTRACT_VERSION
from harness.scoring import SCORER_VERSION
from harness.status import of_parts
from harness.store.database import Store


def open_row(plan: Plan, store: Store) -> RunRow:
    """Return the row of a plan: the existing one, or a new one, which is saved when its cases begin.

    Parameters
    ----------
    plan
        The plan; where its request is for a fresh run, the earlier row is left unchanged.
    store
        The open results database.
    """
    request = plan.request
    earlier = store.latest(plan.key)
    if earlier is not None and not request.fresh:
        return earlier
    attempt = earlier.attempt + 1 if earlier is not None else 1
    model, variant = request.plugin.model, request.variant
    return RunRow(
        id=plan.run_id(attempt),
        plan_key=plan.key,
        attempt=attempt,
        kind="measured",
        plugin=model.name,
        title=model.title,
        plugin_version=model.version,
        variant=variant.name,
        prompt=variant.prompt,
        fine_tuned=variant.fine_tuned,
        profile=request.profile,
        dataset=request.dataset.name,
        fingerprint=plan.fingerprint,
        split=request.split,
        engine=plan.engine,
        image_id=plan.image.id,
        rankable=not plan.unrankable,
        unrankable=plan.unrankable,
        state="running",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        n_cases=len(plan.cases),
        n_findings=sum(len(case.findings) for case in plan.cases),
        plan=plan.identity,
    )


#: How the reason begins that is no property of the plan, and goes when the cases have been done.
_UNFAIR = "cases that failed for a reason that is not the model's (infra_error):"


def continued(row: RunRow, plan: Plan, *, begun: bool) -> RunRow:
    """Return a row some of whose cases run now, with what this engine and host take from its standing.

    Parameters
    ----------
    row, plan
        The row, and the plan as it is on this host.
    begun
        Whether other cases of it have been run before.
    """
    if not begun:
        return replace(row, engine=plan.engine, rankable=not plan.unrankable, unrankable=plan.unrankable)
    return _with(row, [*plan.less_than_sealed, *_several({row.engine, plan.engine})])


def as_carried_out(row: RunRow, engines: Sequence[Mapping[str, Any]], *, unfair: int = 0) -> RunRow:
    """Return a row with what the hosts that ran its cases take from its standing.

    Parameters
    ----------
    row
        The row.
    engines
        What the engine of each of its shards said of itself, and what it could not do there.
    unfair
        Number of cases that have no answer for a reason that is not the model's; they count 0 until they have one.
    """
    lacking = [
        f"less than sealed: the {one['engine']} engine {lack}" for one in engines for lack in one.get("lacks", ())
    ]
    facts = [reason for reason in row.unrankable if not reason.startswith(_UNFAIR)]
    if facts != row.unrankable:  # of a command before this one, which may have tried them again
        row = replace(row, rankable=not facts, unrankable=facts)
    failed = [f"{_UNFAIR} {unfair}; the same command tries again"] if unfair else []
    return _with(row, [*lacking, *_several({str(one["engine"]) for one in engines}), *failed])


def _several(engines: Collection[str]) -> list[str]:
    return [f"several engines: {', '.join(sorted(engines))}"] if len(engines) > 1 else []


def _with(row: RunRow, reasons: Iterable[str]) -> RunRow:
    all_of_them = list(dict.fromkeys([*row.unrankable, *reasons]))
    return replace(row, rankable=row.rankable and not all_of_them, unrankable=all_of_them)


def provenance(plan: Plan, engine: Mapping[str, Any], hardware: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a run in addition to its identity.

    Parameters
    ----------
    plan, engine, hardware
        The plan, and the machine's engine and hardware as they describe themselves.
    """
    request = plan.request
    return {
        "contract": CONTRACT_VERSION,
        "scorer": SCORER_VERSION,
        "seed": request.seed,
        "limits": request.plugin.model.resources.limits(),
        "origins": request.origins,
        "exposure": {"of": request.variant.exposure.value, "origin": request.variant.exposure.origin},
        "sees": {"of": request.plugin.model.sees.value, "origin": request.plugin.model.sees.origin},
        "origin": request.plugin.origin,
        "content": content_of(request.plugin),
        "model": _origin(request.plugin.model),
        "licences": _licences(plan),
        "weights": plan.weights.record,
        "image": _image(plan.image),
        "engine": dict(engine),
        "tried_out": True,
        "hardware": dict(hardware),
        "harness": describe_harness(),
        "dataset": {
            "name": request.dataset.name,
            "edition": edition_of(request.dataset, request.split),
            "licence": request.dataset.licence,
            "terms": request.dataset.terms.model_dump(mode="json", exclude_defaults=True),
            "fingerprint": plan.fingerprint,
            "path": str(request.dataset.index.resolve()),
        },
        **({} if plan.checkpoint is None else {"training": _training(plan.checkpoint)}),
    }


def _licences(plan: Plan) -> dict[str, Any]:
    """Return the licences of what a run uses; what was trained here is also bound by the terms of its data."""
    request = plan.request
    found = request.plugin.model.licences(plan.weights.licensed(request.plugin, request.variant))
    if plan.checkpoint is not None:
        found["commercial"] = of_parts([found["commercial"], request.dataset.terms.commercial])
    return found


def _training(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the part of a run's record about the training before it."""
    about = {name: checkpoint.record.get(name) for name in ("seconds", "val_dice", "gpus", "finished", "hardware")}
    prompts = {name: value for name, value in checkpoint.record.items() if name == "prompts"}  # those made of boxes
    rights = {
        "derived_from": checkpoint.record.get("derived_from", []),
        "share": checkpoint.record.get("share", NOT_RECORDED),
    }
    return {"key": checkpoint.key, "sha256": checkpoint.sha256, **about, **rights, **prompts}


def _origin(model: Model) -> dict[str, Any]:
    """Say where a model comes from; its code may come from a copy of what its homepage shows."""
    code = sorted({f"{source.git}@{source.commit}" for source in model.sources})
    return {"homepage": model.homepage, "citation": model.citation, **({"code": code} if code else {})}


def _image(image: Image) -> dict[str, Any]:
    """Describe an image; `base` and `system` are there where the image says what it was built on."""
    built_on = {name: value for name, value in (("base", image.base), ("system", image.system)) if value}
    return {"id": image.id, "tag": image.tag, "bytes": image.size, "torch": image.device, **built_on}
