"""The training loop in an image that holds torch: each check of ``torch_checks.py`` is one sealed container."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKS = [
    node.name
    for node in ast.parse((HERE / "torch_checks.py").read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
]


@pytest.mark.docker
@pytest.mark.parametrize("check", CHECKS)
def test_check(check: str, tiny_image: str) -> None:
    """The check ends well where there is no network, no room to write but /tmp, and no root."""
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:exec",  # noqa: S108 - inside it
         "--user", "10001:10001",
         "--cap-drop", "ALL", "--label", "org.groundbench.test=torch", "--entrypoint", "python",
         "-v", f"{HERE}:/checks:ro", tiny_image, "/checks/torch_checks.py", check],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
