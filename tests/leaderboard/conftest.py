"""A seeded database, filled through the store and the scorer as runs would fill it, and its pages read back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.categories import CATEGORIES
from harness.contract import Status
from harness.scoring.profiles import PROFILES
from harness.scoring.summary import summarise
from harness.store import CaseRow, FindingRow, RunRow, Store
from leaderboard.export import export
from leaderboard.pages import Site, render_pages
from leaderboard.privacy import Policy
from leaderboard.reported import read_reported

TEMPLATE = RunRow(
    id="",
    plan_key="",
    attempt=1,
    kind="measured",
    plugin="model",
    title="Model",
    plugin_version="1.0.0",
    variant="zero-shot",
    prompt="text",
    fine_tuned=False,
    profile="mlhc2025",
    dataset="phantom-small",
    fingerprint="ab" * 32,
    split="test",
    engine="docker",
    image_id="sha256:" + "0123456789abcdef" * 4,
    rankable=True,
    unrankable=[],
    state="done",
    created="",
    record={"hardware": {"cpu": "AMD EPYC 9654", "cores": 16, "gpus": [{"name": "NVIDIA H200"}] * 2}},
    timing={"case_median_s": 3.25, "case_p95_s": 12.5, "peak_host_bytes": 1.5e9, "peak_device_bytes": 8.25e8},
)

#: Voxels of every true and every predicted mask; their overlap decides the Dice.
VOXELS = 1000


class FakeBench:
    """Adds runs to a store; the same calls make the same database."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.added = 0

    def add(
        self,
        *,
        level: float = 0.2,
        cases: int = 4,
        per_case: int = 6,
        failures: Mapping[int, Status] | None = None,
        absent: tuple[str, ...] = ("2f",),
        scored: bool = True,
        text: str = "a small nodule in the left upper lobe",
        case: str = "case",
        **fields: Any,
    ) -> RunRow:
        """Store a run of `cases` times `per_case` findings whose Dice lies around `level`.

        Parameters
        ----------
        failures
            Status of those findings, by number in the split, that did not end well.
        absent
            Categories that no finding is of.
        scored
            Whether metrics are saved.
        text, case
            Text of every finding, and how cases are called before their number.
        fields
            Fields of RunRow.
        """
        self.added += 1
        number = self.added
        draw = random.Random(number)
        run = replace(
            TEMPLATE,
            id=f"run-{number:02d}",
            plan_key=f"plan-{number:02d}",
            created=f"2026-11-{number:02d}T10:00:00+00:00",
            n_cases=cases,
            n_findings=cases * per_case,
        )
        run = replace(run, **fields)
        self.store.save_run(run)
        codes = [code for code in CATEGORIES if code not in absent]
        findings = []
        for number_of_case in range(cases):
            rows = []
            for index in range(per_case):
                place = number_of_case * per_case + index
                status = (failures or {}).get(place, Status.OK)
                shared = round(VOXELS * min(1.0, max(0.0, draw.gauss(level, 0.05))))
                size = 10 ** random.Random(place).uniform(-5, -1)
                found = {"tp": int(shared > 200), "fp": 0, "fn": int(shared <= 200)}
                kept = {"kept_voxels": VOXELS, "kept_intersection": shared}
                counts = (VOXELS, VOXELS, shared) if status == Status.OK else (VOXELS, None, None)
                row = FindingRow(
                    case_id=f"{case}-{number_of_case}",
                    finding=str(index),
                    ordinal=index,
                    category=codes[place % len(codes)],
                    text=text,
                    status=status,
                    dice=shared / VOXELS if status == Status.OK else 0.0,
                    truth_voxels=counts[0],
                    pred_voxels=counts[1],
                    intersection=counts[2],
                    details={
                        "truth_entities": 1,
                        "size_ratio": size,
                        "instances": {**kept, "overlap": found, "distance": found} if status == Status.OK else None,
                    },
                )
                rows.append(row)
            self.store.save_case(
                run.id, CaseRow(f"{case}-{number_of_case}", number_of_case, Status.OK, scored=True), rows
            )
            findings += rows
        if scored:
            for name, profile in PROFILES.items():
                self.store.save_metrics(run.id, name, summarise(findings, profile))
        return run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open an empty results database."""
    with Store(tmp_path / "results.db") as opened:
        yield opened


@pytest.fixture
def bench(store: Store) -> FakeBench:
    """Return a maker of runs in `store`."""
    return FakeBench(store)


@pytest.fixture(scope="session")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a database with every kind of row, in a folder of its own; it is not to be written to."""
    with Store(tmp_path_factory.mktemp("home") / "results.db") as opened:
        fill(FakeBench(opened))
        yield opened


@pytest.fixture(scope="session")
def full_pages(full_store: Store) -> dict[str, Node]:
    """Return the parsed pages of `full_store`."""
    return {path: parse(html) for path, html in render(full_store, Policy()).items()}


def fill(bench: FakeBench) -> None:
    """Add every kind of row that the board knows."""
    lost = {3: Status.TIMEOUT, 7: Status.PLUGIN_ERROR, 8: Status.PLUGIN_ERROR}
    apart: dict[str, Any] = {"rankable": False}
    bench.add(title="Rules", plugin="rules", level=0.31)
    bench.add(title="SAT", plugin="sat", variant="fine-tuned", fine_tuned=True, level=0.18, failures=lost)
    bench.add(title="MedSAM2", plugin="medsam2", variant="box", prompt="box", level=0.36)
    bench.add(title="VoxTell", plugin="voxtell", prompt="structured-text", level=0.22)
    bench.add(title="A lab's masks", plugin="masks", kind="submitted", engine="", image_id="", record={}, timing={})
    bench.add(title="Oracle", plugin="oracle", level=2.0, unrankable=["known answer: it reads the truth"], **apart)
    bench.add(title="Rules", plugin="rules", cases=2, level=0.3, unrankable=["partial: only 2 cases"], **apart)
    bench.add(title="SAT", plugin="sat", engine="local", unrankable=["random weights"], level=0.0, **apart)
    bench.add(title="Rules", plugin="rules", dataset="ReXGroundingCT", fingerprint="ff" * 32, cases=9, level=0.1)
    bench.add(title="BiomedParse", plugin="biomedparse", state="interrupted", scored=False, cases=3)


#: Elements without an end.
VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


@dataclass
class Node:
    """An element: its tag, attributes, and children (elements and texts)."""

    tag: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside, with single spaces."""
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(" ".join(parts).split())

    def all(self, tag: str = "", css: str = "") -> list[Node]:
        """Every element below, in document order, that has this tag and this class."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                if tag in {"", child.tag} and (not css or css in child.attributes.get("class", "").split()):
                    found.append(child)
                found += child.all(tag, css)
        return found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice: {names}"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}> at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Node:
    """Return the page's tree; fails on an element that is left open or closed by another's end."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert len(parser.open) == 1, f"left open: {[node.tag for node in parser.open[1:]]}"
    return parser.open[0]


def render(store: Store, policy: Policy, *, draw: bool = False) -> dict[str, str]:
    """Return path -> HTML of every page."""
    return dict(render_pages(Site(export(store, policy), read_reported(), draw=draw)))


@pytest.fixture
def pages() -> Callable[..., dict[str, Node]]:
    """Return a function from a store to path -> the parsed page, for every page of its site."""

    def make(store: Store, policy: Policy | None = None) -> dict[str, Node]:
        return {path: parse(html) for path, html in render(store, policy or Policy()).items()}

    return make
