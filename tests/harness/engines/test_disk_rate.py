"""The disk below a folder, on made-up lists of disks, and the rate at which a real container writes to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.engines.disk_rate import WRITE_BYTES_S, disk_of, write_limits


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Return the kernel's list of a machine whose folder for tests lies on the second partition of a disk."""
    number = tmp_path.stat().st_dev
    disk = tmp_path / "devices" / "pci" / "block" / "cciss!c0d0"
    (disk / "c0d0p2").mkdir(parents=True)
    (disk / "dev").write_text("1:3\n")
    (disk / "c0d0p2" / "partition").write_text("2\n")
    listed = tmp_path / "listed"
    listed.mkdir()
    (listed / f"{os.major(number)}:{os.minor(number)}").symlink_to(disk / "c0d0p2")
    return listed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device files")
def test_a_partition_stands_for_its_disk(known: Path, tmp_path: Path) -> None:
    """The whole disk is named, with its own slash, if its device file has the kernel's number; else nothing is."""
    device = tmp_path / "dev" / "cciss" / "c0d0"
    device.parent.mkdir(parents=True)
    os.mknod(device, 0o600 | 0o060000, os.makedev(1, 3))  # a block device that exists nowhere
    assert disk_of(tmp_path, known=known, devices=tmp_path / "dev") == device
    (tmp_path / "devices" / "pci" / "block" / "cciss!c0d0" / "dev").write_text("1:4\n")
    assert disk_of(tmp_path, known=known, devices=tmp_path / "dev") is None


def test_what_is_no_disk(known: Path, tmp_path: Path) -> None:
    """A file system in memory, on a network or below a device file that is not here has none; nor a plain file."""
    assert disk_of(tmp_path, known=tmp_path / "nowhere") is None
    assert disk_of(tmp_path, known=known, devices=tmp_path / "nowhere") is None
    (tmp_path / "dev" / "cciss").mkdir(parents=True)
    (tmp_path / "dev" / "cciss" / "c0d0").write_text("")
    assert disk_of(tmp_path, known=known, devices=tmp_path / "dev") is None


def test_a_daemon_elsewhere(tmp_path: Path) -> None:
    """The names of this machine's disks say nothing to a daemon under another kernel."""
    assert write_limits(tmp_path, "another kernel") == {}


def test_rates_are_whole_disks(tmp_path: Path) -> None:
    """Where the folder's disk is known here, both limits name it."""
    limits = write_limits(tmp_path, os.uname().release)
    disk = disk_of(tmp_path)
    if disk is None:
        assert limits == {}
    else:
        assert limits["device_write_bps"] == [{"Path": str(disk), "Rate": WRITE_BYTES_S}]
        assert limits["device_write_iops"][0]["Path"] == str(disk)
