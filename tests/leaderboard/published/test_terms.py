"""A public site holds what the terms of its data sets allow, whatever was built, and says whose the data are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.terms import Terms
from harness.errors import DataError
from harness.rows import CaseRow
from harness.status import Answer, Status
from harness.store.database import Store
from leaderboard.published.privacy import PrivacyPolicy, hidden_text
from leaderboard.site.build import Options, build_site

#: Each builds a whole board.
pytestmark = pytest.mark.costly

TEXT = "zzsentence about a nodule"
OPEN = PrivacyPolicy(public=True, open_splits=frozenset({"test"}))


def _everything(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("texts", list(Answer))
def test_a_text_is_shown_where_it_may_be(bench, store: Store, tmp_path: Path, texts: Answer) -> None:
    """Elsewhere its digest stands in its place, in no file of the site anything else; a private site shows it."""
    bench.add(text=TEXT, record={"dataset": {"terms": {"scores": "yes", "texts": str(texts)}}})
    build_site(store, tmp_path / "public", Options(policy=OPEN))
    shown = _everything(tmp_path / "public")
    assert (TEXT.encode() in shown) == (texts is Answer.YES)
    assert (hidden_text(TEXT).encode() in shown) == (texts is not Answer.YES)
    build_site(store, tmp_path / "private")
    assert TEXT.encode() in _everything(tmp_path / "private")


@pytest.mark.parametrize("scores", [Answer.NO, Answer.UNKNOWN])
def test_single_scores_that_may_not_be_shown_are_refused(bench, store: Store, tmp_path: Path, scores: Answer) -> None:
    """The error says which line would allow it; sums over the closed split are published all the same."""
    bench.add(text=TEXT, record={"dataset": {"terms": {"scores": str(scores), "texts": "yes"}}})
    with pytest.raises(DataError, match=f"scores: {scores}") as refused:
        build_site(store, tmp_path / "site", Options(policy=OPEN))
    assert '"terms": {"scores": "yes"}' in refused.value.fix
    assert not (tmp_path / "site").exists()
    build_site(store, tmp_path / "site", Options(policy=PrivacyPolicy(public=True)))
    assert TEXT.encode() not in _everything(tmp_path / "site")


def test_terms_are_those_of_today(bench, store: Store, tmp_path: Path) -> None:
    """A correction reaches rows that were made before it, by the fingerprint of the data."""
    run = bench.add(text=TEXT, record={"dataset": {"licence": "CC BY 4.0"}})
    terms = Terms(scores=Answer.YES, texts=Answer.YES, licence="own", authors="A. Author")
    policy = PrivacyPolicy(public=True, open_splits=frozenset({"test"}), terms={run.fingerprint: terms})
    build_site(store, tmp_path / "site", Options(policy=policy))
    assert TEXT.encode() in _everything(tmp_path / "site")
    notice = (tmp_path / "site" / "downloads" / "LICENCE.txt").read_text()
    assert "A. Author" in notice
    assert "own" in notice
    assert "CC BY 4.0" not in notice


def test_scans_of_ct_rate_are_known_without_a_word(bench, store: Store, tmp_path: Path) -> None:
    """A row of an earlier version, whose record says nothing: the scans' names bring their terms and their authors."""
    run = bench.add(text=TEXT, record={})
    store.save_case(run.id, CaseRow("train_1741_b_2", 99, str(Status.OK), scored=True))
    build_site(store, tmp_path / "site", Options(policy=OPEN))
    shown = _everything(tmp_path / "site")
    assert TEXT.encode() not in shown
    assert b"Hamamci et al." in shown
    assert b"not for commercial use" in shown
    assert b"https://creativecommons.org/licenses/by-nc-sa/4.0/" in shown


@pytest.mark.parametrize(("images", "masks"), [("yes", "no"), ("unknown", "yes"), ("no", "unknown")])
def test_pictures_need_images_and_masks(scene, tmp_path: Path, images: str, masks: str) -> None:
    """Slices show the reference on the CT: both must be allowed."""
    terms = Terms(scores="yes", texts="yes", images=images, masks=masks)
    dataset = replace(scene.dataset, terms=terms)
    policy = replace(OPEN, terms={fingerprint_of(dataset, "test"): terms})
    with pytest.raises(DataError, match="pictures of scene/test"):
        build_site(scene.store, tmp_path / "site", Options(policy=policy, datasets=(dataset,), runs=scene.runs))
    assert not (tmp_path / "site").exists()
