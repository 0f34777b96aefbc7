"""What every plugin built on torch promises: one shared torch layer, pinned requirements, documented choices."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.registry.discovery import Plugin, discover
from harness.registry.pinned import Weights

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "containers" / "images"
PLUGINS = [
    plugin
    for plugin in discover().plugins.values()
    if plugin.model.root.is_relative_to(ROOT)
    and "FROM ${TORCH_IMAGE}" in (plugin.model.root / "Dockerfile").read_text()
]


def _pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.fixture(params=PLUGINS, ids=lambda plugin: plugin.name)
def plugin(request: pytest.FixtureRequest) -> Plugin:
    found: Plugin = request.param
    return found


def test_every_image_with_torch_continues_the_base_image(plugin: Plugin) -> None:
    """So that images share 6 GB; what it holds is not repeated, and what it sets is not undone."""
    lines = (plugin.model.root / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["ARG TORCH_IMAGE", "FROM ${TORCH_IMAGE}"]
    assert not [line for line in lines if re.match(r"(USER|ENTRYPOINT|ENV PYTHONPATH|COPY (sdk|torch)/)", line)]
    assert re.fullmatch(r'CMD \["adapter:\w+"\]', lines[-1])


def test_what_the_adapter_imports_is_copied(plugin: Plugin) -> None:
    """All modules of the plugin, whatever they are called: the list cannot go stale."""
    assert "COPY *.py /opt/plugin/" in (plugin.model.root / "Dockerfile").read_text(encoding="utf-8")


def test_both_base_images_are_alike() -> None:
    """One has torch, its settings and nothing else that the other has not."""
    torch, slim = (
        {line.strip(" \\") for line in (IMAGES / f"{kind}.Dockerfile").read_text(encoding="utf-8").splitlines()}
        for kind in ("torch", "slim")
    )
    assert {line for line in slim - torch if not line.startswith("#")} == set()
    assert {"USER 10001:10001", 'ENTRYPOINT ["python", "-m", "groundbench_sdk"]', "COPY sdk/ /opt/sdk/"} <= slim


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
        assert re.search(rf"^COPY (--chown=\S+ )?sources/{source.name}/ ", dockerfile, re.MULTILINE)
        assert source.commit in readme
    for variant in plugin.model.variants:
        named = {name for name in variant.params if f"`{name}`" in readme}
        linked = re.findall(r"\]\((\.\./\w+/README\.md)\)", readme)
        for page in linked:  # parameters may be those of a sister
            text = (root / page).read_text(encoding="utf-8")
            named |= {name for name in variant.params if f"`{name}`" in text}
        assert named == set(variant.params)
