"""The plugin as the harness sees it; what its adapter does is tested with the SDK's video adapters."""

from __future__ import annotations

from pathlib import Path

from harness import Prompt
from harness.registry.discovery import Registry
from plugins import sam2

ROOT = Path(sam2.__file__).parent


def test_it_is_prompted_with_boxes_alone() -> None:
    """Four sizes, each its own row with its own weights; no training, no grant of the truth."""
    registry = Registry()
    registry.add("sam2", "here", sam2)
    plugin = registry.get("sam2")
    assert [variant.name for variant in plugin.model.variants][:4] == ["large", "base-plus", "small", "tiny"]
    assert all(variant.prompt is Prompt.BOX and not variant.fine_tuned for variant in plugin.model.variants)
    assert not plugin.granted_truth
    for variant in plugin.model.variants[:4]:
        (name,) = variant.weights
        assert variant.params["checkpoint"] == name
        (weights,) = [weights for weights in plugin.model.weights if weights.name == name]
        assert weights.repo == f"facebook/sam2.1-hiera-{variant.name}"


def test_the_reduced_model_is_the_true_one_but_smaller() -> None:
    """Under random weights only the side of the pictures and the reach change; the configuration does not."""
    for variant in sam2.bench_models().variants:
        assert set(variant.reduced) == {"image_size", "slices_each_way"}


def test_the_package_is_the_published_one_without_its_extension() -> None:
    """Pinned by version and hash, built without an isolated environment and without CUDA code."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "sam2==1.1.0 \\\n    --hash=sha256:7e0ea252d43c10d853e3acfce0b5770ac683c30481bd6de311300e9d44f45b74" in lock
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "SAM2_BUILD_CUDA=0" in dockerfile
    assert "--no-build-isolation" in dockerfile
