"""A seeded database, filled through the store and the scorer as runs would fill it, and its pages read back."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel import orientations

from harness.categories import CATEGORIES
from harness.dataset import Dataset, open_dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.rows import CaseRow, FindingDetails, FindingRow, InstanceCounts, InstanceRow, Matches, Others, RunRow
from harness.runs.record import write_record
from harness.runs.verify import plan_digest
from harness.scoring.profiles import PROFILES
from harness.scoring.sizes import SizeCuts
from harness.scoring.summary import summarise
from harness.status import Status
from harness.store.database import Store
from leaderboard.board.reported import read_boards, read_reported
from leaderboard.pages.pages import render_pages
from leaderboard.pages.site import Site
from leaderboard.published.export import export
from leaderboard.published.privacy import PrivacyPolicy
from tests.leaderboard.browsing import browser, open_page, served, site

__all__ = ["browser", "open_page", "served", "site"]

#: What the owner of the data set allows: everything.
TERMS = dict.fromkeys(("scores", "texts", "images", "masks"), "yes")

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
    record={
        "exposure": {"of": "none", "origin": "paper, Table 4"},
        "dataset": {"terms": TERMS},
        "hardware": {"cpu": "AMD EPYC 9654", "cores": 16, "gpus": [{"name": "NVIDIA H200"}] * 2},
    },
    timing={
        "case_wall_s": 4.5,
        "peak_container_bytes": 2.5e9,
        "peak_gpu_bytes": 9.5e8,
        "case_median_s": 3.25,
        "case_p95_s": 12.5,
        "peak_host_bytes": 1.5e9,
        "peak_device_bytes": 8.25e8,
    },
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
        digests: Mapping[tuple[str, str], str] | None = None,
        others: Sequence[Others] = (),
        level_of: Mapping[str, float] | None = None,
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
        others
            What the masks have in common with other findings, by number in the split from the first on; not known of
            the rest.
        digests
            SHA-256 of the masks that were scored, by case and finding.
        level_of
            Level of the findings of a category, in place of `level`.
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
        if fields.get("record"):  # where nothing is said of its exposure, it is as in the template
            fields["record"] = {"exposure": TEMPLATE.record["exposure"], **fields["record"]}
        run = replace(run, **fields)
        plan: dict[str, Any] = {"kind": "submitted"}
        if run.kind == "measured":
            plan = {
                name: getattr(run, name) for name in ("plugin", "plugin_version", "variant", "fingerprint", "split")
            }
            plan["image"] = run.image_id
        plan |= run.plan or {"number": number}
        run = replace(run, plan=plan, plan_key=plan_digest(plan))
        self.store.save_run(run)
        codes = [code for code in CATEGORIES if code not in absent]
        findings = []
        for number_of_case in range(cases):
            rows = []
            for index in range(per_case):
                place = number_of_case * per_case + index
                status = (failures or {}).get(place, Status.OK)
                own = (level_of or {}).get(codes[place % len(codes)], level)
                shared = round(VOXELS * min(1.0, max(0.0, draw.gauss(own, 0.05))))
                size = 10 ** random.Random(place).uniform(-5, -1)
                found = Matches(tp=int(shared > 200), fp=0, fn=int(shared <= 200))
                instances = InstanceCounts(VOXELS, shared, found, 0.0, found) if status == Status.OK else None
                said = "found" if found.tp else "missed"
                entity = InstanceRow("truth", 1, VOXELS, 8.0 * VOXELS, said, distance_status=said)
                component = replace(entity, side="prediction", status="true", distance_status="true")
                counts = (VOXELS, VOXELS, shared) if status == Status.OK else (VOXELS, None, None)
                row = FindingRow(
                    case=f"{case}-{number_of_case}",
                    finding=str(index),
                    index=index,
                    category=codes[place % len(codes)],
                    text=text,
                    status=status,
                    dice=shared / VOXELS if status == Status.OK else 0.0,
                    truth_voxels=counts[0],
                    pred_voxels=counts[1],
                    intersection=counts[2],
                    mask_sha256=(digests or {}).get((f"{case}-{number_of_case}", str(index))),
                    details=FindingDetails(
                        truth_entities=1,
                        size_ratio=size,
                        instances=instances,
                        rows=(entity, component) if instances else None,
                        others=others[place] if place < len(others) and instances else None,
                    ),
                )
                rows.append(row)
            self.store.save_case(
                run.id, CaseRow(f"{case}-{number_of_case}", number_of_case, Status.OK, scored=True), rows
            )
            findings += rows
        if scored:
            for name, profile in PROFILES.items():
                self.store.save_metrics(run.id, name, summarise(findings, profile, cuts=SizeCuts.recorded(run.record)))
        self.keep_record(run)
        return run

    def keep_record(self, run: RunRow) -> None:
        """Write the record of a run as it is stored now."""
        folder = self.store.home / "runs" / run.id
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, run, self.store.cases(run.id), self.store.findings(run.id))


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
def maker() -> Callable[[Store], FakeBench]:
    """Return what makes a maker of runs of a database, for boards that many tests share."""
    return FakeBench


@pytest.fixture(scope="session")
def full_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a database with every kind of row, in its own folder; it is not to be written to."""
    with Store(tmp_path_factory.mktemp("home") / "results.db") as opened:
        fill(FakeBench(opened))
        yield opened


@pytest.fixture(scope="session")
def full_pages(full_store: Store) -> dict[str, Node]:
    """Return the parsed pages of `full_store`."""
    return {path: parse(html) for path, html in render(full_store, PrivacyPolicy()).items()}


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


def render(store: Store, policy: PrivacyPolicy, *, draw: bool = False) -> dict[str, str]:
    """Return path -> HTML of every page."""
    site = Site(export(store, policy), read_reported(), read_boards(), draw=draw)
    return {path: page if isinstance(page, str) else page.read().decode() for path, page in render_pages(site)}


