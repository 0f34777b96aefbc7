"""Read the house from its imports: who imports whom, the floors, and the picture in ``architecture.md``."""  # noqa: INP001

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Where packages lie, by the name they are imported by.
PACKAGES = {
    "harness": ROOT / "harness",
    "curation": ROOT / "curation",
    "leaderboard": ROOT / "leaderboard",
    "plugins": ROOT / "plugins",
    "groundbench_sdk": ROOT / "containers" / "sdk" / "groundbench_sdk",
}

#: The floors of the harness from the ground up: a room imports from its own floor, without a circle, and from below.
FLOORS = (
    ("errors", "status", "categories", "rows", "digests", "redaction", "host", "foreign"),
    ("registry", "masks", "store", "upstream"),
    ("dataset", "scoring", "images", "engines"),
    ("sandbox", "phantom"),
    ("runs",),
    ("cluster", "authoring", "submissions"),
    ("cli", "doctor", "__main__"),
)

#: The leaderboard's staircase from the bottom up: a step imports from the steps below it.
STAIRCASE = ("published", "board", "pages", "gallery", "site", "repository", "commands", "grounded")

Arrow = tuple[str, str]


@cache
def modules() -> Mapping[str, Path]:
    """Return the path of every module of ours, tests left out, by its name; a package stands under its own name."""
    found = {}
    for name, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if "tests" not in parts and path.name != "conftest.py":
                found[".".join((name, *parts)).removesuffix(".__init__")] = path
    return found


@cache
def imports() -> frozenset[Arrow]:
    """Return (importer, imported) for modules of ours, wherever the import stands: in functions, for types only."""
    return frozenset(
        (name, imported) for name, path in modules().items() for imported in _imported(name, path) if imported != name
    )


def imported_by(path: Path) -> set[str]:
    """Return the modules of ours that a file outside the packages imports, such as a test."""
    return set(_imported("", path))


def _imported(name: str, path: Path) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (_known(alias.name) for alias in node.names if _known(alias.name))
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                if imported := _known(f"{base}.{alias.name}"):
                    yield imported


def _known(name: str) -> str:
    """Return the module of ours that a dotted name leads to: itself, or the one that holds the name."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name


def room(module: str) -> str:
    """Return the room of a module: its package below the top, or the loose module itself."""
    return ".".join(module.split(".")[:2])


def floor(module: str) -> int | None:
    """Return the floor of a module of the harness, 0 the lowest; None for what the floors do not name."""
    parts = module.split(".")
    if parts[0] != "harness" or len(parts) < 2:
        return None
    return next((number for number, rooms in enumerate(FLOORS) if parts[1] in rooms), None)


def rooms(arrows: Iterable[Arrow]) -> set[Arrow]:
    """Return the arrows between rooms."""
    return {(room(a), room(b)) for a, b in arrows if room(a) != room(b)}


def circle(arrows: Iterable[Arrow]) -> list[str]:
    """Return the names on one circle of the arrows, the first one twice; empty when nothing circles."""
    below: dict[str, set[str]] = {}
    for importer, imported in arrows:
        below.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def direct(arrows: Iterable[Arrow]) -> list[Arrow]:
    """Return the arrows that no chain of others implies (the transitive reduction), in order."""
    below: dict[str, set[str]] = {}
    for importer, imported in arrows:
        below.setdefault(importer, set()).add(imported)

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        todo = [start]
        while todo:
            for name in below.get(todo.pop(), ()):
                if name not in found:
                    found.add(name)
                    todo.append(name)
        return found

    return sorted(
        (importer, imported)
        for importer, direct_ones in below.items()
        for imported in direct_ones
        if not any(imported in reached(other) for other in direct_ones - {imported})
    )


def purpose(name: str) -> str:
    """Return the first line of a module's docstring."""
    document = ast.get_docstring(ast.parse(modules()[name].read_text(encoding="utf-8"))) or ""
    return document.partition("\n")[0].replace("``", "`")


def picture() -> str:
    """Return the picture of the house as a Mermaid block, and the table of its rooms, drawn from the imports."""
    arrows = imports()
    lines = ["```mermaid", "flowchart TD"]
    for title, names in _storeys():
        lines += [f'  subgraph "{title}"', "    direction LR"]
        lines += [f"    {_id(name)}[{name.partition('.')[2] or name}]" for name in names]
        lines += ["  end"]
    inside = {name for _, names in _storeys() for name in names}
    drawn = {(a, b) for a, b in rooms(arrows) | _outside(arrows) if a in inside and b in inside}
    lines += [f"  {_id(a)} --> {_id(b)}" for a, b in direct(drawn)]
    lines += ["```", "", "| room | what it is | imports |", "|---|---|---|"]
    for _, names in _storeys():
        for name in names:
            imported = ", ".join(f"`{b}`" for a, b in sorted(drawn) if a == name) or "nothing"
            lines.append(f"| `{name}` | {purpose(name)} | {imported} |")
    return "\n".join(lines) + "\n"


def _storeys() -> list[tuple[str, list[str]]]:
    """Return title and rooms of each storey of the picture, from the top down."""
    there = {room(name) for name in modules()}
    storeys = [("leaderboard", [f"leaderboard.{step}" for step in reversed(STAIRCASE)]), ("curation", ["curation"])]
    for number in reversed(range(len(FLOORS))):
        names = [f"harness.{name}" for name in FLOORS[number] if f"harness.{name}" in there and name != "__main__"]
        if names:
            storeys.append((f"harness, floor {number}", names))
    return [*storeys, ("plugins", ["plugins"]), ("inside the images", ["groundbench_sdk"])]


def _outside(arrows: Iterable[Arrow]) -> set[Arrow]:
    """Return the arrows of the rooms that are drawn as one box: curation, the plugins, the SDK."""
    whole = ("curation", "plugins", "groundbench_sdk")
    found = set()
    for a, b in arrows:
        ends = tuple(end.split(".")[0] if end.split(".")[0] in whole else room(end) for end in (a, b))
        if ends[0] != ends[1]:
            found.add((ends[0], ends[1]))
    return found


def _id(name: str) -> str:
    return name.replace(".", "_")
