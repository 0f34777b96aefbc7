"""What lies in the repository was written here: no sentence of a report, of a finding or of the paper's examples."""

from __future__ import annotations

import csv
import gzip
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: Words in a row that two people may write of a chest CT; the longest run that was ever found by chance has 11.
LONGEST = 11


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = _words(text)
    return (tuple(words[first : first + LONGEST + 1]) for first in range(len(words) - LONGEST))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


@pytest.mark.costly
def test_no_text_of_others_lies_in_the_repository(real_data: Path) -> None:
    """No run of more than 11 words is one of a report, of a finding or of a worked example."""
    texts = real_data / "text"
    theirs = {
        run
        for name in ("paper_examples.json", "rex_val_prompts.json")
        for text in _strings(json.loads((texts / name).read_text(encoding="utf-8")))
        for run in _runs(text)
    }
    with gzip.open(texts / "ct_rate_validation_reports.csv.gz", "rt", encoding="utf-8") as file:
        theirs |= {run for row in csv.DictReader(file) for text in row.values() for run in _runs(text or "")}
    assert len(theirs) > 100_000
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    kinds = (".py", ".toml", ".md", ".txt", ".csv", ".json", ".html", ".j2")
    found = {
        name: " ".join(run)
        for name in tracked
        if name.endswith(kinds)
        for run in _runs((ROOT / name).read_text(encoding="utf-8"))
        if run in theirs
    }
    assert found == {}
