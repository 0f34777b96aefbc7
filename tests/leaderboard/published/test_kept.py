"""Results that are kept: found by what they depend on, never wrong, and done without where the file is no good."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from leaderboard.published import kept as module
from leaderboard.published.kept import BUILDS, KeptResults, digest_of

Build = Callable[..., tuple[list[bytes], int]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Return a function that asks for the squares of some numbers, and tells how many were computed."""

    def run(*numbers: int, what: str = "square", path: Path | None = tmp_path / "cache" / "board.db"):
        computed: list[int] = []

        def square(number: int) -> bytes:
            computed.append(number)
            return str(number * number).encode()

        with KeptResults(path) as kept:
            found = [kept.content(what, (number,), lambda number=number: square(number)) for number in numbers]
        assert found == [str(number * number).encode() for number in numbers]
        return found, len(computed)

    return run


def _edit(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as db:
        assert db.execute(statement).rowcount
    db.close()


def test_a_result_is_computed_once(build: Build, tmp_path: Path) -> None:
    """By another build as well; other inputs, and another kind, are other results; without a file nothing is kept."""
    assert build(2, 3, 2)[1] == 2
    assert build(2, 3, 4)[1] == 1
    assert build(2, what="again")[1] == 1
    assert build(2, path=None)[1] == 1


def test_another_version_computes_again(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of our code, of Python, or of a library."""
    assert build(2)[1] == 1
    module.version.cache_clear()
    monkeypatch.setattr(module, "_installed", lambda _: "another")
    assert build(2)[1] == 1
    module.version.cache_clear()
    monkeypatch.undo()
    module.version.cache_clear()
    assert build(2)[1] == 0


def test_the_version_is_that_of_every_file_of_ours() -> None:
    """Templates and scripts included."""
    names = {name for room in ("harness", "leaderboard") for name, _ in module._sources(module.files(room), room)}
    assert {"harness/scoring/summary.py", "leaderboard/templates/run.html.j2", "leaderboard/assets/site.css"} <= names


@pytest.mark.parametrize(
    "statement",
    [
        "update results set content = x'00' || content",
        "update results set content = 7",
        "update results set digest = x'00'",
        "update results set key = x'00' || key",
        # The result of one input in place of another's: its digest is that of its key, too.
        "update results set (digest, content) = (select digest, content from results order by rowid desc limit 1)",
    ],
)
def test_a_damaged_entry_is_computed_again(build: Build, tmp_path: Path, statement: str) -> None:
    """And is whole the next time, or the one after: where text stands for bytes, the file is left and made anew."""
    build(2, 3)
    _edit(tmp_path / "cache" / "board.db", statement)
    assert build(2, 3)[1] >= 1
    build(2, 3)
    assert build(2, 3)[1] == 0


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(4096)])
def test_a_file_that_is_none_of_ours_is_replaced(build: Build, tmp_path: Path, content: bytes) -> None:
    """Nothing of it is read."""
    path = tmp_path / "cache" / "board.db"
    path.parent.mkdir()
    path.write_bytes(content)
    assert build(2)[1] == 1
    assert build(2)[1] == 0


@pytest.mark.parametrize(
    "statement",
    ["create table results (other text)", "create view results as select 1 as key, 2 as digest, 3 as content"],
)
def test_a_database_with_other_tables_is_replaced(build: Build, tmp_path: Path, statement: str) -> None:
    """A view would run as a program."""
    path = tmp_path / "cache" / "board.db"
    path.parent.mkdir()
    sqlite3.connect(path).execute(statement).connection.close()
    assert build(2)[1] == 1
    assert build(2)[1] == 0


def test_pages_that_are_damaged_cost_only_time(build: Build, tmp_path: Path) -> None:
    """Whatever byte of the file is another."""
    numbers = range(200)
    build(*numbers)
    path = tmp_path / "cache" / "board.db"
    whole = path.read_bytes()
    for place in range(0, len(whole), 1501):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        build(*numbers)
    path.write_bytes(whole[: len(whole) // 2])
    build(*numbers)


def test_what_no_build_uses_is_dropped(build: Build, tmp_path: Path) -> None:
    """So that the file stays as small as what a few builds use."""
    build(2, 3)
    for _ in range(BUILDS - 1):
        build(2)
    assert build(2, 3)[1] == 0
    for _ in range(BUILDS):
        build(2)
    assert build(3)[1] == 1


def test_a_build_that_fails_keeps_nothing(tmp_path: Path) -> None:
    """Nor does it count as one."""
    with pytest.raises(RuntimeError), KeptResults(tmp_path / "board.db") as kept:
        kept.content("a", (), lambda: b"a")
        raise RuntimeError
    with KeptResults(tmp_path / "board.db") as kept:
        assert kept.content("a", (), lambda: b"b") == b"b"


def test_two_builds_at_once_are_both_right(tmp_path: Path) -> None:
    """The second does without."""
    with KeptResults(tmp_path / "board.db") as first, KeptResults(tmp_path / "board.db") as second:
        assert first.content("a", (), lambda: b"a") == second.content("a", (), lambda: b"a") == b"a"
    with KeptResults(tmp_path / "board.db") as kept:
        assert kept.content("a", (), lambda: b"b") == b"a"


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """As that of a home that others own."""
    (tmp_path / "cache").write_text("a file")
    with KeptResults(tmp_path / "cache" / "board.db") as kept:
        assert kept.content("a", (), lambda: b"a") == b"a"


def test_unlike_inputs_have_unlike_digests() -> None:
    """Where texts end, and of which type a value is, counts."""
    inputs = [("ab", "c"), ("a", "bc"), ("abc",), (b"abc",), (1,), (1.0,), ("1",), (None,), ([1],), ((1,),), ()]
    assert len({digest_of(one) for one in inputs}) == len(inputs)
    once, again = (str(12345) for _ in range(2))
    assert digest_of((once, once)) == digest_of((once, again))  # one object twice, or two alike
