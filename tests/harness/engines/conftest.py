"""A stand-in for the NVIDIA driver's tool, and an environment without the variables of a scheduler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engines import gpus


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that puts a script in the place of any ``nvidia-smi``."""
    monkeypatch.setattr(gpus, "_LEASES", tmp_path / "leases")
    for name in ("SLURM_JOB_ID", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CUDA_DEVICE_ORDER", "GPU_DEVICE_ORDINAL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)

    def install(script: str) -> Path:
        tool = tmp_path / "bin" / "nvidia-smi"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
        return tool

    return install
