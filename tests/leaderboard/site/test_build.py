"""The site as a folder: deterministic, whole, and never over files of others."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jinja2 import Environment

from harness.cli.settings import Settings
from harness.errors import PrerequisiteError, UsageError
from harness.store.database import Store
from leaderboard.commands.leaderboard import leaderboard
from leaderboard.published import database
from leaderboard.published.database import Published
from leaderboard.site.build import Options, build_site
from leaderboard.site.folder import MARKER

pytestmark = pytest.mark.costly


def build(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(leaderboard, ["build", *arguments], obj=Settings(home), catch_exceptions=True)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_database_same_bytes(full_store: Store, tmp_path: Path) -> None:
    """The same database gives the same bytes, wherever and how often the site is built."""
    for name in ("a", "b"):
        build_site(full_store, tmp_path / name)
    first = content(tmp_path / "a")
    build_site(full_store, tmp_path / "a")
    assert first == content(tmp_path / "b") == content(tmp_path / "a")


def test_same_bytes_with_what_earlier_builds_kept(scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an empty, a filled and a damaged file; a mask that has changed since is seen, and nothing is drawn twice."""
    runs, kept, told = tmp_path / "runs", tmp_path / "board.db", []
    shutil.copytree(scene.runs, runs)

    def built(name: str, kept: Path | None = kept) -> dict[str, bytes]:
        options = Options(figures=True, datasets=(scene.dataset,), runs=runs, kept=kept, log=told.append)
        build_site(scene.store, tmp_path / name, options)
        return content(tmp_path / name)

    without = built("a", None)
    assert built("b") == without
    with monkeypatch.context() as nothing_drawn:
        for name in ("draw_finding", "draw_slices"):
            nothing_drawn.delattr(f"leaderboard.gallery.pictures.{name}")
        assert built("b") == without
    assert told[-1] == f"0 of {len(without) - 1} files changed"
    (runs / "run-01" / "masks" / "case-0" / "0.nii.gz").unlink()
    changed = built("a", None)
    assert without != changed == built("b")
    kept.write_bytes(kept.read_bytes()[:5000])
    assert built("b") == changed


def test_one_new_run_changes_what_it_must(bench, store: Store, tmp_path: Path) -> None:
    """With what was kept the bytes are those of a whole build; pages that do not show the new run stay as they were."""
    for plugin in ("rules", "rules", "friend"):
        bench.add(plugin=plugin, title=plugin, cases=6)
    told: list[str] = []
    options = Options(kept=tmp_path / "board.db", log=told.append)
    build_site(store, tmp_path / "site", options)
    before = content(tmp_path / "site")
    bench.add(plugin="new", title="New", cases=6)
    build_site(store, tmp_path / "site", options)
    build_site(store, tmp_path / "whole")
    after = content(tmp_path / "site")
    assert after == content(tmp_path / "whole")
    changed = {name for name in after if after[name] != before.get(name)} - {MARKER}
    assert told[-1] == f"{len(changed)} of {len(after) - 1} files changed"
    assert {"index.html", "changes.html", "runs/run-02.html", "runs/run-04.html", "models/new.html"} <= changed
    same = {"runs/run-01.html", "models/rules.html", "methods.html", "distributions.html", "licences.html"}
    assert not same & changed, same & changed
    bench.add(plugin="rules", title="rules", cases=6, level=0.4)  # the pages of its history name it
    build_site(store, tmp_path / "site", options)
    build_site(store, tmp_path / "whole")
    assert content(tmp_path / "site") == content(tmp_path / "whole")


