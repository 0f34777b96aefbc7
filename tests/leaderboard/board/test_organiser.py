"""What an organiser states of a board: read, refused where it is wrong, and shown as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.store.database import Store
from leaderboard.board.organiser import Organiser, read_organiser
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy
from leaderboard.site.build import Options, build_site
from leaderboard.site.check import check_site

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def write(folder: Path, text: str) -> Path:
    path = folder / "board.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_its_words_are_on_the_pages(bench: Any, store: Store, tmp_path: Path) -> None:
    """Title, text, contact, rules and logo; markup in them is text; data sets are in its order."""
    bench.add(dataset="a")
    bench.add(dataset="b", fingerprint="cd" * 32, cases=9)
    (tmp_path / "logo.png").write_bytes(PNG)
    path = write(
        tmp_path,
        'title = "The <b>Board</b>"\ntext = "First.\\n\\nSecond."\ncontact = "board@example.org"\n'
        'rules = ["One row a team."]\nlogo = "logo.png"\norder = ["a/test", "c/test"]\n'
        'address = "https://example.org/b"\n',
    )
    organiser, logo = read_organiser(path)
    told: list[str] = []
    build_site(store, tmp_path / "site", Options(organiser=organiser, logo=logo, log=told.append))
    front = (tmp_path / "site" / "index.html").read_text()
    assert "The &lt;b&gt;Board&lt;/b&gt;" in front
    assert "<b>Board" not in front
    assert '<p class="lead">First.</p>' in front
    assert 'href="mailto:board@example.org"' in front
    assert (tmp_path / "site" / "assets" / "logo.png").read_bytes() == PNG
    assert "One row a team." in (tmp_path / "site" / "submit.html").read_text()
    assert front.index("<bdi>a</bdi>") < front.index("<bdi>b</bdi>")  # the second has more findings
    assert [line for line in told if "c/test" in line]
    assert '<link rel="canonical" href="https://example.org/b/index.html">' in front
    assert check_site(tmp_path / "site") == []
    assert export(store, PrivacyPolicy()).data_sets()[0].names == ["b"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("title = 3", "title"),
        ('tilte = "x"', "tilte"),
        ('address = "http://example.org"', "https"),
        ('docs = "javascript:alert(1)"', "https"),
        ('title = "a\\nb"', "one line"),
        ("title =", "TOML"),
        ('logo = "no.png"', "logo"),
        ('logo = "board.toml"', "PNG"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, what: str) -> None:
    """An unknown key, a wrong form, a logo that is none: one error that says which."""
    with pytest.raises(DataError, match=what):
        read_organiser(write(tmp_path, text))


def test_contacts_are_links_only_where_they_are_addresses() -> None:
    """Mail and https become links; words, and other schemes, do not."""
    wanted = {"a@b.org": "mailto:a@b.org", "https://b.org/x": "https://b.org/x", "room 3": "", "javascript:x": ""}
    assert {text: Organiser(contact=text).contact_address for text in wanted} == wanted
    assert Organiser(address="https://b.org/board").address == "https://b.org/board/"
