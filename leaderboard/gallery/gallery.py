"""The pictures of a whole site: which findings are shown, with which masks, from where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.dataset import Case, Dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.status import Status
from leaderboard.board.board import DataSet, Row
from leaderboard.gallery.delivered import Delivered
from leaderboard.gallery.strip import NOT_SCORED, Marks, strip_of
from leaderboard.pages.page import file_name, label
from leaderboard.published.database import Published, PublishedFinding, PublishedScore
from leaderboard.published.export import data_set_id
from leaderboard.published.privacy import not_allowed

if TYPE_CHECKING:
    from leaderboard.gallery.pictures import Picture
    from leaderboard.gallery.scans import Points, Scan

#: Models whose masks are shown for a finding.
MODELS = 8

#: Models beside the reference in the strip of a case.
STRIP = 4

#: (data set, case, finding).
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Gallery:
    """The pictures, the address of each case's strip by (data set, case), and their files by path in the site."""

    pictures: Mapping[Key, Picture]
    strips: Mapping[tuple[str, str], str]
    files: Mapping[str, bytes]


def make_gallery(
    published: Published,
    board: Sequence[DataSet],
    datasets: Sequence[Dataset],
    masks: Delivered,
    log: Callable[[str], None],
    *,
    public: bool = False,
) -> Gallery:
    """Draw every finding of the open data sets that are at hand.

    Parameters
    ----------
    published
        The site's database; only what it contains is drawn.
    board
        Its data sets.
    datasets
        The data sets on disk; those of the board are known by their content.
    masks
        The masks of the runs.
    log
        Called with a line for every data set and case.
    public
        Whether everybody will see them.

    Raises
    ------
    DataError
        The terms of a data set do not allow that everybody sees its pictures.
    """
    pictures: dict[Key, Picture] = {}
    strips: dict[tuple[str, str], str] = {}
    files: dict[str, bytes] = {}
    at_hand = {
        data_set_id(fingerprint_of(dataset, split), split): (dataset, split)
        for dataset in datasets
        for split in dataset.splits
        if any(split == data.about.split for data in board)
    }
    for data in board:
        findings: dict[str, list[PublishedFinding]] = {}
        for finding in published.findings(data.about.id):
            findings.setdefault(finding.case, []).append(finding)
        if not findings:
            continue
        if data.about.id not in at_hand:
            log(
                f"no pictures of {', '.join(data.about.names)}/{data.about.split}: its data are not at hand (--dataset)"
            )
            continue
        dataset, split = at_hand[data.about.id]
        if public and (lacking := dataset.terms.lacks("images", "masks")):
            raise not_allowed(f"the pictures of {dataset.name}/{split}", lacking)
        rows = [row for row in data.shown if not row.known_answer] or list(data.shown)
        work = _Work(data, dataset, rows[:MODELS], masks, {e.run.id: published.scores(e.run.id) for e in rows if e.run})
        for case in dataset.split(split):
            if case.id in findings and case.ct is not None:
                log(f"drawing {case.id}")
                drawn = work.draw(case, findings[case.id])
                pictures |= drawn.pictures
                files |= {f"cases/{path}": content for path, content in drawn.files.items()}
                if drawn.strip:
                    strips[data.about.id, case.id] = drawn.strip
    return Gallery(pictures, strips, files)


@dataclass
class DrawnCase:
    """The pictures of one case: its findings, the path of its strip (empty without one), and files by their path.

    Paths are those from the folder of the case pages.
    """

    pictures: dict[Key, Picture] = field(default_factory=dict)
    strip: str = ""
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class _Work:
    """One data set and the rows whose masks are shown on it."""

    data: DataSet
    dataset: Dataset
    rows: Sequence[Row]
    masks: Delivered
    scores: Mapping[str, Mapping[int, PublishedScore]]

    def draw(self, case: Case, findings: Sequence[PublishedFinding]) -> DrawnCase:
        """Draw every finding of a case that has a reference, and a strip where there are several of them."""
        from leaderboard.gallery.pictures import Layer, draw_finding
        from leaderboard.gallery.scans import read_scan
        from leaderboard.gallery.volumes import volume_script

        scan = read_scan(case)
        truth = scan.truth(self.dataset.mask_flip)
        channels = {named.id: named.index for named in case.findings}
        drawn = DrawnCase()
        seen: dict[str, Points] = {}
        marks = [Marks(label(row), {}, {}) for row in self.rows]
        for finding in findings:
            reference = truth.get(channels.get(finding.finding, -1))
            if reference is None or not len(reference):
                continue
            seen[finding.finding] = reference
            self._read(scan, case, finding, marks)
            of_rows = [
                Layer(row.title, points, row.scores[finding.finding][1])
                for row in marks
                if (points := row.masks[finding.finding]) is not None
            ]
            layers = [Layer("Reference", reference), *of_rows]
            name = f"img/{self.data.about.id}-{file_name(case.id)}-{file_name(finding.finding)}"
            found = draw_finding(scan, layers, name)
            volume = f"{name}-volume.js"
            drawn.files |= found.files | {volume: volume_script(scan, layers, volume)}
            drawn.pictures[self.data.about.id, case.id, finding.finding] = replace(found.picture, volume=volume)
        if len(seen) > 1:
            drawn.strip = f"img/{self.data.about.id}-{file_name(case.id)}-strip.svg"
            texts = {finding.finding: finding.text for finding in findings if finding.finding in seen}
            drawn.files[drawn.strip] = strip_of(scan, texts, seen, marks[:STRIP]).encode()
        return drawn

    def _read(self, scan: Scan, case: Case, finding: PublishedFinding, marks: Sequence[Marks]) -> None:
        """Add to the marks of every row what it made of a finding."""
        for row, made in zip(self.rows, marks, strict=True):
            assert row.run is not None  # noqa: S101 - rows of a data set are runs
            score = self.scores[row.run.id].get(finding.number)
            status, dice = (NOT_SCORED, 0.0) if score is None else (score.status, score.dice)
            mask = self.masks.find(row.run.id, case.id, finding.finding) if status == Status.OK else None
            made.scores[finding.finding] = status, dice
            made.masks[finding.finding] = scan.prediction(mask) if mask else None