def joined(files: Mapping[str, bytes], folder: Path) -> sqlite3.Connection:
    """Open the one database that ``join.py`` makes of some downloads, which are written to a folder, as a reader would.

    The script is run by a Python that sees nothing of ours.
    """
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    subprocess.run([sys.executable, "-I", str(folder / "join.py")], check=True, capture_output=True)
    database = sqlite3.connect(folder / "whole.sqlite")
    database.row_factory = sqlite3.Row
    return database


@pytest.fixture
def pages() -> Callable[..., dict[str, Node]]:
    """Return a function from a store to path -> the parsed page, for every page of its site."""

    def make(store: Store, policy: PrivacyPolicy | None = None) -> dict[str, Node]:
        return {path: parse(html) for path, html in render(store, policy or PrivacyPolicy()).items()}

    return make


#: Anatomy of the scene below, on axes to the Left, Posterior, Superior: voxels and millimetres.
GRID, SPACING = (48, 40, 24), (3.0, 4.0, 5.0)

#: The lesions: left, anterior, high; and right, posterior, low. First and last voxel along each axis.
LESIONS = (((30, 37), (12, 17), (15, 19)), ((8, 12), (26, 31), (4, 7)))


@dataclass(frozen=True)
class Scene:
    """A data set of two small scans with two lesions each, and a model's masks of them."""

    root: Path
    dataset: Dataset
    store: Store
    runs: Path


def lesion(number: int, shift: int = 0) -> np.ndarray:
    """Return one lesion as a mask on :data:`GRID`, shifted towards the left."""
    mask = np.zeros(GRID, bool)
    (x0, x1), (y0, y1), (z0, z1) = LESIONS[number]
    mask[x0 + shift : x1 + shift, y0:y1, z0:z1] = True
    return mask


def anatomy() -> np.ndarray:
    """Return HU on :data:`GRID`: air, a body, two lungs, the lesions, and a bright spot on the left front."""
    x, y, z = np.ogrid[: GRID[0], : GRID[1], : GRID[2]]
    hu = np.full(GRID, -1000, np.int16)
    hu[((x - 24) / 22) ** 2 + ((y - 20) / 17) ** 2 + 0 * z < 1] = 40
    for centre in (14, 34):
        hu[((x - centre) / 8) ** 2 + ((y - 20) / 12) ** 2 + ((z - 12) / 11) ** 2 < 1] = -850
    for number in range(len(LESIONS)):
        hu[lesion(number)] = 30
    return hu


def stored(volume: np.ndarray, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a volume of :data:`GRID` as it is stored with other axes, and the affine that says so."""
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    turn = orientations.ornt_transform(orientations.axcodes2ornt("LPS"), orientations.axcodes2ornt(tuple(axes)))
    turned = orientations.apply_orientation(volume, turn)
    return np.ascontiguousarray(turned), affine @ orientations.inv_ornt_aff(turn, volume.shape)


def write_dataset(root: Path, axes: Sequence[str], *, flip: Sequence[int] = (), licence: str = "CC BY 4.0") -> Dataset:
    """Write one case for each of `axes`, masks reversed along `flip` against the CT, and open the data set."""
    (root / "ct").mkdir(parents=True)
    (root / "seg").mkdir()
    cases = []
    for number, order in enumerate(axes):
        name = f"case-{number}.nii.gz"
        ct, affine = stored(anatomy(), order)
        nib.save(nib.Nifti1Image(ct, affine), root / "ct" / name)
        masks = [np.flip(stored(lesion(n), order)[0], axis=tuple(flip)) for n in range(len(LESIONS))]
        nib.save(nib.Nifti1Image(np.stack(masks).astype(np.uint8), np.eye(4)), root / "seg" / name)
        cases.append({"name": name, "findings": {"0": "left nodule", "1": "right nodule"}})
    (root / "dataset.json").write_text(json.dumps({"test": cases}))
    notes = {"name": "scene", "licence": licence, "terms": TERMS, "mask_flip": list(flip)}
    (root / "groundbench.json").write_text(json.dumps(notes))
    return open_dataset(root)


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Return a data set, a database of three runs on it, and the masks of one of them."""
    root = tmp_path_factory.mktemp("scene")
    dataset = write_dataset(root / "data", ["LPS", "RAS"])
    with Store(root / "results.db") as store:
        bench = FakeBench(store)
        same: dict[str, Any] = {
            "cases": 2,
            "per_case": 2,
            "dataset": "scene",
            "fingerprint": fingerprint_of(dataset, "test"),
            "record": {"dataset": {"licence": "CC BY 4.0", "terms": TERMS}, "hardware": {"cpu": "EPYC", "cores": 2}},
        }
        digests = {}
        for number, axes in enumerate(["LPS", "RAS"]):
            folder = root / "runs" / "run-01" / "masks" / f"case-{number}"
            folder.mkdir(parents=True)
            for finding in range(len(LESIONS)):
                mask, affine = stored(lesion(finding, shift=2), axes)
                path = folder / f"{finding}.nii.gz"
                nib.save(nib.Nifti1Image(mask.astype(np.uint8), affine), path)
                digests[folder.name, str(finding)] = hashlib.sha256(path.read_bytes()).hexdigest()
        bench.add(title="Shifted", plugin="shifted", level=0.4, digests=digests, **same)
        bench.add(title="Weak", plugin="weak", level=0.1, variant="fine-tuned", fine_tuned=True, **same)
        bench.add(title="Boxes", plugin="boxes", level=0.6, prompt="box", **same)
        yield Scene(root, dataset, store, root / "runs")


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Dataset]:
    """Return :func:`write_dataset`."""
    return write_dataset
