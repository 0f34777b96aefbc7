"""The documentation is part of the product: what can be checked about it is."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from harness import errors
from harness.cli import cli
from harness.phantom.dataset import VERSION as PHANTOM_VERSION
from harness.sandbox import CONTRACT_VERSION
from harness.scoring import SCORER_VERSION
from harness.status import RowLevel, Status, TrainingState
from harness.store.database import Store

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "plugins").glob("*/README.md"),
        *(ROOT / "curation").rglob("README.md"),
    ]
)


@pytest.mark.costly
def test_generated_parts_are_up_to_date() -> None:
    """Schemas and help pages in the documentation are those of the code; ``make docs`` renews them."""
    # A separate process: a command that another test has called keeps the help option of that call.
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link and picture of a page is there."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_reached_from_the_index() -> None:
    """By links alone, as a reader goes: from the index, or from a page that the index names."""
    reached: set[Path] = set()
    waiting = [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            links = re.findall(r"\]\(([^)#\s:]+\.md)[^)]*\)", page.read_text(encoding="utf-8"))
            waiting += [(page.parent / link).resolve() for link in links]
    assert not set(PAGES) - reached


def test_the_queries_are_of_todays_tables(tmp_path: Path) -> None:
    """Each of the ten can be run on a database as this version makes it."""
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    queries = re.findall(r"^-- \d+\. .*?\n(.*?;)$", text, flags=re.MULTILINE | re.DOTALL)
    assert len(queries) == 10
    Store(tmp_path / "results.db").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "results.db")) as db:
        for query in queries:
            assert db.execute(query).fetchall() == []


def test_the_messages_of_troubleshooting_exist() -> None:
    """Each beginning in the table is one of a message in the code."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    beginnings = re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)
    assert len(beginnings) > 15
    rooms = ("harness", "curation", "leaderboard")
    code = "".join(path.read_text(encoding="utf-8") for room in rooms for path in (ROOT / room).rglob("*.py"))
    assert [said for said in beginnings if not re.search(rf'f?"[^"\n]{{0,40}}{re.escape(said)}', code)] == [
        "no plugin is named"
    ]


@pytest.mark.parametrize(
    "command",
    [
        ["run", "--plugin", ""],
        ["run", "--plugin", "nobody", "--dataset", "phantom"],
        ["data", "info", "nowhere"],
        ["run", "--plugin", "empty", "--gpu-ids", "0", "--cluster", "x"],
        ["results", "show", "nothing"],
        ["score", ".", "--dataset", "nowhere", "--name", "a"],
        ["plugin", "new", "Capital"],
        ["submission", "verify", "."],
        ["leaderboard", "publish", "nowhere"],
        ["curate", "classify", "nowhere"],
    ],
)
def test_a_message_is_found_by_its_words(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failing command prints is on the page of messages, with its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    error = CliRunner().invoke(cli, command).exception
    assert isinstance(error, errors.BenchError), error
    page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.*\w.*?) \| ([\d, ]+) \|", page, flags=re.MULTILINE)
    fitting = [
        codes.split(", ")
        for row, codes in rows
        if re.fullmatch(".*".join(map(re.escape, re.sub(r"\\(.)", r"\1", row).split("…"))), error.message)
    ]
    assert [str(error.exit_code)] in fitting, error.message


