"""The training loop, and ``tiny``, in an image that holds torch: each check is one sealed container."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _checks(file: str) -> list[tuple[str, str]]:
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [(file, name) for name in names if name.startswith("check_")]


@pytest.mark.docker
@pytest.mark.parametrize(
    ("file", "check"),
    [pair for file in ("torch_checks.py", "weights_checks.py", "tiny_checks.py") for pair in _checks(file)],
)
def test_check(file: str, check: str, tiny_image: str) -> None:
    """The check ends well where there is no network, no room to write but /tmp, and no root."""
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:exec",  # noqa: S108 - inside it
         "--user", "10001:10001",
         "--cap-drop", "ALL", "--label", "org.groundbench.test=torch", "--entrypoint", "python",
         "-v", f"{HERE}:/checks:ro", tiny_image, f"/checks/{file}", check],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
