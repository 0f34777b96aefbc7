"""docs/data.md tells what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from harness.categories import CATEGORIES
from harness.dataset import open_dataset
from harness.dataset.layout import INDEXES

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    """The table of codes is the codes in the source, no more and no fewer."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "harness" / "dataset").glob("*.py"))
    codes = set(re.findall(r'(?:Level\.[A-Z]+,\s+|fault\()"([a-z-]+)"', source))
    codes |= {"two-cts", "two-segs"} | {
        f"{fault}-{kind}" for fault in ("missing", "unreadable") for kind in ("ct", "seg")
    }
    table = TEXT.partition("| Code | Level | Meaning |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    assert {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)} == codes


def test_the_example_of_an_index_is_one(tmp_path: Path) -> None:
    """The index in the documentation opens."""
    example = re.search(r"```json\n(\{\n.*?)```", TEXT, re.DOTALL)
    assert example is not None
    (tmp_path / INDEXES[0]).write_text(json.dumps(json.loads(example[1])))
    (case,) = open_dataset(tmp_path).split("test")
    assert case.findings[0].category in CATEGORIES
    assert all(name in TEXT for name in INDEXES)
