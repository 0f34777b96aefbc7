"""The hooks that a plugin implements: one page, each hook a contract."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from harness.registry.declaration import Model

PROJECT = "groundbench"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def bench_models() -> Model | Iterable[Model]:  # type: ignore[empty-body]
    """Return the model that this plugin adds, or several.

    Called once, when the plugins are listed. It must be quick and must not import heavy packages: these
    belong in the model's image. A name that another plugin already has is refused.

    Returns
    -------
    Model or iterable of Model
        One model or several.
    """
