"""A GPU with too little memory is refused before anything long, with both numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.engines.gpus import Gpu
from harness.errors import PrerequisiteError
from harness.registry.declaration import Model
from harness.registry.resources import Resources
from harness.runs.preflight import check_gpu_memory

if TYPE_CHECKING:
    from tests.conftest import Bench

SMALL, LARGE = Gpu("GPU-1", "NVIDIA T4", 15_360), Gpu("GPU-2", "NVIDIA H100", 81_559)


def _model(needed: int, training: int | None = None) -> Model:
    return Model(
        "big", "Big", "Large.", "1", Path("/"),
        resources=Resources(gpu_gb=needed / 1000),
        training=None if training is None else Resources(gpu_gb=training / 1000),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gpus", "model", "fine_tuned"),
    [
        ([SMALL, LARGE], _model(0), False),
        ([], _model(40_000), False),
        ([SMALL], _model(15_360), True),
        ([SMALL], _model(8_000, 40_000), False),
        ([LARGE], _model(8_000, 40_000), True),
    ],
)
def test_enough_is_enough(gpus: list[Gpu], model: Model, fine_tuned: bool) -> None:
    """The declared need is the bound itself; without GPUs nothing is needed of them."""
    check_gpu_memory(gpus, model, fine_tuned=fine_tuned)


@pytest.mark.parametrize(("model", "fine_tuned"), [(_model(40_000), False), (_model(8_000, 40_000), True)])
def test_too_little_names_the_gpu_and_both_numbers(model: Model, fine_tuned: bool) -> None:
    """Only the small one of two is named; training counts where it may have to happen."""
    with pytest.raises(PrerequisiteError) as raised:
        check_gpu_memory([SMALL, LARGE], model, fine_tuned=fine_tuned)
    assert raised.value.message == ("big needs 40,000 MiB of memory on each GPU: NVIDIA T4 (GPU-1) has 15,360 MiB")
    assert raised.value.lacking == "gpu"


def test_a_run_is_refused(bench: Bench, make_dataset: Callable[..., Path], tmp_path: Path) -> None:
    """`bench run --gpus 1` ends with 3 where the driver, played by a script, reports too little; reduced it goes on."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU-0000, Tiny, 2048'\n")
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
    assert "big needs 40,000 MiB of memory on each GPU: Tiny (GPU-0000) has 2,048 MiB" in ended.stderr
    reduced = bench(*command, "--engine", "local", "--weights", "random", code=1)  # it has no adapter
    assert "0 of 2 findings ok" in reduced.stderr
