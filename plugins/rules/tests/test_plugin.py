"""The plugin as the harness and the container see it."""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from harness.registry.discovery import Registry
from plugins import rules
from plugins.rules.grounding import segment

ROOT = Path(rules.__file__).parent
TEXTS = ["20 mm nodule in the right lung", "No pleural effusion", "Emphysema"]


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_it_is_found_as_a_text_prompted_model_that_sees_no_truth() -> None:
    """Listed by the registry under its name; one zero-shot variant; no grant of the ground truth."""
    registry = Registry()
    registry.add("rules", "here", rules)
    plugin = registry.get("rules")
    assert plugin.model.root == ROOT
    assert [variant.name for variant in plugin.model.variants] == ["zero-shot"]
    assert not plugin.model.variants[0].fine_tuned
    assert not plugin.granted_truth
    assert plugin.model.resources.gpus == 0


def test_the_image_needs_numpy_scipy_and_nibabel_only() -> None:
    """The code in the image imports the standard library, the three and the SDK, never the harness."""
    allowed = {*sys.stdlib_module_names, "numpy", "scipy", "nibabel", "groundbench_sdk", "grounding"}
    for path in [ROOT / "adapter.py", *(ROOT / "grounding").glob("*.py")]:
        assert _imports(path) <= allowed, path.name


def test_the_lock_pins_what_is_required_by_hash_and_names_no_host() -> None:
    """Every requirement is in the lock with hashes; no index and no address."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for name in (ROOT / "requirements.in").read_text(encoding="utf-8").split():
        assert re.search(rf"^{name}==[\w.]+ \\\n    --hash=sha256:", lock, re.MULTILINE)
    assert not re.search(r"https?:|--index-url|--find-links", lock)


def test_the_dockerfile_copies_what_the_adapter_imports() -> None:
    """The adapter and its package; the SDK is in the image that it continues."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for copied in ("*.py", "grounding/", "requirements.lock"):
        assert re.search(rf"^COPY {re.escape(copied)} ", dockerfile, re.MULTILINE)


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import the adapter as the container does: the SDK and the plugin's folder on the path."""
    monkeypatch.syspath_prepend(str(ROOT.parents[1] / "containers" / "sdk"))
    monkeypatch.syspath_prepend(str(ROOT))
    before = set(sys.modules)
    yield importlib.import_module("adapter")
    for name in set(sys.modules) - before:
        if name == "adapter" or name.split(".")[0] in ("grounding", "groundbench_sdk"):
            del sys.modules[name]


@pytest.mark.costly
def test_a_job_folder_gives_a_mask_for_every_finding(adapter: ModuleType, small: Any, tmp_path: Path) -> None:
    """Through the SDK's own loop: the files hold what the rules return, on the CT's grid and affine."""
    small.fill(small.ellipsoid((80, 10, 20), (10, 10, 10)), 40.0)
    volume = np.rint(small.hu).astype(np.int16)
    (tmp_path / "ct").mkdir()
    (tmp_path / "out").mkdir()
    nib.save(nib.Nifti1Image(volume, small.affine), tmp_path / "ct" / "a.nii.gz")  # type: ignore[no-untyped-call]
    job = {"contract": 1, "verb": "predict", "model": "rules", "variant": "zero-shot", "seed": 0, "devices": ["cpu"]}
    (tmp_path / "job.json").write_text(json.dumps({**job, "threads": 1, "params": {}}))
    findings = [{"id": str(9 - i), "text": text} for i, text in enumerate(TEXTS)]
    case = {"id": "a", "ct": "ct/a.nii.gz", "shape": volume.shape, "spacing": [4.0, 4.0, 5.0], "findings": findings}
    (tmp_path / "cases.jsonl").write_text(json.dumps(case) + "\n")

    sdk = importlib.import_module("groundbench_sdk")
    assert sdk.main(adapter.Rules, tmp_path) == 0

    for finding, expected in zip(findings, segment(volume, small.affine, TEXTS), strict=True):
        image: Any = nib.load(tmp_path / "out" / "a" / f"{finding['id']}.nii.gz")
        assert np.array_equal(np.asarray(image.dataobj), expected)
        assert np.allclose(image.affine, small.affine)
