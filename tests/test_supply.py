"""What the product is made of is listed, and compared with what is known about it; where nobody looked, it says so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
CI = ROOT / ".ci"
VEX = json.loads((ROOT / "containers" / "vex.json").read_text(encoding="utf-8"))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that imports a script of the folder ``.ci`` as it runs: from its own folder."""

    def load(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(CI))
        for module in ("locks", "audit", "sbom"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        return __import__(name)

    return load


@pytest.fixture
def audit(script: Any) -> Any:
    """Return the audit with two packages of one image in its locks."""
    module = script("audit")
    pins = {module.Pin("transformers", "4.57.6"), module.Pin("ruamel-yaml", "1.0")}
    module.products = lambda: {"pkg:docker/groundbench/sat": pins}
    return module


def _record(name: str, *, versions: tuple[str, ...] = (), events: tuple[dict[str, str], ...] = (), **more: Any) -> Any:
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "versions": list(versions), "ranges": ranges}
    return {"id": "PYSEC-2099-1", "summary": "a flaw", "affected": [affected], **more}


@pytest.mark.parametrize(
    ("events", "applies"),
    [
        ([{"introduced": "0"}], True),
        ([{"introduced": "0"}, {"fixed": "4.57.6"}], False),
        ([{"introduced": "0"}, {"fixed": "4.57.10"}], True),
        ([{"introduced": "4.57.6"}, {"fixed": "5.0.0rc3"}], True),
        ([{"introduced": "5.0.0"}], False),
        ([{"introduced": "0"}, {"last_affected": "4.57.6"}], True),
        ([{"introduced": "0"}, {"last_affected": "4.57.5"}], False),
        ([{"fixed": "2"}, {"introduced": "0"}, {"introduced": "4"}], True),
        ([{"introduced": "0"}, {"fixed": "2"}, {"introduced": "4.60"}, {"fixed": "5"}], False),
    ],
)
def test_ranges_are_read_as_the_format_says(audit: Any, events: list[dict[str, str]], *, applies: bool) -> None:
    """A fix excludes its own version, a last affected one includes it; versions are compared as numbers."""
    found = list(audit.findings([_record("transformers", events=tuple(events))], {}))
    assert bool(found) is applies


def test_a_package_is_found_under_every_spelling(audit: Any) -> None:
    """Names of packages are alike in hyphens, underscores, full stops and case; other ecosystems are others."""
    assert list(audit.findings([_record("Ruamel_YAML", versions=("1.0",))], {}))
    assert not list(audit.findings([_record("ruamel.yaml.clib", versions=("1.0",))], {}))
    other = _record("ruamel.yaml", versions=("1.0",))
    other["affected"][0]["package"]["ecosystem"] = "npm"
    assert not list(audit.findings([other], {}))


def test_a_statement_counts_for_its_version_and_image_only(audit: Any) -> None:
    """Also where the record has another main name; a statement about another version says nothing."""
    record = _record("transformers", versions=("4.57.6",), aliases=["CVE-2099-1"])
    for part, expected in (("4.57.6", "not_affected"), ("4.57.5", "")):
        status = {("CVE-2099-1", "pkg:docker/groundbench/sat", f"pkg:pypi/transformers@{part}"): "not_affected"}
        ((stated, _),) = audit.findings([record], status)
        assert stated == expected


