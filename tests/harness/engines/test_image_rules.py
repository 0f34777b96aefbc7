"""What an image declares and an engine would act on outside the container is refused or blanked, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from harness.engines.image_rules import blanked, broken_rule, volumes_of

GOOD: dict[str, Any] = {
    "Entrypoint": ["python"],
    "WorkingDir": "/opt/model",
    "Volumes": {"/data": {}, "/bench/out/": {}},
    "Env": [
        "PATH=/usr/bin",
        "LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/cuda/lib64",
        "NVIDIA_REQUIRE_CUDA=cuda>=12",
    ],
}


def test_a_usual_image_breaks_no_rule() -> None:
    """Also that of CUDA, which sets a search path of the linker and what driver it requires."""
    assert broken_rule(GOOD) is None
    assert volumes_of(GOOD) == {"/data", "/bench/out"}
    assert blanked(GOOD) == {}
    assert broken_rule({"Cmd": ["x"], "Env": None, "Volumes": None, "WorkingDir": ""}) is None


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"Volumes": {path: {}}}, "declares a volume at")
        for path in ("/", "//", "/proc/x/..", "/sys", "//dev/shm", "/etc", "/usr/lib", "/lib64", "bin")
    ]
    + [
        ({"WorkingDir": path}, "declares the working folder")
        for path in ("/proc/self/fd/7", "/proc/1/cwd/../../..//proc", "//sys/fs", "/dev", "/opt/../proc/self", "proc")
    ]
    + [
        ({"Env": [line]}, "of the dynamic linker")
        for line in (
            "LD_PRELOAD=./x.so", "LD_AUDIT=/x.so", "LD_PRELOAD", "LD_LIBRARY_PATH=.", "LD_LIBRARY_PATH=/usr/lib:lib",
            "LD_LIBRARY_PATH=/proc/self/cwd", "LD_LIBRARY_PATH=/tmp/x", "LD_LIBRARY_PATH=/usr/../bench/out",
        )
    ]
    + [(command, "does not declare a command") for command in ({"Entrypoint": None}, {"Entrypoint": [], "Cmd": []})],
)  # fmt: skip
def test_what_leads_out_is_refused(declared: dict[str, Any], words: str) -> None:
    """However the path is written."""
    rule = broken_rule({**GOOD, **declared})
    assert rule is not None
    assert words in rule[0]


def test_variables_of_the_gpu_toolkit_are_blanked() -> None:
    """Those that an image may set stay: what it requires, and which GPUs, which the harness overrides."""
    names = (
        "NVIDIA_GDS",
        "NVIDIA_MIG_CONFIG_DEVICES",
        "NVIDIA_IMEX_CHANNELS",
        "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_REQUIRE_X",
    )
    assert set(blanked({"Env": [f"{name}=all" for name in names]})) == set(names[:3])
