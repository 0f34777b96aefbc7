"""What stands on the page, read back from its HTML."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from harness.categories import CATEGORIES
from harness.contract import Status
from harness.store import Store
from leaderboard.board import Score, read_board
from leaderboard.page import (
    common_n,
    readable_bytes,
    readable_seconds,
    render_index,
    scale_of,
    short_digest,
    three_decimals,
    whisker,
)
from leaderboard.reported import read_reported

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


def html_of(store: Store) -> str:
    return render_index(read_board(store), read_reported())


def page_of(store: Store) -> Node:
    return parse(html_of(store))


def section(page: Node, title: str) -> Node:
    [found] = [node for node in page.all("section") if node.all("h2")[0].text == title]
    return found


def test_markup_is_well_formed_and_accessible(full_store: Store) -> None:
    """Every element is closed by itself; ids are unique, links lead somewhere, tables have captions and scopes."""
    page = page_of(full_store)
    nodes = page.all()
    ids = [node.attributes["id"] for node in nodes if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    targets = [a.attributes["href"] for a in page.all("a")]
    assert targets
    assert all(target[1:] in ids for target in targets)
    for table in page.all("table"):
        assert len(table.all("caption")) == 1
        assert all(head.attributes["scope"] in {"col", "row", "rowgroup"} for head in table.all("th"))
        width = len(table.all("thead")[0].all("th"))
        for row in table.all("tr"):
            cells = [*row.all("th"), *row.all("td")]
            assert sum(int(cell.attributes.get("colspan", 1)) for cell in cells) == width
    assert page.all("html")[0].attributes["lang"] == "en"
    assert page.all("a")[0].attributes["class"] == "skip"


def test_nothing_is_loaded_from_anywhere(full_store: Store) -> None:
    """The page names no address to load, and its security policy lets in its own style and script by hash only."""
    html = html_of(full_store)
    page = parse(html)
    assert not re.search(r"https?:|url\(|@import|//[a-z]", html.replace("/*", ""))
    loading = [(node.tag, node.attributes[name]) for node in page.all() for name in ("src", "href", "srcset", "data")
               if name in node.attributes and not node.attributes[name].startswith("#")]  # fmt: skip
    assert loading == [("link", "data:,")]
    [policy] = [m.attributes["content"] for m in page.all("meta") if "http-equiv" in m.attributes]
    for tag in ("style", "script"):
        [element] = page.all(tag)
        digest = base64.b64encode(hashlib.sha256("".join(element.children).encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not [name for node in page.all() for name in node.attributes if name == "style" or name.startswith("on")]


HOSTILE = "</td><script>alert('x')</script>\"'&{{ 7 * 7 }}\u202edesrever" + "y" * 10_000


def test_hostile_texts_are_shown_as_text(bench, store: Store) -> None:
    """Markup, quotes, template code, right-to-left marks and 10 kB in any name stay text, cut where too long."""
    bench.add(
        title=HOSTILE, plugin=HOSTILE, variant=HOSTILE, plugin_version=HOSTILE, dataset=HOSTILE, split=HOSTILE,
        fingerprint=HOSTILE, engine=HOSTILE, image_id=HOSTILE, kind=HOSTILE, created=HOSTILE, prompt=HOSTILE,
        record={"hardware": {"cpu": HOSTILE, "cores": HOSTILE}},
    )  # fmt: skip
    bench.add(rankable=False, unrankable=[HOSTILE], failures={0: HOSTILE})
    page = page_of(store)
    assert len(page.all("script")) == 1
    shown = HOSTILE[:159] + "…"
    assert page.all("h2")[0].text == shown
    assert page.all("bdi", "name")[0].text == shown
    assert shown in [node.text for node in page.all("td", "reason")]
    assert page.all("span", "failed")[0].text == f"{shown}: 1"


def test_measured_and_reported_rows_never_share_a_table(full_store: Store) -> None:
    """Every row says its kind in words, and the paper's rows stand in a table and a section of their own."""
    page = page_of(full_store)
    tables = [{cell.text for cell in table.all("td", "kind")} for table in page.all("table")]
    kinds = Counter(frozenset(found) for found in tables if found)
    assert kinds == {
        frozenset({"Measured here"}): 2,
        frozenset({"Measured here", "Submitted masks"}): 1,
        frozenset({"Reported"}): 1,
    }
    paper = section(page, "Reported in the paper")
    assert "The authors scored these rows themselves, on the test split of their paper." in paper.text
    assert "is inferred" in paper.text
    assert len(paper.all("td", "kind")) == 10


