"""Two rows beside each other: where either is ahead, and by how much in each group."""

from __future__ import annotations

from typing import Any

import pytest

from harness.store.database import Store
from leaderboard.pages import pairs
from leaderboard.published.privacy import PrivacyPolicy


def test_a_pair_says_where_either_is_ahead(bench: Any, store: Store, pages: Any) -> None:
    """Counts add up to the findings; each list holds the largest differences; groups have the difference of means."""
    bench.add(title="A", plugin="a", level=0.4, cases=8, level_of={"2d": 0.1})
    bench.add(title="B", plugin="b", level=0.2, cases=8, level_of={"2d": 0.5})
    site = pages(store)
    page = site[pairs.pair_address("run-01", "run-02")]
    first, second, by_category, by_size = page.all("table")
    assert "A zero-shot beside B zero-shot" in page.all("h1")[0].text
    for table, sign in ((first, 1), (second, -1)):
        numbers = [[float(cell.text) for cell in row.all("td", "number")] for row in table.all("tr")[1:]]
        assert all(ahead > behind for ahead, behind in numbers)
        differences = [ahead - behind for ahead, behind in numbers]
        assert differences == sorted(differences, reverse=True), sign
    assert {row.all("td")[0].text[:2] for row in second.all("tr")[1:4]} == {"2d"}
    [nodules] = [row for row in by_category.all("tr") if row.text.startswith("2d")]
    values = [float(cell.attributes["data-sort"]) for cell in nodules.all("td")[1:]]
    assert values[2] == pytest.approx(values[0] - values[1])
    assert values[2] < -0.3
    assert len(by_size.all("tr")) == 4
    counts = [int(word.rstrip(";,")) for word in page.all("section")[0].all("p")[0].text.split() if word[0].isdigit()]
    assert sum(counts) == 48
    linked = [link.attributes["href"] for path in ("compare.html", "runs/run-01.html") for link in site[path].all("a")]
    assert linked.count("compare/run-01--run-02.html") + linked.count("../compare/run-01--run-02.html") == 2
    closed = pages(store, PrivacyPolicy(public=True))["compare/run-01--run-02.html"]
    assert "kept private" in closed.text
    assert "case-" not in closed.text


def test_only_the_best_rows_have_pages(bench: Any, store: Store, pages: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are as many as the pairs of so many rows."""
    monkeypatch.setattr(pairs, "ROWS", 3)
    for level in (0.8, 0.6, 0.4, 0.2):
        bench.add(plugin=f"m{level}", level=level)
    site = pages(store)
    assert len([path for path in site if path.startswith("compare/")]) == 3
