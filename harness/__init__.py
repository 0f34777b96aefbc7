"""groundbench measures how well models find, in a 3D chest CT, what a radiology report says in free text.

This module holds what a plugin author imports, and nothing heavy::

    from harness import Model, Variant, hookimpl
"""

from harness.registry.declaration import Model, Param, Prompt, Resources, Source, Variant, Weights
from harness.registry.hookspecs import hookimpl

__all__ = ["Model", "Param", "Prompt", "Resources", "Source", "Variant", "Weights", "hookimpl"]
