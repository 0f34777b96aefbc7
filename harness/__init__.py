"""groundbench measures how well models find, in a 3D chest CT, what a radiology report says in free text.

This module contains the names that a plugin author imports, without heavy imports::

    from harness import Model, Variant, hookimpl
"""

from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.hookspecs import hookimpl
from harness.registry.origins import Param, Params, ours, paper, theirs
from harness.registry.pinned import Hub, Source, Upstream, Weights
from harness.registry.protocol import LITERAL, LUNG, BoxRule, Window
from harness.registry.resources import Resources

__all__ = [
    "LITERAL",
    "LUNG",
    "BoxRule",
    "Hub",
    "Model",
    "Param",
    "Params",
    "Prompt",
    "Resources",
    "Source",
    "Upstream",
    "Variant",
    "Weights",
    "Window",
    "hookimpl",
    "ours",
    "paper",
    "theirs",
]
