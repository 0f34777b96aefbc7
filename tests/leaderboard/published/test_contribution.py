"""What a run contributes to a site is kept by its content: whatever of it changes is seen, and nothing else matters."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from harness.scoring.sizes import SizeCuts
from harness.store.database import Store
from leaderboard.published.database import Published
from leaderboard.published.export import export
from leaderboard.published.kept import KeptResults
from leaderboard.published.privacy import PrivacyPolicy

#: Edits of what is stored of `run-02`.
EDITS = {
    "a score": "update findings set dice = min(1, dice + 0.5) where run = 'run-02' and finding = '0'",
    "a mean": "update metrics set value = value + 0.5 where run = 'run-02' and metric = 'dice' and grp = 'all'",
    "a text": "update findings set text = 'other' where run = 'run-02' and finding = '0'",
    "a reason": "update cases set reason = 'other' where run = 'run-02'",
    "the row": "update runs set title = 'Rules' where id = 'run-02'",
}


OWN = PrivacyPolicy()


def _sealed(store: Store, path: Path | None, policy: PrivacyPolicy = OWN, **options) -> bytes:
    with KeptResults(path) as kept:
        return _bytes(export(store, policy, kept=kept, **options))


def _bytes(published: Published) -> bytes:
    with TemporaryDirectory() as folder:
        published.save(path := Path(folder, "results.sqlite"))
        return path.read_bytes()


@pytest.mark.parametrize("policy", [PrivacyPolicy(), PrivacyPolicy(public=True)], ids=["private", "public"])
def test_the_same_bytes_with_and_without_what_is_kept(full_store: Store, tmp_path: Path, policy) -> None:
    """Of an empty, a filled and a damaged file, and of one that a build for other eyes filled."""
    without, path = _sealed(full_store, None, policy), tmp_path / "board.db"
    _sealed(full_store, path, PrivacyPolicy(public=True, open_splits=frozenset({"test"})))
    assert _sealed(full_store, path, policy) == without
    with KeptResults(path) as kept:
        assert _bytes(export(full_store, policy, kept=kept)) == without
        assert kept.computed == 0 < kept.found
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert _sealed(full_store, path, policy) == without
    cuts = SizeCuts(0.0001, 0.001, of="fixed")
    assert _sealed(full_store, path, policy, size_cuts=cuts) == _sealed(full_store, None, policy, size_cuts=cuts)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_by_hand_is_seen(bench, store: Store, tmp_path: Path, edit: str) -> None:
    """What was confirmed once is not confirmed for ever; what was not touched is not computed again."""
    for plugin in ("rules", "friend", "other"):
        bench.add(plugin=plugin, cases=2)
    _sealed(store, tmp_path / "board.db")
    store.db.execute(EDITS[edit])
    with KeptResults(tmp_path / "board.db") as kept:
        published = export(store, PrivacyPolicy(), kept=kept)
        assert [run for run, _ in published.doubted()] == ["run-02"]
        assert kept.found > kept.computed
    assert _bytes(published) == _sealed(store, None)


def test_an_edit_of_the_record_is_seen(bench, store: Store, tmp_path: Path) -> None:
    """And its loss, and its return."""
    run = bench.add(plugin="rules", cases=2)
    path = store.home / "runs" / run.id / "record.json"
    whole = path.read_bytes()
    document = json.loads(whole)
    document["run"]["title"] = "Other"

    def doubted() -> list[str]:
        with KeptResults(tmp_path / "board.db") as kept:
            return [run for run, _ in export(store, PrivacyPolicy(), kept=kept).doubted()]

    assert doubted() == []
    path.write_text(json.dumps(document))
    assert doubted() == [run.id]
    path.unlink()
    assert doubted() == [run.id]
    path.write_bytes(whole)
    assert doubted() == []


def test_a_new_run_is_all_that_is_computed(bench, store: Store, tmp_path: Path) -> None:
    """But for the comparison with the others of its ranking."""
    for plugin in ("rules", "friend"):
        bench.add(plugin=plugin, cases=2)
    counts = []
    for plugin in (None, "third", None):
        if plugin:
            bench.add(plugin=plugin, cases=2)
        with KeptResults(tmp_path / "board.db") as kept:
            export(store, PrivacyPolicy(), kept=kept)
        counts.append(kept.computed)
    first, new, nothing = counts
    assert nothing == 0 < new < first
