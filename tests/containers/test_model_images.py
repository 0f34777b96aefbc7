"""What every plugin built on torch promises: one shared torch layer, pinned requirements, documented choices."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.registry.discovery import Plugin, discover
from harness.registry.pinned import Weights

ROOT = Path(__file__).resolve().parents[2]
TORCH_LAYER = """ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

COPY torch/ /opt/torch/
RUN python -m pip install --no-cache-dir --require-hashes -r /opt/torch/torch.lock
"""
PLUGINS = [
    plugin
    for plugin in discover().plugins.values()
    if plugin.model.root.is_relative_to(ROOT) and "COPY torch/" in (plugin.model.root / "Dockerfile").read_text()
]


def _pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.fixture(params=PLUGINS, ids=lambda plugin: plugin.name)
def plugin(request: pytest.FixtureRequest) -> Plugin:
    found: Plugin = request.param
    return found


def test_the_torch_layer_is_the_same_for_all(plugin: Plugin) -> None:
    """The first lines of all Dockerfiles are equal, so that images share 6 GB."""
    dockerfile = (plugin.model.root / "Dockerfile").read_text(encoding="utf-8")
    assert dockerfile.startswith(TORCH_LAYER)
    assert dockerfile.count("torch.lock") == 1


def test_the_locks_agree(plugin: Plugin) -> None:
    """What a plugin pins beside the torch layer, it pins to the same version; so installing changes nothing in it."""
    torch = _pins(ROOT / "containers" / "base" / "torch.lock")
    own = _pins(plugin.model.root / "requirements.lock")
    assert own
    assert {name: own[name] for name in own.keys() & torch.keys()} == {
        name: torch[name] for name in own.keys() & torch.keys()
    }


def test_every_requirement_is_pinned_by_hash_and_no_host_is_named(plugin: Plugin) -> None:
    """Each pin is followed by its hashes; no index and no address."""
    lock = (plugin.model.root / "requirements.lock").read_text(encoding="utf-8")
    for name, version in _pins(plugin.model.root / "requirements.lock").items():
        assert re.search(rf"^{re.escape(name)}=={re.escape(version)} \\\n    --hash=sha256:", lock, re.MULTILINE)
    assert not re.search(r"https?:|--index-url|--find-links", lock)
    for line in (plugin.model.root / "requirements.in").read_text(encoding="utf-8").split():
        assert re.split(r"[=<>]", line)[0].lower() in _pins(plugin.model.root / "requirements.lock")


def test_two_models_declare_the_same_file_alike() -> None:
    """What several plugins load from one place, they pin alike: else one of them refuses the other's copy."""
    declared: dict[tuple[str, str], Weights] = {}
    for plugin in discover().plugins.values():
        for weights in plugin.model.weights:
            assert declared.setdefault((weights.repo, weights.file), weights) == weights


def test_every_source_is_copied_and_every_choice_is_documented(plugin: Plugin) -> None:
    """The image is made from what is declared; the README names each parameter and each source's commit."""
    root = plugin.model.root
    dockerfile = (root / "Dockerfile").read_text(encoding="utf-8")
    readme = (root / "README.md").read_text(encoding="utf-8")
    for source in plugin.model.sources:
        assert f"COPY sources/{source.name}/" in dockerfile
        assert source.commit in readme
    for variant in plugin.model.variants:
        named = {name for name in variant.params if f"`{name}`" in readme}
        linked = re.findall(r"\]\((\.\./\w+/README\.md)\)", readme)
        for page in linked:  # parameters may be those of a sister
            text = (root / page).read_text(encoding="utf-8")
            named |= {name for name in variant.params if f"`{name}`" in text}
        assert named == set(variant.params)
    assert "USER 10001:10001" in dockerfile
