"""A public site holds what the terms of its data sets allow, whatever was built, and says whose the data are."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.terms import Terms
from harness.errors import DataError
from harness.rows import CaseRow
from harness.status import Answer, Status
from harness.store.database import Store
from leaderboard.pages.downloads import File, make_files
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy, hidden_text, without_texts
from leaderboard.site.build import Options, build_site
from leaderboard.site.check import check_site

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
    bench.keep_record(run)
    build_site(store, tmp_path / "site", Options(policy=OPEN))
    shown = _everything(tmp_path / "site")
    assert TEXT.encode() not in shown
    assert b"Hamamci et al." in shown
    assert b"not for commercial use, no attempt to identify a person" in shown
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


def _decoded(files: list[File]) -> str:
    """Return the downloads as a reader sees them: Parquet is compressed, and SQLite and JSON escape texts."""
    parts = []
    for file in files:
        if file.name.endswith(".parquet"):
            parts.append(repr(parquet.read_table(io.BytesIO(file.data)).to_pylist()))
        elif file.name.endswith(".sqlite"):
            with closing(sqlite3.connect(":memory:")) as db:
                db.deserialize(file.data)
                parts.append("\n".join(db.iterdump()))
        else:
            parts.append(file.data.decode())
    return "\n".join(parts)


@pytest.mark.parametrize("kind", ["measured", "submitted"])
@pytest.mark.parametrize("texts", list(Answer))
def test_every_download_keeps_to_the_terms(bench, store: Store, texts: Answer, kind: str, tmp_path: Path) -> None:
    """In every format, of runs and of submissions, and where a model quotes a text as the reason of its failure."""
    quoted = f"ValueError: cannot read {TEXT.upper()!r}"
    run = bench.add(text=TEXT, kind=kind, record={"dataset": {"terms": {"scores": "yes", "texts": str(texts)}}})
    first, *_ = store.cases(run.id)
    store.save_case(run.id, replace(first, reason=quoted), store.findings(run.id, first.case))
    bench.keep_record(run)
    files = make_files(export(store, OPEN), tmp_path, parquet=True)
    shown = _decoded(files)
    licence = files[0].data.decode()
    assert (TEXT in shown) == (texts is Answer.YES)
    assert (TEXT.upper() in shown) == (texts is Answer.YES)
    assert (hidden_text(TEXT) in shown) == (texts is not Answer.YES)
    assert "A. Author" not in shown
    assert "licence: not stated by the data set" in licence
    (tmp_path / "closed").mkdir()
    closed = _decoded(make_files(export(store, PrivacyPolicy(public=True)), tmp_path / "closed", parquet=True))
    assert TEXT not in closed
    assert TEXT.upper() not in closed
    assert hidden_text(TEXT) not in closed


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("cannot allocate 20 GB", True),
        ("it said: A zzsentence, about a mass", False),
        ("a nodule", True),
        ("tokens ['about', 'a', 'nodule']", False),
        ("", True),
    ],
)
def test_a_reason_that_quotes_a_text_is_withheld(reason: str, kept: bool) -> None:
    """Three words in a row are a quote, whatever stands between them; a text of fewer words is one as a whole."""
    assert (without_texts(reason, [TEXT]) == reason) == kept
    assert without_texts("no Emphysema here", ["emphysema"]) != "no Emphysema here"
    assert without_texts(reason, []) == without_texts(reason, [""]) == reason


@pytest.mark.parametrize("pictures", [True, False])
@pytest.mark.parametrize("answer", list(Answer))
def test_a_public_site_of_each_kind_of_terms(scene, tmp_path: Path, answer: Answer, pictures: bool) -> None:
    """Yes, no and unknown, with pictures and without: what the whole folder holds, read file by file."""
    terms = Terms(scores="yes", texts=answer, images=answer, masks=answer, authors="A. Author", commercial="no")
    dataset = replace(scene.dataset, terms=terms)
    policy = replace(OPEN, terms={fingerprint_of(dataset, "test"): terms})
    options = Options(policy=policy, datasets=(dataset,) if pictures else (), runs=scene.runs)
    site = tmp_path / "site"
    if pictures and answer is not Answer.YES:
        with pytest.raises(DataError, match=f"images: {answer}, masks: {answer}"):
            build_site(scene.store, site, options)
        assert not site.exists()
        return
    build_site(scene.store, site, options)
    text = scene.store.findings("run-01")[0].text
    whole = _everything(site)
    assert (text.encode() in whole) == (answer is Answer.YES)
    assert (hidden_text(text).encode() in whole) == (answer is not Answer.YES)
    drawn = {path.suffix for path in (site / "cases" / "img").glob("*")}
    assert drawn == ({".webp", ".svg", ".js"} if pictures else set())
    assert (b"nii.gz" in whole) == pictures
    assert check_site(site) == []
    for page in (site / "cases").glob("*-*.html"):
        assert "A. Author" in page.read_text()
        assert "not for commercial use" in page.read_text()
    assert "A. Author" in (site / "downloads" / "LICENCE.txt").read_text()
