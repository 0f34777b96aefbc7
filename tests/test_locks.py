"""What is installed here is named by digest, and so is what builds it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted(ROOT.glob("requirements*.lock")) + sorted(ROOT.glob("containers/base/*.lock"))


def _pins(name: str) -> set[tuple[str, str]]:
    """Return (name, version) of each line; a package has two versions where another Python needs another one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return set(re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_line_of_a_lock_is_a_version_with_digests(lock: Path) -> None:
    """No address, no range, and no version without the SHA-256 of its files."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in filter(None, text.splitlines()):
        assert re.fullmatch(r"[A-Za-z0-9_.-]+(\[[^]]*\])?==\S+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+", line), line[
            :80
        ]


def test_what_builds_the_package_is_locked() -> None:
    """The package is built without isolation: the lock holds all that pyproject.toml asks for."""
    required = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    built_with = {name for name, _ in _pins("requirements-build.lock")}
    assert {re.split(r"[<>=~!]", name)[0] for name in required} <= built_with
    assert {"editables", "poetry-core"} <= built_with


def test_the_locks_agree() -> None:
    """What several locks name, they name in one version: each is installed over another."""
    everything = _pins("requirements-dev.lock")
    for lock in ("requirements.lock", "requirements-build.lock", "requirements-cluster.lock"):
        assert _pins(lock) - everything == set(), lock
    peers = _pins("requirements-peers.lock")
    for other in (everything, _pins("containers/base/torch.lock")):
        shared = {name for name, _ in peers} & {name for name, _ in other}
        assert {pin for pin in peers if pin[0] in shared} <= other


def test_the_makefile_installs_from_locks_only() -> None:
    """Each installation has digests and no isolated build; the package itself brings nothing along."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(
        r"^LOCKED := \$\(PIP\) --require-hashes --no-build-isolation --only-binary :all:", text, re.MULTILINE
    )
    steps = re.findall(r"^\t.*(?:\$\(PIP\)|\$\(LOCKED\)|pip install).*", text, flags=re.MULTILINE)
    assert len(steps) >= 7
    assert "\t@$(PYTHON) -m venv $(VENV)\n\t@$(BIN)/python -m pip uninstall -qq --yes setuptools\n" in text
    for step in steps:
        from_locks = re.search(r"\$\(LOCKED\)( -r requirements[a-z-]*\.lock)+$", step)
        assert from_locks or step.endswith("$(PIP) --no-deps --no-build-isolation --editable ."), step
