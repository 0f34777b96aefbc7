"""A failure that tells of the wall around a container names the declaration that opens it, where one does."""

from __future__ import annotations

import sys
from dataclasses import fields

import pytest

from harness.registry.resources import Resources
from harness.sandbox.wall import explained


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("urlopen error [Errno -3] Temporary failure in name resolution", "weights"),
        ("OSError: [Errno 101] Network is unreachable", "weights"),
        ("OSError: We couldn't connect to 'https://huggingface.co' to load the files", "weights"),
        ("ImportError: /tmp/a.so: failed to map segment from shared object", "exec_tmp"),
        ("PermissionError: [Errno 13] Permission denied: '/tmp/torchinductor/main'", "exec_tmp"),
        ("sh: 1: /tmp/program: Permission denied", "exec_tmp"),
        ("OSError: [Errno 30] Read-only file system: '/root/.cache'", "$HOME"),
        ("KeyError: 'getpwuid(): uid not found: 10001'", "USER"),
        ("RuntimeError: unable to write to file </torch_7_1_0>: No space left on device (28)", "shm_gb"),
        ("the container was ended by SIGBUS (exit code 135)", "shm_gb"),
        ("OSError: [Errno 28] No space left on device: '/tmp/x'", "tmp_gb"),
        ("OSError: [Errno 27] File too large", "out_gb"),
        ("RuntimeError: can't start new thread", "pids"),
        ("sh: 0: Cannot fork", "pids"),
        ("RuntimeError: No CUDA GPUs are available", "--gpus"),
        ("OSError: [Errno 24] Too many open files: '/bench/ct/a.nii.gz'", "4,096"),
    ],
)
def test_the_wall_explains_itself(said: str, named: str) -> None:
    """The reason keeps the program's words and adds what to declare."""
    reason = explained(said)
    assert reason.startswith(said)
    assert named in reason.removeprefix(said)


@pytest.mark.parametrize("said", ["ValueError: bad shape", "FileNotFoundError: '/bench/weights/a.pt'", ""])
def test_other_failures_keep_their_words(said: str) -> None:
    """What does not tell of the wall is not explained away."""
    assert explained(said) == said


def test_a_missing_module_says_whose_python_lacks_it() -> None:
    """Without a container that is bench's own; in one it is the image's, which its lock fills."""
    said = "ModuleNotFoundError: No module named 'skimage'"
    assert sys.executable in explained(said, isolated=False)
    assert explained(said) == said


def test_what_is_named_can_be_declared() -> None:
    """Every declaration that a reason names is one of the resources of a model."""
    known = {field.name for field in fields(Resources)}
    named = {"exec_tmp", "shm_gb", "tmp_gb", "out_gb", "pids"}
    assert named <= known
