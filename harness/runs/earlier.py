"""Says which earlier run cannot be continued, where something changed that nobody asked for.

A run is its plan: another image, other weights or other data make another run. Often nobody meant to change them: an
image was removed and built again, its base was pulled anew, a package was installed beside the local engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.rows import RunRow
from harness.runs.plan import Plan
from harness.store.database import Store

#: Parts of a plan that a command states, or that a new version of the plugin declares: the same in a run that it meant.
_ASKED = ("plugin", "plugin_version", "variant", "params", "split", "limit", "seed")

_MAX_PACKAGES = 8


def why_begun_anew(plan: Plan, store: Store, engine: Mapping[str, Any]) -> str:
    """Return in words which earlier run this command would have continued, and what differs; empty where none.

    Parameters
    ----------
    plan
        The plan, of which no run is stored.
    store
        The open results database.
    engine
        What the engine says about itself, as it is recorded.
    """
    identity = plan.identity
    for row in reversed(store.runs()):
        before = row.plan
        mode = before.get("weights", {}).get("mode")
        same = [before.get(name) == identity[name] for name in _ASKED]
        if not all(same) or row.dataset != plan.request.dataset.name or mode != identity["weights"]["mode"]:
            continue
        differs = list(_differences(row, plan, before, identity, engine))
        if differs:
            return f"this is another run than the earlier {row.id}, which is kept: {'; '.join(differs)}"
    return ""


def _differences(
    row: RunRow, plan: Plan, before: Mapping[str, Any], identity: Mapping[str, Any], engine: Mapping[str, Any]
) -> list[str]:
    found = []
    if before.get("image") != identity["image"]:
        found.append(_image(row, plan, engine))
    words = {
        "fingerprint": "the data differ",
        "weights": "the weights differ",
        "checkpoint": "the checkpoint differs",
        "boxes": "the rule for boxes differs",
        "scorer": "it was scored by another version of the scorer",
        "contract": "it ran under another version of the contract",
        "cases": "its cases differ",
    }
    return found + [text for name, text in words.items() if before.get(name) != identity.get(name)]


def _image(row: RunRow, plan: Plan, engine: Mapping[str, Any]) -> str:
    """Say how the images differ: the name of an image is the digest of everything that it was built from."""
    if row.engine != plan.engine:
        return f"it ran on the {row.engine} engine, this one runs on {plan.engine}"
    if not plan.isolates:
        return _packages(row.record.get("engine", {}).get("packages"), engine.get("packages"))
    ids = f"{row.image_id[:19]} before, {plan.image.id[:19]} now"
    tag = row.record.get("image", {}).get("tag")
    if tag and tag == plan.image.tag:
        return f"its image was removed and built again, and a build downloads what is newest ({ids})"
    return f"the image differs: the plugin's files, its base image or the SDK changed ({ids})"


def _packages(before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> str:
    """Say which packages beside the harness changed."""
    if before is None or now is None:
        return "the plugin's files, the SDK or the packages of this Python changed"
    changed = [f"{name} {before.get(name, 'absent')} to {now.get(name, 'absent')}" for name in sorted({*before, *now})
               if before.get(name) != now.get(name)]  # fmt: skip
    if not changed:
        return "the plugin's files or the SDK changed"
    more = f" and {len(changed) - _MAX_PACKAGES} more" if len(changed) > _MAX_PACKAGES else ""
    return f"packages of this Python changed: {', '.join(changed[:_MAX_PACKAGES])}{more}"
