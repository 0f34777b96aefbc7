"""The tables of the results database, as migrations that update a file written by an older version.

A release's migrations are never changed afterwards; a later change is another one at the end.
"""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("groundbench")


@migrations()
def m001_initial(db: Database) -> None:
    """Create runs, their cases, their findings, and the metrics of each profile."""
    db.table("runs").create(
        {
            "id": str,
            "plan_key": str,
            "attempt": int,
            "kind": str,
            "plugin": str,
            "title": str,
            "plugin_version": str,
            "variant": str,
            "prompt": str,
            "fine_tuned": int,
            "profile": str,
            "dataset": str,
            "fingerprint": str,
            "split": str,
            "engine": str,
            "image_id": str,
            "rankable": int,
            "unrankable": str,
            "state": str,
            "created": str,
            "finished": str,
            "n_cases": int,
            "n_findings": int,
            "plan": str,
            "record": str,
            "timing": str,
        },
        pk="id",
        not_null={"plan_key", "attempt", "kind", "plugin", "variant", "state", "created"},
    )
    db.table("runs").create_index(["plan_key", "attempt"], unique=True)
    db.table("cases").create(
        {
            "run": str,
            "case_id": str,
            "ordinal": int,
            "status": str,
            "reason": str,
            "seconds": float,
            "host_bytes": int,
            "device_bytes": int,
            "attempts": int,
            "log": str,
            "scored": int,
        },
        pk=("run", "case_id"),
        foreign_keys=[("run", "runs", "id")],
        not_null={"status", "scored"},
    )
    db.table("findings").create(
        {
            "run": str,
            "case_id": str,
            "finding": str,
            "ordinal": int,
            "category": str,
            "text": str,
            "status": str,
            "reason": str,
            "dice": float,
            "truth_voxels": int,
            "pred_voxels": int,
            "intersection": int,
            "mask_sha256": str,
            "verdict": str,
            "details": str,
        },
        pk=("run", "case_id", "finding"),
        foreign_keys=[("run", "runs", "id")],
        not_null={"status", "dice"},
    )
    db.table("metrics").create(
        {
            "run": str,
            "profile": str,
            "metric": str,
            "grp": str,
            "value": float,
            "low": float,
            "high": float,
            "n": int,
        },
        pk=("run", "profile", "metric", "grp"),
        foreign_keys=[("run", "runs", "id")],
    )


@migrations()
def m002_evidence(db: Database) -> None:
    """Add the evidence of the death of a case's container."""
    db.table("cases").add_column("evidence", str, not_null_default="{}")


@migrations()
def m003_training(db: Database) -> None:
    """Create trainings and their reports."""
    db.table("trainings").create(
        {
            "key": str,
            "plugin": str,
            "variant": str,
            "dataset": str,
            "state": str,
            "reason": str,
            "created": str,
            "finished": str,
            "seconds": float,
            "sha256": str,
            "plan": str,
            "record": str,
        },
        pk="key",
        not_null={"plugin", "variant", "state", "created"},
    )
    db.table("training").create(
        {
            "key": str,
            "step": int,
            "steps": int,
            "epoch": float,
            "losses": str,
            "val_dice": float,
            "seconds": float,
        },
        pk=("key", "step"),
        foreign_keys=[("key", "trainings", "key")],
        not_null={"steps", "losses"},
    )


@migrations()
def m004_words(db: Database) -> None:
    """Name a case ``case`` and a finding's channel in the ground truth ``index``, as everywhere else."""
    for table in ("cases", "findings"):
        db.execute(f'alter table {table} rename column case_id to "case"')
    db.execute('alter table findings rename column ordinal to "index"')


@migrations()
def m005_archived(db: Database) -> None:
    """Create the list of runs that are not shown."""
    db.table("archived").create(
        {"run": str, "since": str}, pk="run", foreign_keys=[("run", "runs", "id")], not_null={"since"}
    )


@migrations()
def m006_cases(db: Database) -> None:
    """Add how many cases a metric is of; earlier scorers did not say, and took findings for independent."""
    db.table("metrics").add_column("cases", int)