def test_the_work_after_one_new_run_does_not_grow_with_the_others(
    bench, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Findings are decoded, and the parts of pages rendered that are of one run alone, of the new run and its history.

    However many others there are; and no more files of runs are open at a time than so many.
    """
    monkeypatch.setattr(database, "_FILES", 2)
    options, work = Options(kept=tmp_path / "board.db"), []
    for others in (2, 6):
        for number in range(others):
            bench.add(plugin=f"{others}-{number}", cases=2, level=0.1)
        build_site(store, tmp_path / "site", options)
        bench.add(plugin=f"new-{others}", cases=2, level=0.3)
        decoded: list[str] = []
        rendered: list[str] = []
        held: list[int] = []
        with monkeypatch.context() as counted:
            counted.setattr(Store, "findings", _told(decoded, Store.findings))
            counted.setattr(Environment, "get_template", _told(rendered, Environment.get_template))
            counted.setattr(Published, "single", _held(held, Published.single))
            build_site(store, tmp_path / "site", options)
        assert held
        assert max(held) <= 2
        of_run = [name for name in rendered if name in {"run_scores.html.j2", "run_details.html.j2", "model.html.j2"}]
        work.append((sorted(set(decoded)), sorted(of_run)))
    runs = [run.id for run in store.runs()]
    parts = ["model.html.j2", "run_details.html.j2", "run_scores.html.j2"]
    assert work == [([runs[2]], parts), ([runs[-1]], parts)]


def test_what_lists_show_of_replaced_rows_is_kept(
    bench, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one new run all other numbers of those rows stay unread."""
    for _ in range(3):
        bench.add(plugin="rules", title="rules", cases=6)
    options, read = Options(kept=tmp_path / "board.db"), []
    build_site(store, tmp_path / "site", options)
    bench.add(plugin="new", title="New", cases=6)
    with monkeypatch.context() as counted:
        counted.setattr(Published, "metrics", _told(read, Published.metrics))
        build_site(store, tmp_path / "site", options)
    assert {*read} == {"run-03", "run-04"}
    build_site(store, tmp_path / "whole")
    assert content(tmp_path / "site") == content(tmp_path / "whole")


def _told(names: list[str], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that keeps its first argument and does what it did."""

    def told(self: Any, name: str, *more: Any, **named: Any) -> Any:
        names.append(name)
        return function(self, name, *more, **named)

    return told


def _held(counts: list[int], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that keeps how many files of runs are open after it."""

    def held(self: Published, *arguments: Any) -> Any:
        found = function(self, *arguments)
        counts.append(len(self._files))
        return found

    return held


def test_index_is_light(full_store: Store, tmp_path: Path) -> None:
    """The front page of a small bench weighs less than 150 kB."""
    assert build_site(full_store, tmp_path / "site").stat().st_size < 150_000


def test_builds_from_the_home_and_replaces_its_own_site(full_store: Store, tmp_path: Path) -> None:
    """The command reads the home's database, and a second time replaces what it made."""
    out = tmp_path / "deep" / "site"
    for _ in range(2):
        result = build(full_store.path.parent, "--out", str(out), "--no-figures")
        assert result.exit_code == 0, result.output
        assert result.stdout.strip() == f"The leaderboard is at {out / 'index.html'}"
    assert {MARKER, "index.html", "runs", "downloads", "build.json"} <= {path.name for path in out.iterdir()}
    assert list(out.parent.iterdir()) == [out]


def test_json_names_the_page(full_store: Store, tmp_path: Path) -> None:
    """``--json`` prints one document; ``--db`` names another database than the home's."""
    out = tmp_path / "site"
    result = build(tmp_path / "elsewhere", "--db", str(full_store.path), "--out", str(out), "--json", "--no-figures")
    assert json.loads(result.stdout) == {"schema": 1, "index": str(out / "index.html"), "visibility": "private"}


def test_missing_database_is_bad_data(tmp_path: Path) -> None:
    """Without a database the exit code is 4, the fix names a command, and nothing is written."""
    error = build(tmp_path, "--out", str(tmp_path / "site")).exception
    assert (type(error).__name__, getattr(error, "exit_code", None)) == ("DataError", 4)
    assert "bench demo" in getattr(error, "fix", "")
    assert not list(tmp_path.iterdir())


def test_out_is_required(tmp_path: Path) -> None:
    """Without ``--out`` the exit code is 2."""
    assert build(tmp_path).exit_code == 2


def test_foreign_folder_is_refused(store: Store, tmp_path: Path) -> None:
    """A folder that was not made here, or to which somebody added a file, is left as it is: exit code 2."""
    out = tmp_path / "site"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="was not made by") as caught:
        build_site(store, out)
    assert caught.value.exit_code == 2
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]

    (out / "thesis.tex").unlink()
    build_site(store, out)
    (out / "CNAME").write_text("board.example")
    with pytest.raises(UsageError, match="CNAME among them"):
        build_site(store, out)
    assert (out / "CNAME").exists()


def test_file_in_the_way_is_refused(store: Store, tmp_path: Path) -> None:
    """A file where the folder should go is a usage error; one above it a prerequisite error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        build_site(store, tmp_path / "file")
    with pytest.raises(PrerequisiteError) as caught:
        build_site(store, tmp_path / "file" / "site")
    assert caught.value.exit_code == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(store: Store, tmp_path: Path) -> None:
    """A parent folder that may not be written is a prerequisite error."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(PrerequisiteError, match="Permission denied"):
        build_site(store, closed / "site")


def test_a_case_of_several_findings_begins_with_a_strip(scene, tmp_path: Path) -> None:
    """The page shows it, the file is there, and its columns are the reference and the first rows of the board."""
    build_site(scene.store, tmp_path / "site", Options(datasets=(scene.dataset,), runs=scene.runs))
    cases = tmp_path / "site" / "cases"
    strips = sorted(path.name for path in (cases / "img").glob("*-strip.svg"))
    assert len(strips) == 2
    for strip in strips:
        assert f'src="img/{strip}"' in (cases / strip.replace("-strip.svg", ".html")).read_text()
        svg = (cases / "img" / strip).read_text()
        assert svg.count('href="#ct"') == 4
        assert "Shifted zero-shot" in svg


def test_what_is_not_drawn_says_why(scene, make_dataset, tmp_path: Path) -> None:
    """A row whose masks are not at hand, rows beyond the first, a data set that is not there: each has its reason."""
    masks = scene.root / "runs" / "run-01" / "masks" / "case-1"
    away = masks.rename(tmp_path / "away")
    try:
        build_site(scene.store, tmp_path / "site", Options(datasets=(scene.dataset,), runs=scene.runs))
    finally:
        away.rename(masks)
    [first], [second] = ([*(tmp_path / "site" / "cases").glob(f"*-case-{case}.html")] for case in (0, 1))
    assert "Weak fine-tuned</bdi>: it is not recorded which mask was scored" in first.read_text("utf-8")
    assert "Shifted" not in first.read_text("utf-8").partition("Not drawn")[2].partition("</details>")[0]
    assert "Shifted zero-shot</bdi>: its mask is not where it was when it was scored" in second.read_text("utf-8")
    other = make_dataset(tmp_path / "other", ["LPS"])
    build_site(scene.store, tmp_path / "site", Options(datasets=(other,), runs=scene.runs))
    assert "the data were not at hand when this page was built" in first.read_text("utf-8")
