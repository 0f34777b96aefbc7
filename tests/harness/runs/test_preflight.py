"""What a machine lacks for a run is refused before anything long, with the numbers of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from harness.engines.nvidia import Gpu
from harness.errors import PrerequisiteError
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.resources import Resources
from harness.runs.preflight import check_cuda, check_gpus, check_sharing, check_training_room, gpu_memory_needed

if TYPE_CHECKING:
    from tests.conftest import Bench

LARGE = Gpu("GPU-2", "NVIDIA H100", 81_559, 80_000, "0")
PART = Gpu("MIG-1", "NVIDIA H100 MIG 1g.10gb", 10_000, None, "0:0", whole="GPU-2")


@pytest.mark.parametrize(("fine_tuned", "needed"), [(False, 8_000), (True, 40_000)])
def test_training_counts_where_it_may_have_to_happen(fine_tuned: bool, needed: int) -> None:
    """The larger of both declared needs, or that of predicting."""
    model = Model(
        "big", "Big", "Large.", "1", Path("/"), resources=Resources(gpu_gb=8), training=Resources(gpu_gb=40)
    )  # fmt: skip
    assert gpu_memory_needed(model, fine_tuned=fine_tuned) == needed
    assert gpu_memory_needed(replace(model, training=None), fine_tuned=True) == 8_000


def test_containers_that_share_a_gpu_need_the_memory_of_all() -> None:
    """A training has its GPUs alone."""
    model = Model(
        "big", "Big", "Large.", "1", Path("/"), resources=Resources(gpu_gb=8), training=Resources(gpu_gb=40)
    )  # fmt: skip
    assert gpu_memory_needed(model, per_gpu=3) == 24_000
    assert [gpu_memory_needed(model, fine_tuned=True, per_gpu=number) for number in (3, 6)] == [40_000, 48_000]


@pytest.mark.parametrize(
    ("each", "needed", "gpu", "said"),
    [
        (2, 8_000, LARGE, "a container of this model needs 2 GPUs"),
        (1, 0, LARGE, "does not declare gpu_gb"),
        (1, 8_000, replace(LARGE, memory_mb=None, said="[N/A]"), r"is not known: nvidia-smi says \[N/A\]"),
    ],
)
def test_a_gpu_is_not_shared_where_it_is_not_known_that_all_fit(each: int, needed: int, gpu: Gpu, said: str) -> None:
    """With one container on each nothing of this matters."""
    check_sharing([gpu], 1, each, needed)
    check_sharing([LARGE], 2, 1, 8_000)
    with pytest.raises(PrerequisiteError, match=said):
        check_sharing([LARGE, gpu], 2, each, needed)


def test_what_is_not_known_of_a_gpu_is_told() -> None:
    """Memory that others use, and memory that is not counted, in the driver's own word."""
    said: list[str] = []
    unknown = Gpu("GPU-3", "NVIDIA GB10", None, None, "1", "[N/A]")
    check_gpus([LARGE, replace(LARGE, free_mb=50_000), unknown], 24_000, 1, said.append)
    assert said == [
        "warning: other programs use GPU 0 (NVIDIA H100, GPU-2): 50 GB of 81.6 GB are free",
        (
            "warning: the model needs 24 GB of memory, which cannot be checked for GPU 1 (NVIDIA GB10, GPU-3): "
            "nvidia-smi says [N/A]"
        ),
    ]
    check_gpus([unknown], 0, 1, said.append)
    assert len(said) == 2


@pytest.mark.parametrize(
    ("gpus", "each", "fine_tuned", "said"),
    [
        ([LARGE], 2, False, "needs 2 GPUs, 1 requested"),
        ([PART, PART], 2, False, "CUDA uses one only"),
        ([PART, PART], 1, True, "CUDA uses one only"),
    ],
)
def test_gpus_that_a_container_cannot_use_together(gpus: list[Gpu], each: int, fine_tuned: bool, said: str) -> None:
    """Too few for one container, and several parts of a divided GPU in one."""
    with pytest.raises(PrerequisiteError, match=said):
        check_gpus(gpus, 0, each, lambda _: None, fine_tuned=fine_tuned)
    check_gpus([PART, PART], 0, 1, lambda _: None)


@pytest.mark.parametrize(
    ("dockerfile", "cuda", "refused"),
    [
        ("FROM x\nCOPY torch/ /opt/", "11.4", True),
        ("FROM x\nCOPY torch/ /opt/", "12.9", True),
        ("FROM x\nCOPY torch/ /opt/", "13.0", False),
        ("FROM x\nCOPY torch/ /opt/", "", False),
        ("FROM x", "11.4", False),
    ],
)
def test_a_driver_older_than_the_images_torch(
    dockerfile: str, cuda: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the major version, as CUDA promises; what is unknown is left to the engine."""
    monkeypatch.setattr("harness.runs.preflight.driver_cuda", lambda: cuda)
    (tmp_path / "Dockerfile").write_text(dockerfile)
    plugin = Plugin(Model("big", "Big", "Large.", "1", tmp_path, variants=(Variant("v"),)), "here")
    if refused:
        with pytest.raises(PrerequisiteError, match=f"CUDA up to {cuda}, .* needs CUDA 13.0") as raised:
            check_cuda(plugin, tmp_path)
        assert "version 580 or newer" in raised.value.fix
    else:
        check_cuda(plugin, tmp_path)


@pytest.mark.parametrize(("free_gb", "warned"), [(100, True), (200, False)])
def test_a_disk_that_a_training_may_fill(
    free_gb: int, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is warned of with both numbers, before the training; a run that only predicts needs less."""
    said: list[str] = []
    monkeypatch.setattr("harness.runs.preflight.shutil.disk_usage", lambda _: SimpleNamespace(free=free_gb * 10**9))
    check_training_room(tmp_path, Resources.training(memory_gb=0.1, cpus=1, out_gb=160), said.append)
    expected = ["warning: the training may write up to 171.8 GB (state, cache of samples, checkpoint), 100.0 GB of"]
    assert [line[: len(expected[0])] for line in said if "may write" in line] == (expected if warned else [])


def test_a_run_is_refused(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """`bench run --gpus 1` ends with 3 where the driver, played by a script, reports too little; reduced it goes on."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-0000, Tiny, 2048, 2000'\n")
    tool.chmod(0o755)
    bench.environment["PATH"] = f"{tool.parent}:{bench.environment['PATH']}"
    folder = tmp_path / "big"
    folder.mkdir()
    (folder / "Dockerfile").touch()
    (folder / "__init__.py").write_text(
        "from pathlib import Path\n"
        "from harness import Model, Resources, Variant, hookimpl\n\n\n"
        "@hookimpl\n"
        "def bench_models():\n"
        "    return [Model(name='big', title='Big', summary='Large.', version='1', root=Path(__file__).parent,\n"
        "                  variants=(Variant('v', params={'size': 9}, reduced={'size': 1}),),\n"
        "                  adapter='adapter:A', resources=Resources(gpu_gb=40, memory_gb=0.25))]\n"
    )
    command = ("run", "--plugin-dir", folder, "--plugin", "big", "--dataset", make_dataset(1), "--gpus", 1)
    ended = bench(*command, "--engine", "local", code=3)
    assert "with at least 40 GB as the model needs: 0 of 1 can be used: GPU 0 (Tiny, GPU-0000) has 2 GB" in ended.stderr
    reduced = bench(*command, "--engine", "local", "--weights", "random", code=1)  # it has no adapter
    assert "0 of 2 findings ok" in reduced.stderr
