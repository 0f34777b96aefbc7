"""Fixtures of the curation's tests."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from curation.cli import curate
from harness.cli.settings import Settings

Bench = Callable[..., Result]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Call ``bench curate …`` with its own home; expected failures come back as exceptions of the result."""

    @click.group()
    @click.pass_context
    def group(ctx: click.Context) -> None:
        ctx.obj = Settings(tmp_path / "home")

    group.add_command(curate)

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(group, ["curate", *map(str, arguments)])

    return call


@pytest.fixture(scope="session")
def examples(real_data: Path) -> dict[str, Any]:
    """The worked examples of the paper."""
    document: dict[str, Any] = json.loads((real_data / "text/paper_examples.json").read_text())
    return document


@pytest.fixture(scope="session")
def real_reports(real_data: Path) -> list[dict[str, str]]:
    """The 1,564 real reports, as rows."""
    with gzip.open(real_data / "text/ct_rate_validation_reports.csv.gz", "rt", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def three_reports(tmp_path: Path) -> Path:
    """Our own three reports."""
    path = tmp_path / "reports.csv"
    rows = [
        ("VolumeName", "Findings_EN", "Impressions_EN"),
        (
            "demo_2_a_1",
            (
                "Trachea and both main bronchi are open. There is a 6.4 mm nodule in the upper lobe of the right lung. "
                "Pericardial effusion was not observed."
            ),
            "Nodule in the right lung upper lobe.",
        ),
        (
            "demo_10_a_1",
            "Minimal pleural effusion measuring 2.25 cm is observed on the left. Cortical cyst in the right kidney.",
            "Not given.",
        ),
        ("demo_3_a_1", "No mass was detected in both lungs. Heart size is normal.", "Normal examination."),
    ]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path
