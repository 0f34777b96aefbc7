"""The page, from a seeded database to the bytes on disk."""

from __future__ import annotations

from pathlib import Path

from leaderboard.site import build_site


def test_same_database_same_bytes(full_bench, tmp_path: Path) -> None:
    """The same database gives the same bytes, wherever and how often the site is built."""
    first, second = build_site(full_bench.store, tmp_path / "a"), build_site(full_bench.store, tmp_path / "b")
    again = first.read_bytes()
    assert build_site(full_bench.store, tmp_path / "a").read_bytes() == again == second.read_bytes()
