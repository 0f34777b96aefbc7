"""One word a thing: identifiers, columns and pages use the words of ``docs/words.md``."""

from __future__ import annotations

import ast
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.store.database import Store
from leaderboard.published.database import Published
from leaderboard.published.run_file import RUN_TABLES

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("harness", "leaderboard", "curation", "plugins", "containers")

#: What nothing is called any more, and what it is called now.
FORBIDDEN = {
    r"(?:\w*_)?entrants?(?:_\w*)?": "model, run or row",
    r"case_ids?": "case",
    r"finding_ids?": "finding",
    r"Entry(?! point)": "Row, IndexCase, TreeFile: a name that says of what",
    r"Target": "PublishedFinding",
}

#: (file, identifier or text) that are allowed, and why.
ALLOWED = {
    ("CHANGELOG.md", "case_id"): "tells of the change",
    ("harness/engines/sealed.py", "Target"): "the daemon's own word for a mount's place",
    ("harness/runs/document.py", "case_id"): "a field of JSON documents of schema 1",
    ("harness/store/migrations.py", "case_id"): "tables as an earlier version made them",
    ("docs/words.md", "case_id"): "tells of fields that are older",
}

#: Columns that are words of SQL and are meant to be.
WORDS = {"case", "index"}

#: Where MiB and its like are named, and how often: the fields that count so, and where that is explained.
BINARY = {
    "CHANGELOG.md": 1,  # tells of the change
    "docs/contract.md": 1,  # memory_mb
    "docs/declaration.md": 2,  # memory_gb, gpu_gb
    "docs/plugin-reference.md": 3,  # memory_gb, gpu_gb, memory_mb
    "docs/words.md": 2,  # the units
}

PATTERN = re.compile(rf"(?<![\w-])(?:{'|'.join(FORBIDDEN)})(?![\w-])")


def _texts() -> Iterator[Path]:
    """Yield what people and programs read: code, templates, styles, pages."""
    for room in ROOMS:
        for kind in ("*.py", "*.j2", "*.css", "*.toml"):
            yield from (path for path in (ROOT / room).rglob(kind) if "vendor" not in path.parts)
    yield from ROOT.glob("*.md")
    yield from (ROOT / "docs").rglob("*.md")
    yield from (ROOT / "plugins").glob("*/README.md")


def _found(text: str) -> set[str]:
    return {match[0] for match in PATTERN.finditer(text)}


def test_nothing_is_called_by_a_word_that_was_given_up() -> None:
    """Entrant, case_id and the like are found only where a document's schema or history needs them."""
    found = {
        (str(path.relative_to(ROOT)), word) for path in _texts() for word in _found(path.read_text(encoding="utf-8"))
    }
    assert found - set(ALLOWED) == set()
    assert set(ALLOWED) - found == set(), "an exception that nothing needs any more"


def test_sizes_have_one_unit() -> None:
    """Messages, pages and boards say GB, and MiB only of a field that counts so; no GB is made of 1,024 MB."""
    binary = re.compile(r"\b[KMGT]iB\b")
    mixed = re.compile(r"(2\*\*[1234]0|1024|(>>|<<) ?[1234]0)[^\"\n]*\} ?[kMGT]B\b")
    said = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in _texts()}
    pages = {name: text for name, text in said.items() if not name.endswith(".py")}
    found = {name: sum(1 for line in text.splitlines() if binary.search(line)) for name, text in pages.items()}
    assert {name: number for name, number in found.items() if number} == BINARY
    code = {name: text for name, text in said.items() if name.endswith(".py")}
    assert [(name, line) for name, text in code.items() for line in _spoken(text) if binary.search(line)] == []
    assert [(name, match[0]) for name, text in code.items() for match in mixed.finditer(text)] == []
    assert binary.search("limit 256 MiB")
    assert mixed.search('f"{free / 2**30:.1f} GB"')
    assert _spoken('"""Of MiB."""\nx = f"{a} MiB"\n') == [" MiB"]


def _spoken(code: str) -> list[str]:
    """Return the texts of a module that are no docstrings."""
    tree = ast.parse(code)
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    documented = [node.body[0] for node in ast.walk(tree) if isinstance(node, owners) and node.body]
    docstrings = {id(first.value) for first in documented if isinstance(first, ast.Expr)}
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [str(node.value) for node in texts if id(node) not in docstrings]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("compare_entrants(rows)", {"compare_entrants"}),
        ("row.case_id", {"case_id"}),
        ("use_reentrant=False", set()),
        ("an entry point", set()),
        ("class Entry:", {"Entry"}),
    ],
)
def test_the_pattern_finds_words_and_not_parts(text: str, words: set[str]) -> None:
    """The search sees an identifier as a whole."""
    assert _found(text) == words


def test_columns_use_the_words(tmp_path: Path) -> None:
    """Every column of both databases that names a case or a finding is called ``case``, ``finding`` or ``index``."""
    with Store(tmp_path / "results.db") as store:
        tables = {name: {column.name for column in store.db[name].columns} for name in ("cases", "findings")}
    published = Published()
    tables["published findings"] = set(published.columns("findings"))
    tables |= {f"published {name}": set(table.names) for name, table in RUN_TABLES.items()}
    for table, columns in tables.items():
        assert not {name for name in columns if _found(name)}, table
    assert {"case", "finding", "index"} <= tables["findings"]
    assert {"case", "finding"} <= tables["published findings"]


def test_columns_that_are_words_of_sql_need_no_quotes_to_be_read(tmp_path: Path) -> None:
    """``case`` and ``index`` are what SQL calls them only where they are quoted; the names themselves are plain."""
    Store(tmp_path / "results.db").close()
    database = sqlite3.connect(tmp_path / "results.db")
    names = {row[1] for table in ("cases", "findings") for row in database.execute(f"pragma table_info({table})")}
    database.execute('select "case", "index" from findings').fetchall()
    database.close()
    assert names >= WORDS


def test_no_field_of_a_record_is_called_by_such_a_word() -> None:
    """Fields say case, finding, index, truth and mask; a mount's `target` is the engine's own word."""
    given_up = {"entrant", "entry", "case_id", "finding_id", "target", "seg"}
    found = {
        (str(path.relative_to(ROOT)), node.name, line.target.id)
        for room in ("harness", "leaderboard", "curation")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.target.id in given_up
    }
    assert found == {
        ("harness/engines/base.py", "Mount", "target"),
        ("harness/sandbox/contract.py", "CasePrompt", "seg"),  # the contract keeps its names
    }


def test_no_two_public_classes_of_the_core_share_a_name() -> None:
    """A class name means one thing in the harness and the leaderboard."""
    classes = Counter(
        node.name
        for room in ("harness", "leaderboard")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {name for name, number in classes.items() if number > 1} == set()


def test_the_glossary_says_each_word_once() -> None:
    """No word has two rows, and those that everything else is named after are all there."""
    text = (ROOT / "docs" / "words.md").read_text(encoding="utf-8")
    words = Counter(re.findall(r"^\| \*\*(.+?)\*\* \|", text, flags=re.MULTILINE))
    assert {word for word, number in words.items() if number > 1} == set()
    needed = {"model", "plugin", "variant", "run", "row", "case", "finding", "index", "entity", "truth", "mask"}
    needed |= {"prompt", "shard", "place", "pool", "outcome", "profile", "exposure", "level"}
    assert needed <= set(words)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_glossary_is_linked(page: str) -> None:
    """The first pages link to the words."""
    assert "(docs/words.md)" in (ROOT / page).read_text(encoding="utf-8")
