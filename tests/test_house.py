"""The house is as it is drawn: no import runs up, none are circular, and a module's test is found by its name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import house

ROOT = Path(__file__).resolve().parents[1]

#: No module is longer than this.
MAX_LINES = 500

#: Modules directly below the harness, ``__init__`` and ``__main__`` left out.
MAX_LOOSE = 7


def _arrows(importer: str, imported: str = "") -> Iterator[house.Arrow]:
    """Yield the imports by modules of one package of modules of another."""
    for a, b in sorted(house.imports()):
        if f"{a}.".startswith(f"{importer}.") and f"{b}.".startswith(f"{imported}." if imported else ""):
            yield a, b


def test_imports_are_read_wherever_they_stand() -> None:
    """The reader sees imports inside functions and under TYPE_CHECKING: the rules below hold for them as well."""
    assert ("harness.doctor", "harness.upstream.missing") in house.imports(), "inside a function"
    assert ("harness.engines", "harness.engines.base") in house.imports(), "under TYPE_CHECKING"


def test_a_circle_is_found() -> None:
    """A chain that leads back to its start is named, whatever hangs below it."""
    assert house.circle([("a", "b"), ("b", "c"), ("c", "d")]) == []
    assert set(house.circle([("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")])) == {"b", "c"}


def test_every_room_of_the_harness_has_its_floor() -> None:
    """A new room or a loose module of the harness has a place among the floors, so that the rules below see it."""
    homeless = {
        house.room(name) for name in house.modules() if name.startswith("harness.") and house.floor(name) is None
    }
    assert homeless == set()


def test_no_import_runs_up_the_floors() -> None:
    """A module of the harness imports from its own floor and from those below."""
    up = [
        f"{a} (floor {house.floor(a)}) imports {b} (floor {house.floor(b)})"
        for a, b in _arrows("harness", "harness")
        if (house.floor(b) or 0) > (house.floor(a) if house.floor(a) is not None else len(house.FLOORS))
    ]
    assert up == []


def test_no_module_circles() -> None:
    """No chain of imports leads from a module back to itself, not even for type checkers."""
    assert house.circle(house.imports()) == []


def test_no_room_circles() -> None:
    """No chain of imports leads from a room back to itself through other rooms."""
    whole = [(a, b) for a, b in house.imports() if a != "harness" and b != "harness"]
    assert house.circle(house.rooms(whole)) == []


def test_the_harness_imports_no_other_room() -> None:
    """The harness can be used without curation, leaderboard and plugins, which use it."""
    strangers = [(a, b) for a, b in _arrows("harness") if b.split(".")[0] != "harness"]
    assert strangers == []


def test_curation_and_leaderboard_do_not_know_each_other() -> None:
    """Either can be read, changed and used without the other; one step, above all others, needs both."""
    assert list(_arrows("curation", "leaderboard")) == []
    assert {house.room(a) for a, _ in _arrows("leaderboard", "curation")} == {"leaderboard.grounded"}
    users = {house.room(a) for a, b in house.imports() if b.startswith("leaderboard.grounded")}
    assert users == {"leaderboard.grounded"}, "nothing but the command line, which names it as text, uses that step"


def test_the_leaderboard_is_a_staircase() -> None:
    """Every module of the leaderboard is on a step and imports from its own and from those below."""
    step = {f"leaderboard.{name}": number for number, name in enumerate(house.STAIRCASE)}
    loose = {house.room(name) for name in house.modules() if name.startswith("leaderboard.")} - set(step)
    assert loose == set()
    inside = [(a, b) for a, b in _arrows("leaderboard", "leaderboard") if "." in a and "." in b]
    assert [(a, b) for a, b in inside if step[house.room(b)] > step[house.room(a)]] == []


def test_scoring_knows_no_database() -> None:
    """Scores are pure functions: masks in, numbers out."""
    assert list(_arrows("harness.scoring", "harness.store")) == []


def test_adapters_import_the_sdk_only() -> None:
    """What runs inside an image cannot import the harness: it is not there. Declarations do not run inside."""
    inside = {name for name, path in house.modules().items() if name.startswith("plugins.") and path.stem != "__init__"}
    ours = ("harness", "curation", "leaderboard")
    assert [(a, b) for a, b in house.imports() if a in inside and b.split(".")[0] in ours] == []


def test_the_sdk_imports_nothing_of_ours() -> None:
    """The SDK is copied into images by itself."""
    assert [(a, b) for a, b in _arrows("groundbench_sdk") if b.split(".")[0] != "groundbench_sdk"] == []


def test_plugins_use_the_public_names_only() -> None:
    """A declaration that comes with groundbench uses nothing that a third party's cannot: the names of ``harness``."""
    assert [(a, b) for a, b in _arrows("plugins") if b.startswith("harness.")] == []


