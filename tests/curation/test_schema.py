"""The paper's schema of categories."""

from __future__ import annotations

from curation.schema import CODES, REGIONS, SCHEMA, is_lung
from harness.categories import CATEGORIES


def test_schema_has_the_papers_size() -> None:
    """12 categories, 61 subcategories, 7 regions; the first two categories are the benchmark's 14."""
    assert len(SCHEMA) == 12
    assert sum(len(names) for _, names in SCHEMA.values()) == 61
    assert "".join(REGIONS.values()) == "LHMCNBA"
    assert [code for code in CODES if is_lung(code)] == list(CATEGORIES)
