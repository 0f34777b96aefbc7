"""Runs that are archived: kept whole, and shown on no list and no board until that is undone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from harness.store.database import Store


def archived(store: Store) -> dict[str, str]:
    """Return run -> since when it is archived (UTC, ISO 8601)."""
    with store.explaining():
        return dict(store.db.execute("select run, since from archived order by since, run").fetchall())


def archive(store: Store, runs: Iterable[str]) -> None:
    """Archive runs; one that is archived already stays so since then."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with store.write() as db:
        db.table("archived").insert_all([{"run": run, "since": now} for run in runs], pk="run", ignore=True)


def unarchive(store: Store, runs: Iterable[str]) -> None:
    """Show archived runs again."""
    with store.write() as db:
        for run in runs:
            db.table("archived").delete_where("run = ?", [run])
