"""A folder from a stranger is refused by name, in bounded time and memory, whatever lies in it."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import DataError, UsageError
from harness.submissions.text_files import LIMITS, find_folders, plain, shown, write_files
from harness.submissions.verify import read_folder


def _append(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "findings.csv").write_bytes((folder / "findings.csv").read_bytes() + content)


def _replace(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _link(folder: Path) -> None:
    (folder / "card.toml").unlink()
    (folder / "card.toml").symlink_to("/etc/passwd")


def _pipe(folder: Path) -> None:
    (folder / "card.toml").unlink()
    os.mkfifo(folder / "card.toml")


def _sparse(folder: Path) -> None:
    with (folder / "instances.csv").open("r+b") as file:
        file.truncate(2**40)


def _many(folder: Path) -> None:
    for number in range(2000):
        (folder / f"x{number}").touch()


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link": (_link, "card.toml is a link"),
    "a pipe": (_pipe, "card.toml is not a regular file"),
    "a terabyte": (_sparse, "more than 3 MB"),
    "a script": (lambda f: (f / "setup.py").write_text("import os"), "holds setup.py, which is not part"),
    "a folder": (lambda f: (f / "more").mkdir(), "holds more, which is not part"),
    "a name that turns": (lambda f: (f / "a\u202egpj.exe").touch(), "holds a\ufffdgpj.exe, which is not part"),
    "two thousand files": (_many, "which is not part"),
    "no card": (lambda f: (f / "card.toml").unlink(), "lacks card.toml"),
    "another encoding": (_append("gr\u00fc\u00df".encode("latin-1")), "is not UTF-8"),
    "UTF-16": (_replace("card.toml", 'who = "me"\n'.encode("utf-16")), "is not UTF-8"),
    "a mark of order": (_replace("card.toml", '\ufeffwho = "me"\n'.encode()), "control character"),
    "an escape": (_append(b"\x1b[2J\n"), "control character"),
    "a carriage return": (_append(b"a\r\n"), "control character"),
    "a null": (_append(b"\0"), "control character"),
    "turned text": (_append("\u202eabc\n".encode()), "turns the direction"),
    "a changed file": (_append(b"x"), "SHA256SUMS does not list the files"),
    "depth": (_replace("record.json", b"[" * 500_000), "SHA256SUMS does not list"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_folder_is_refused(what: str, folder: Path) -> None:
    """A link, a pipe, a huge or foreign file, another encoding, a control character: each is named."""
    change, begins = HOSTILE[what]
    change(folder)
    tracemalloc.start()
    with pytest.raises(DataError) as refused:
        read_folder(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert begins in refused.value.message
    assert refused.value.fix
    assert peak < 60 * 2**20


def test_a_link_to_a_folder_is_not_one(folder: Path, tmp_path: Path) -> None:
    """A folder is read where it lies, not where a link leads; a place without one says how one is made."""
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(DataError, match="is not a folder"):
        read_folder(tmp_path / "link")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").symlink_to(folder)
    with pytest.raises(DataError, match="does not hold a text folder"):
        list(find_folders(tmp_path / "tree"))
    assert list(find_folders(folder.parent)) == [folder]


def test_a_folder_is_written_whole_and_never_over_another(tmp_path: Path) -> None:
    """What is there stays, whatever it is; nothing partial is left."""
    write_files(tmp_path / "a" / "new", {"card.toml": b"x"})
    for place in ("new", "empty", "dangling"):
        if place == "empty":
            (tmp_path / "a" / place).mkdir()
        if place == "dangling":
            (tmp_path / "a" / place).symlink_to("nowhere")
        with pytest.raises(UsageError, match="already there"):
            write_files(tmp_path / "a" / place, {"card.toml": b"y"})
    assert (tmp_path / "a" / "new" / "card.toml").read_bytes() == b"x"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["dangling", "empty", "new"]


def test_what_is_shown_of_a_text_is_one_harmless_line() -> None:
    """Control characters, line breaks and turned text do not reach a terminal; texts in any script do."""
    assert shown("a\x1b[2J\nb\u202ec") == "a\ufffd[2J b\ufffdc"
    assert len(shown("x" * 10**6)) == 121
    assert plain("Knoten im linken Oberlappen\n\u05e8\u05d9\u05d0\u05d4 \u80ba\tx")
    assert not any(map(plain, ("\x9b", "\ud800", "\u2066", "\ufeffx", "\x7f")))
    assert set(LIMITS) >= {"record.json", "verification.json.sig"}