def test_groups_and_zero_shot_rows_are_marked_in_words(full_store: Store) -> None:
    """Text-only rows stand above box-prompted ones, each under its heading; zero-shot is a word, not a colour."""
    table = section(page_of(full_store), "phantom-small").all("table")[0]
    groups = {body.all("th")[0].text: [name.text for name in body.all("bdi", "name")] for body in table.all("tbody")}
    assert groups == {
        "Text-only": ["Rules", "VoxTell", "A lab's masks", "SAT"],
        "Box-prompted: boxes made from the ground truth": ["MedSAM2"],
    }
    rows = [row for row in table.all("tr") if row.all("bdi", "name")]
    tags = {row.all("bdi", "name")[0].text: [tag.text for tag in row.all("span", "tag")] for row in rows}
    assert tags["SAT"] == ["fine-tuned"]
    assert tags["VoxTell"] == ["zero-shot", "structured text"]
    assert tags["MedSAM2"] == ["zero-shot", "box-prompted"]


def test_cells_show_value_interval_and_n(bench, store: Store) -> None:
    """A score has three decimals and its interval; n stands once in the head, or in each cell where rows differ."""
    run = bench.add(level=2.0, plugin="oracle")
    table = page_of(store).all("table")[0]
    heads = [head.text for head in table.all("thead")[0].all("th")]
    assert heads[:2] == ["Model", "Kind"]
    assert heads[2:] == [
        "Non-focal n = 12",
        "Focal n = 12",
        "Average n = 24",
        "HIT5 n = 24",
        "HIT10 n = 24",
        "Coverage",
    ]
    shown = [cell.text for cell in table.all("td", "number")]
    assert shown == ["1.000 [1.000\N{EN DASH}1.000]"] * 5 + ["24 of 24 ok"]
    bench.add(plugin="other", cases=2, dataset=run.dataset)
    table = page_of(store).all("table")[0]
    assert "Average" in [head.text for head in table.all("thead")[0].all("th")]
    assert [cell.all("span", "n")[0].text for cell in table.all("td", "average")] == ["n = 24", "n = 12"]


def test_failures_stand_beside_the_score(bench, store: Store) -> None:
    """Coverage names what went wrong in words."""
    bench.add(failures={0: Status.TIMEOUT, 1: Status.PLUGIN_ERROR, 2: Status.PLUGIN_ERROR})
    assert page_of(store).all("td", "coverage")[0].text == "21 of 24 ok plugin error: 2 timeout: 1"


def test_missing_numbers_are_dashes(bench, store: Store) -> None:
    """A category without findings, a run without metrics or figures: a dash, never 0.000."""
    bench.add(title="none", scored=False, timing={}, record={}, image_id="", engine="")
    page = page_of(store)
    assert {cell.text for cell in page.all("table")[0].all("td", "number")[:5]} == {"—"}
    assert page.all("table")[2].all("tr")[1].text.startswith("none model · zero-shot · 1.0.0 — — — — — — —")
    bench.add(title="scored", plugin="scored")
    page = page_of(store)
    [row] = [row for row in page.all("table")[1].all("tr") if "Honeycombing" in row.text]
    assert row.text == "2f Honeycombing 0 — —"
    assert "0.000" not in page.all("main")[0].all("section")[0].text


