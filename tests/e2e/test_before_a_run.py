"""What a run lacks is said before anything is built: data that a container cannot read, room that is not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.engines.base import require_readable
from harness.errors import DataError

if TYPE_CHECKING:
    from conftest import Bench

PLUGIN = Path(__file__).parent / "plugins" / "misbehaving"


@pytest.mark.parametrize(("mode", "owner", "readable"), [
    (0o604, (0, 0), True), (0o660, (0, 0), False), (0o400, (777, 0), True), (0o040, (0, 777), True),
    (0o044, (777, 0), False), (0o004, (0, 777), False),
])  # fmt: skip
def test_whose_file_it_is_decides(tmp_path: Path, mode: int, owner: tuple[int, int], *, readable: bool) -> None:
    """The class of the user decides, the owner's before the group's before the others', as in the kernel."""
    if os.getuid() != 0:
        pytest.skip("giving a file away needs root")
    path = tmp_path / "ct.nii.gz"
    path.touch()
    path.chmod(mode)
    os.chown(path, *owner)
    if readable:
        require_readable([path], 777, 777)
    else:
        with pytest.raises(DataError, match=r"777, may not read .*ct.nii.gz"):
            require_readable([path], 777, 777)


@pytest.mark.docker
def test_unreadable_ct_is_the_fault_of_the_data(
    base_image: str, bench: Bench, make_dataset: Callable[..., Path]
) -> None:
    """A CT that the containers' user cannot read ends the run before anything is built: exit 4, with what to do."""
    if os.getuid() != 0:
        pytest.skip("only a harness of root runs its containers as somebody else")
    data = make_dataset(2)
    (data / "ct" / "toy_2_a_1.nii.gz").chmod(0o600)
    refused = bench("run", "--plugin", "misbehaving", "--plugin-dir", PLUGIN, "--dataset", data, "--engine", "docker",
                    code=4)  # fmt: skip
    assert "may not read" in refused.stderr
    assert "toy_2_a_1.nii.gz" in refused.stderr
    assert "chmod o+r" in refused.stderr
    assert "building" not in refused.stderr
    (data / "ct" / "toy_2_a_1.nii.gz").chmod(0o604)
    bench("run", "--plugin", "misbehaving", "--plugin-dir", PLUGIN, "--dataset", data, "--engine", "docker")


def test_numbers_are_told_before_a_run(bench: Bench, make_dataset: Callable[..., Path]) -> None:
    """Every run begins with what it may need of disk and memory, and what there is."""
    said = bench("run", "--plugin", "misbehaving", "--plugin-dir", PLUGIN, "--dataset", make_dataset(1), "--engine",
                 "local").stderr  # fmt: skip
    (line,) = [line for line in said.splitlines() if line.startswith("room: ")]
    assert "MB of disk for masks" in line
    assert line.count(" free") == 2