def _audit(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CI / "audit.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.costly
def test_the_audit_says_what_it_found_and_when_it_could_not_look(tmp_path: Path) -> None:
    """No snapshot: said, and no verdict. One with nothing in it: an error. A flaw without a statement: an error."""
    done = _audit()
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "not audited")
    assert VEX["timestamp"][:10] in done.stdout
    assert _audit(str(tmp_path)).returncode == 2
    stated = {**_record("transformers", events=({"introduced": "0"},)), "id": "X", "aliases": ["CVE-2026-4372"]}
    withdrawn = {**_record("numpy", events=({"introduced": "0"},)), "withdrawn": "2026-01-01T00:00:00Z"}
    snapshot = tmp_path / "all.zip"
    for records, code in (([stated, withdrawn], 0), ([stated, _record("numpy", events=({"introduced": "0"},))], 1)):
        with zipfile.ZipFile(snapshot, "w") as archive:
            for number, record in enumerate(records):
                archive.writestr(f"{number}.json", json.dumps(record))
        done = _audit(str(snapshot))
        assert done.returncode == code, done.stdout
        assert "not_affected: X CVE-2026-4372: pkg:docker/groundbench/voxtell" in done.stdout
        assert ("NOTHING IS STATED: PYSEC-2099-1: pkg:pypi/groundbench, pkg:pypi/numpy@" in done.stdout) is bool(code)


def test_every_statement_is_about_what_is_locked(script: Any) -> None:
    """A statement names an image and the version that is in its locks: after a change of version it must be renewed."""
    products = script("audit").products()
    for statement in VEX["statements"]:
        assert statement["status"] in {"not_affected", "affected", "fixed", "under_investigation"}
        assert ("justification" in statement) is (statement["status"] == "not_affected")
        for product in statement["products"]:
            assert {part["@id"] for part in product["subcomponents"]} <= {pin.purl for pin in products[product["@id"]]}


def test_statements_about_all_images_with_transformers_name_all(script: Any) -> None:
    """An image that gets the package later is not forgotten."""
    products = script("audit").products()
    have = {product for product, pins in products.items() if any(pin.name == "transformers" for pin in pins)}
    for statement in VEX["statements"]:
        if "transformers" in statement["products"][0]["subcomponents"][0]["@id"]:
            assert {product["@id"] for product in statement["products"]} == have


def test_what_the_statements_rest_on_is_so(script: Any) -> None:
    """No image has `kernels`; no adapter trains with the library's Trainer, generates text, or saves a tokenizer."""
    assert "kernels" not in {pin.name for pins in script("audit").products().values() for pin in pins}
    sources = [*ROOT.glob("plugins/*/*.py"), *ROOT.glob("containers/sdk/**/*.py")]
    assert len(sources) > 30
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"transformers import .*\bTrainer\b|\.generate\(|save_pretrained|weights_only=False", text
        ), path


@pytest.mark.costly
def test_documents_are_valid_complete_and_the_same_twice(script: Any) -> None:
    """Strict CycloneDX 1.6; one for the harness, one for each image; nothing of time or chance in them."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    sbom = script("sbom")
    documents = sbom.documents()
    plugins = {path.parent.name.replace("_", "-") for path in ROOT.glob("plugins/*/Dockerfile")}
    images = {f"image-{name}.cdx.json" for name in (*plugins, "base-slim", "base-torch")}
    assert set(documents) == {"groundbench.cdx.json", *images}
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert {name: validator.validate_str(text) for name, text in documents.items()} == dict.fromkeys(documents)
    assert documents == sbom.documents()
    for image, locks in sbom.image_locks().items():
        named = documents[f"image-{image.removeprefix('groundbench/').replace('/', '-')}.cdx.json"]
        listed = {part["purl"] for part in json.loads(named)["components"]}
        assert {pin.purl for lock in locks for pin in sbom.read(lock)} <= listed
        assert "pkg:docker/python@3.11-slim-bookworm" in listed
    harness = json.loads(documents["groundbench.cdx.json"])
    (viewer,) = (part for part in harness["components"] if part["name"] == "NiiVue")
    assert len(viewer["components"]) == 13
    (numpy,) = (part["licenses"] for part in harness["components"] if part["name"] == "numpy" and "licenses" in part)
    assert "BSD-3-Clause" in str(numpy)
    (upstream,) = (
        part for part in json.loads(documents["image-sat.cdx.json"])["components"] if part["name"] == "sat-model"
    )
    assert "licenses" not in upstream  # its authors state none
