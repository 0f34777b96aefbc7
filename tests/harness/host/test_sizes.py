"""Sizes in words: one unit, and what it counts."""

from __future__ import annotations

from harness.host.sizes import declared_size, gpu_size, size


def test_sizes_are_powers_of_a_thousand() -> None:
    """Bytes of disks, files and memory, as kB, MB or GB."""
    assert [size(value) for value in (0, 65_536, 2**20, 2_500_000_000)] == ["0 kB", "66 kB", "1 MB", "2.5 GB"]


def test_the_memory_of_a_gpu_is_as_its_name_says() -> None:
    """A card of 24 GB reports 24,564 MiB, or 23,028 with error correction; 24 GB are asked for as 24,000 MiB."""
    assert [gpu_size(mib) for mib in (24_564, 23_028, 24_000)] == ["24.6 GB", "23 GB", "24 GB"]


def test_a_limit_is_as_it_was_declared() -> None:
    """A limit goes back to the number in its field."""
    assert declared_size(256) == 0.25