def test_pages_name_modules_that_exist() -> None:
    """A module that the documentation names in backticks is there."""
    pages = [ROOT / "CONTRIBUTING.md", ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    dotted = re.compile(rf"`((?:{'|'.join(house.PACKAGES)})(?:\.\w+)+)`")
    named = {(page.name, name) for page in pages for name in dotted.findall(page.read_text(encoding="utf-8"))}
    assert named
    lost = {(page, name) for page, name in named if name not in house.modules()}
    assert {(page, name) for page, name in lost if not _is_defined(name)} == set()


def _is_defined(name: str) -> bool:
    """Return whether a dotted name is one that a module defines at its top or imports."""
    module, _, attribute = name.rpartition(".")
    if module not in house.modules():
        return False
    return re.search(rf"\b{attribute}\b", house.modules()[module].read_text(encoding="utf-8")) is not None


def test_few_modules_stand_loose() -> None:
    """The top of the harness is rooms, and the few words that everything uses."""
    loose = {path.stem for path in (ROOT / "harness").glob("*.py") if not path.stem.startswith("__")}
    assert len(loose) <= MAX_LOOSE, sorted(loose)


@pytest.mark.parametrize("name", sorted(house.modules()))
def test_modules_stay_short(name: str) -> None:
    """A module is one idea, at most 500 lines."""
    assert len(house.modules()[name].read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def _found_by_name(name: str) -> bool:
    """Return whether the test of a module is where its name says: its own, or that of its whole room."""
    path = house.modules()[name]
    place, stem = path.relative_to(ROOT).parent, path.stem
    if place.parts[0] == "containers":
        return (ROOT / "tests" / "containers" / f"test_{stem}.py").exists()
    if place.parts[0] == "plugins":  # a plugin is tested as a whole, in its own folder
        return any((ROOT / "plugins" / place.parts[1] / "tests").glob("test_*.py"))
    folder = ROOT / "tests" / place
    own, of_the_room = folder / f"test_{stem}.py", f"test_{place.name}.py"
    return own.exists() or (folder / of_the_room).exists() or (folder.parent / of_the_room).exists()


def _elsewhere() -> dict[str, tuple[str, Path]]:
    """Return module -> (table, test file) of ``house_tests.toml``."""
    tables = tomllib.loads((ROOT / "tests" / "house_tests.toml").read_text(encoding="utf-8"))
    return {name: (table, ROOT / file) for table, rows in tables.items() for name, file in rows.items()}


def test_the_test_of_a_module_is_found_by_its_name() -> None:
    """The test of every module is where its name says, or the list of exceptions says where it is."""
    tested = {name for name, path in house.modules().items() if path.stem not in {"__init__", "__main__"}}
    missing = {name for name in tested if not _found_by_name(name)}
    assert missing - set(_elsewhere()) == set(), "write a test of that name, or list the module in house_tests.toml"


def test_the_list_of_exceptions_is_exact() -> None:
    """No exception outlives its reason: a module that is gone or has its test by now, or a test file that is gone."""
    listed = _elsewhere()
    assert {name for name in listed if name not in house.modules()} == set(), "no such module"
    assert {name for name in listed if _found_by_name(name)} == set(), "has a test of its name by now"
    assert {str(file) for _, file in listed.values() if not file.exists()} == set(), "no such test file"


def test_a_module_that_is_tested_with_others_is_reached_by_that_test() -> None:
    """What is said to be tested in a file is imported there, directly or by a module of ours that is."""
    for name, (table, file) in _elsewhere().items():
        if table == "together":
            reached = _reached(house.imported_by(file))
            assert name in reached, f"{file.relative_to(ROOT)} does not reach {name}"


def _reached(start: set[str]) -> set[str]:
    below: dict[str, set[str]] = {}
    for importer, imported in house.imports():
        below.setdefault(importer, set()).add(imported)
    found, todo = set(start), list(start)
    while todo:
        new = below.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found
