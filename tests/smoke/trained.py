"""Runs inside an image: compares a model before and after the training that ``bench run`` did.

Before: what the adapter draws from the seed, the same each time. After: what it is with the checkpoint that it
delivered. Training must have changed what it delivers and delivered nothing that is frozen, and `load` must take all of
it back. Prints one JSON object.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from groundbench_sdk.records import Job
from groundbench_sdk.torch_training import WEIGHTS
from torch import nn

CHECKPOINT = Path("/checkpoint")


def _loaded(asked: dict, checkpoint: Path | None) -> Any:
    """Return the adapter, loaded as the SDK does it."""
    module, _, name = asked["adapter"].partition(":")
    adapter = getattr(importlib.import_module(module), name)()
    torch.manual_seed(0)
    adapter.load(
        Job("predict", "m", asked["variant"], 0, ["cpu"], 1, asked["params"], CHECKPOINT, "random", checkpoint)
    )
    return adapter


def _modules(holder: Any, path: str = "", depth: int = 2) -> Iterator[tuple[str, nn.Module]]:
    """Yield (path, network) of everything that an adapter, or an object that it keeps, holds."""
    for name, value in sorted(getattr(holder, "__dict__", {}).items()):
        if isinstance(value, nn.Module):
            yield path + name, value
        elif depth > 1:
            yield from _modules(value, f"{path}{name}.", depth - 1)


def compare(asked: dict) -> dict:
    """Return the parameters that were delivered, which of them did not change or come back, and those that are frozen.

    What the seed draws in two ways could not be told from what training changed.
    """
    delivered = torch.load(CHECKPOINT / WEIGHTS, weights_only=True)
    before, again, after = (dict(_modules(_loaded(asked, given))) for given in (None, None, CHECKPOINT))
    path = next(path for path, module in before.items() if set(delivered) <= set(module.state_dict()))
    had, twice, has = (modules[path].state_dict() for modules in (before, again, after))
    parameters = dict(before[path].named_parameters())
    frozen = [f"{path}.{name}" for name, parameter in parameters.items() if not parameter.requires_grad]
    frozen += [f"{other}.{name}" for other in before if other != path for name, _ in before[other].named_parameters()]
    trained = [name for name in delivered if name in parameters]
    return {
        "unsteady": [f"{path}.{name}" for name in had if not torch.equal(had[name], twice[name])],
        "trained": [f"{path}.{name}" for name in trained],
        "same": [f"{path}.{name}" for name in trained if torch.equal(had[name], delivered[name])],
        "lost": [f"{path}.{name}" for name in delivered if not torch.equal(has[name], delivered[name])],
        "frozen": frozen,
        "delivered_frozen": [name for name in frozen if name[len(path) + 1 :] in delivered],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(compare(json.loads(sys.argv[1]))) + "\n")