def test_group_without_findings_is_a_dash(bench, store: Store) -> None:
    """Where a split holds no focal finding, the column says n = 0 and every cell is a dash."""
    bench.add(absent=tuple(code for code in CATEGORIES if code != "1c"))
    table = page_of(store).all("table")[0]
    assert table.all("thead")[0].all("th")[3].text == "Focal n = 0"
    assert table.all("td", "focal")[0].text == "—"


def test_unranked_runs_give_their_reason(full_store: Store) -> None:
    """Known answers, partial runs and the like stand in a table of their own, each with its reason."""
    tables = section(page_of(full_store), "phantom-small").all("table")
    assert not tables[0].all("td", "reason")
    assert [cell.text for cell in tables[2].all("td", "reason")] == [
        "known answer: it reads the truth",
        "partial: only 2 cases",
        "random weights",
        "interrupted: 3 of 3 cases scored",
    ]


def test_cost_and_provenance(bench, store: Store) -> None:
    """Each run shows time, memory, hardware, engine, image, its id and its date."""
    bench.add(title="SAT", plugin="sat")
    row = page_of(store).all("table")[2].all("tr")[1]
    assert row.text == (
        "SAT sat · zero-shot · 1.0.0 3.2 12.5 1.5 GB 825 MB 2 x NVIDIA H200 docker 0123456789ab run-01 2026-11-01"
    )


def test_empty_database_says_what_to_do(store: Store) -> None:
    """Without any run the page names the next command, and still carries the paper's rows."""
    page = page_of(store)
    empty = section(page, "Nothing has been measured yet")
    assert "bench demo" in empty.text
    assert "bench run --plugin rules --dataset PATH --split test" in empty.text
    assert len(page.all("table")) == 1


def test_only_unrankable_runs(bench, store: Store) -> None:
    """A data set without a ranking says so and still shows what was run."""
    bench.add(rankable=False, unrankable=["random weights"])
    text = page_of(store).all("main")[0].text
    assert "No run on this data set may be ranked yet." in text
    assert "random weights" in text


def test_texts_of_numbers() -> None:
    """Three decimals for scores; seconds, bytes and digests as a person reads them."""
    assert [three_decimals(v) for v in (0.0, 0.12345, 1.0, None)] == ["0.000", "0.123", "1.000", "—"]
    seconds = [readable_seconds(v) for v in (0.001, 0.25, 3.25, 99.9, 1234.5, None)]
    assert seconds == ["< 0.01", "0.25", "3.2", "99.9", "1234", "—"]
    assert [readable_bytes(v) for v in (0, 25_000_000, 1_500_000_000, None)] == ["0 MB", "25 MB", "1.5 GB", "—"]
    digests = [short_digest(v) for v in ("sha256:0123456789abcdef", "local:00112233445566", "abc", "")]
    assert digests == ["0123456789ab", "001122334455", "abc", "—"]


@pytest.mark.parametrize(("ns", "common"), [([3, 3, None], 3), ([3, 4], None), ([None], None), ([0, 0], 0), ([], None)])
def test_n_of_a_column(ns: list[int | None], common: int | None) -> None:
    """A column's head shows n only when every row that has one has the same."""
    assert common_n([Score(n=n) for n in ns]) == common


def test_whisker_lies_on_its_axis() -> None:
    """0 and the end of the scale lie at the margins; without an interval nothing is drawn."""
    drawn = whisker(Score(0.25, 0.0, 0.5), 0.5)
    assert drawn is not None
    assert (drawn.low, drawn.value, drawn.high) == (4.0, 56.0, 108.0)
    assert whisker(Score(0.25), 0.5) is None
    assert whisker(Score(), 0.5) is None


def test_scale_holds_every_interval(bench, store: Store) -> None:
    """A table's drawings end at the next tenth above its highest interval."""
    bench.add(level=0.2, plugin="a")
    bench.add(level=0.33, plugin="b")
    assert scale_of(read_board(store)[0].ranked) == 0.4
    assert scale_of([]) == 0.1
    assert scale_of(read_reported().entries) == 0.3
