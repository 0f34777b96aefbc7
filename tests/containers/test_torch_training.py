"""The training loop, and ``tiny``, in an image that holds torch: each check is one sealed container."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.registry.discovery import discover

HERE = Path(__file__).parent


def _checks(file: str) -> list[tuple[str, str]]:
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [(file, name) for name in names if name.startswith("check_")]


def _sealed(image: str, folder: Path, *command: str, mounts: tuple[str, ...] = ()) -> str:
    """Run a script of `folder` without network and root, /tmp the only writable folder; return its output."""
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:exec",  # noqa: S108 - inside it
         "--user", "10001:10001",
         "--cap-drop", "ALL", "--label", "org.groundbench.test=torch", "--entrypoint", "python",
         "-v", f"{folder}:/checks:ro", *mounts, image, *command],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.docker
@pytest.mark.parametrize(
    ("file", "check"),
    [
        pair
        for file in ("torch_checks.py", "weights_checks.py", "text_model_checks.py", "tiny_checks.py")
        for pair in _checks(file)
    ]
    + [
        pytest.param(file, check, marks=pytest.mark.slow if "patience" in check or "without_a_pass" in check else ())
        for file, check in _checks("processes_checks.py")
    ],
)
def test_check(file: str, check: str, tiny_image: str) -> None:
    """The check ends well in a sealed container."""
    _sealed(tiny_image, HERE, f"/checks/{file}", check)


@pytest.mark.docker
def test_what_the_smoke_asks_at_full_size(tiny_image: str, dataset_writer: Callable[..., Path], tmp_path: Path) -> None:
    """``full_size.py``, otherwise for a GPU, predicts and trains as the smoke expects; the GPU's figures are 0."""
    data = dataset_writer(tmp_path / "data", cases=1)
    variant = discover().get("tiny").model.variants[1]
    asked: dict[str, Any] = {"adapter": "adapter:Tiny", "variant": variant.name, "prompt": variant.prompt.value}
    asked |= {"params": dict(variant.params), "devices": ["cpu"], "repeat": 3, "steps": 4}
    asked |= {part: f"/data/{part}/toy_1_a_1.nii.gz" for part in ("ct", "seg")}
    said = _sealed(
        tiny_image, HERE.parent / "smoke", "/checks/full_size.py", json.dumps(asked), mounts=("-v", f"{data}:/data:ro")
    )
    found = json.loads(said.splitlines()[-1])
    assert found["gpu"] is None
    assert found["predict"]["shape"] == [24, 20, 48]
    assert len(found["predict"]["voxels"]) == 3
    assert found["predict"]["case_s"] > 0
    assert found["train"]["step_s"] > 0
    assert found["train"]["losses"]
    assert found["train"]["checkpoint_bytes"] > 1000
    assert found["train"]["gpu_bytes"] == found["predict"]["gpu_bytes"] == 0
