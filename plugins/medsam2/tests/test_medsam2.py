"""The plugin as the harness sees it; what its adapter does is tested with the SDK's video adapters."""

from __future__ import annotations

from pathlib import Path

from harness import Prompt
from harness.registry.discovery import Registry
from plugins import medsam2

ROOT = Path(medsam2.__file__).parent


def test_it_is_prompted_with_boxes_alone() -> None:
    """Three releases of the weights, each its own row; no training, no grant of the truth."""
    registry = Registry()
    registry.add("medsam2", "here", medsam2)
    plugin = registry.get("medsam2")
    assert [variant.name for variant in plugin.model.variants][:3] == ["latest", "ct-lesion", "base"]
    assert all(variant.prompt is Prompt.BOX and not variant.fine_tuned for variant in plugin.model.variants)
    assert not plugin.granted_truth
    assert [variant.weights for variant in plugin.model.variants[:3]] == [(w.name,) for w in plugin.model.weights]
    assert all(variant.params["checkpoint"] == variant.weights[0] for variant in plugin.model.variants)


def test_the_committed_extension_is_deleted() -> None:
    """The compiled file in the repository belongs to another torch."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = dockerfile.index("sources/medsam2/ /opt/plugin/sam2/")
    assert dockerfile.index("RUN rm sam2/_C.so") > copied