def test_every_failure_has_a_place_to_begin() -> None:
    """Each exit code, and each thing that a prerequisite may lack, has a row for messages that have none."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", text, flags=re.MULTILINE)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BenchError)]
    assert {int(code) for code, _ in rows} == {kind.exit_code for kind in kinds}
    assert {name for _, cell in rows for name in re.findall(r"`(\w+)`", cell)} == set(get_args(errors.Lacking)) - {""}


def test_exit_codes_are_listed_once() -> None:
    """What each code means stands in one table, made from the code; other pages link to it."""
    begins = re.compile(r"^\| (exit code|130 \| [A-Zi])", flags=re.MULTILINE)
    tables = [page.name for page in PAGES if begins.search(page.read_text(encoding="utf-8"))]
    assert tables == ["statuses.md"]


def test_every_state_is_on_the_page() -> None:
    """No status, level or state of a training is missing where they are listed."""
    text = (ROOT / "docs" / "statuses.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))
    assert {str(word) for kind in (Status, TrainingState, RowLevel) for word in kind} == rows


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    """Every file or folder of the repository that a page names exists, from the root or from the page."""
    rooms = "harness|plugins|containers|curation|leaderboard|tests|docs"
    named = re.findall(rf"`((?:{rooms})/[\w./-]+)`", page.read_text(encoding="utf-8"))
    assert not [path for path in named if not ((ROOT / path).exists() or (page.parent / path).exists())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_wraps_at_120_columns(page: Path) -> None:
    """No line of prose is longer than 120 columns; tables, code, generated parts and lone links may be."""
    long = [f"line {number}: {line}" for number, line in _prose(page.read_text(encoding="utf-8")) if len(line) > 120]
    assert not long, "\n".join(long)


def test_prose_is_told_from_what_may_be_long() -> None:
    """A long line is found in a paragraph, in a list and after a table, and in nothing that cannot be wrapped."""
    long = "word " * 30
    fence = "```"
    exempt = [fence, long, fence, f"| {long} |", "<!-- generated, do not edit -->", long, "<!-- end -->", "![a](b.png)"]
    assert [n for n, line in _prose("\n".join([*exempt, long, f"- {long}"])) if len(line) > 120] == [9, 10]


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a page that can be wrapped: no code, table, generated part or lone link."""
    fenced = generated = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif re.match(r"<!-- (generated|\w+: begin)", line):
            generated = True
        elif re.match(r"<!-- (end|\w+: end)", line):
            generated = False
        elif not (fenced or generated or line.startswith("|") or re.fullmatch(r"\s*(- )?!?\[.*\]\(\S+\)", line)):
            yield number, line


def test_first_screen_has_two_commands() -> None:
    """The README's first code block is exactly the two commands of a newcomer."""
    first = re.search(r"```\w*\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert first is not None
    commands = [line.partition("#")[0].strip() for line in first[1].splitlines() if line.strip()]
    assert commands == ["make demo", "make test"]


def test_makefile_targets_are_described() -> None:
    """Every target that README, CONTRIBUTING or the docs tell people to run exists in the Makefile."""
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))}
    assert named <= targets, named - targets


def test_nothing_is_installed_from_an_index_that_is_not_ours() -> None:
    """No page, message, template or workflow installs groundbench by its bare name, which anybody could register."""
    named = re.compile(r"groundbench\[|pip3? install[^\n]*(?<![\w/.-])groundbench(?![\w/.-])")
    found = []
    for path in _files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in named.finditer(text)]
    assert not found
    assert named.search("pip install groundbench")
    assert named.search("pip install -U 'groundbench[site]'")
    assert not named.search("pip install git+https://host.example/owner/groundbench@0123456789")


def _files() -> Iterator[Path]:
    """Yield every file of the project but its tests."""
    yield from (path for path in ROOT.iterdir() if path.is_file())
    for room in ("harness", "plugins", "containers", "curation", "leaderboard", "docs", ".ci", ".github"):
        yield from (path for path in (ROOT / room).rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_the_versions_are_todays() -> None:
    """The table of versions says what the code says, and what the newest version of each changed."""
    text = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    for part, version in (("scorer", SCORER_VERSION), ("contract", CONTRACT_VERSION), ("phantom", PHANTOM_VERSION)):
        assert re.search(rf"^\| {part} \| {version} \| (?!20)", text, flags=re.MULTILINE), part
        assert re.search(rf"^\| {part} \| {version} \| 20", text, flags=re.MULTILINE), part
