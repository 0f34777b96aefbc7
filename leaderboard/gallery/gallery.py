"""The pictures of a whole site: which findings are shown, with which masks, from where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.dataset import Case, Dataset
from harness.dataset.fingerprint import fingerprint_of
from leaderboard.board.board import DataSet, Row
from leaderboard.gallery.delivered import Delivered
from leaderboard.pages.page import file_name, label
from leaderboard.published.database import Published, PublishedFinding
from leaderboard.published.export import data_set_id
from leaderboard.published.privacy import not_allowed

if TYPE_CHECKING:
    from leaderboard.gallery.pictures import Layer, Picture
    from leaderboard.gallery.scans import Points, Scan

#: Models whose masks are shown for a finding.
MODELS = 8

#: (data set, case, finding).
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Gallery:
    """The pictures, and the files that they need by their path in the site."""

    pictures: Mapping[Key, Picture]
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
                for key, picture, drawn in work.draw(case, findings[case.id]):
                    pictures[key] = picture
                    files |= drawn
    return Gallery(pictures, files)


@dataclass(frozen=True)
class _Work:
    """One data set and the rows whose masks are shown on it."""

    data: DataSet
    dataset: Dataset
    rows: Sequence[Row]
    masks: Delivered
    scores: Mapping[str, Mapping[int, tuple[str, float]]]

    def draw(self, case: Case, findings: Sequence[PublishedFinding]) -> Iterator[tuple[Key, Picture, dict[str, bytes]]]:
        from leaderboard.gallery.pictures import draw_finding
        from leaderboard.gallery.scans import read_scan
        from leaderboard.gallery.volumes import volume_script

        scan = read_scan(case)
        truth = scan.truth(self.dataset.mask_flip)
        channels = {named.id: named.index for named in case.findings}
        for finding in findings:
            reference = truth.get(channels.get(finding.finding, -1))
            if reference is None or not len(reference):
                continue
            layers = list(self._layers(scan, reference, case, finding))
            name = f"img/{self.data.about.id}-{file_name(case.id)}-{file_name(finding.finding)}"
            drawn = draw_finding(scan, layers, name)
            volume = f"{name}-volume.js"
            files = drawn.files | {volume: volume_script(scan, layers, volume)}
            key = (self.data.about.id, case.id, finding.finding)
            yield key, replace(drawn.picture, volume=volume), {f"cases/{path}": data for path, data in files.items()}

    def _layers(self, scan: Scan, reference: Points, case: Case, finding: PublishedFinding) -> Iterator[Layer]:
        from leaderboard.gallery.pictures import Layer

        yield Layer("Reference", reference)
        for row in self.rows:
            assert row.run is not None  # noqa: S101 - rows of a data set are runs
            status, dice = self.scores[row.run.id].get(finding.number, ("", 0.0))
            mask = self.masks.find(row.run.id, case.id, finding.finding) if status == "ok" else None
            points = scan.prediction(mask) if mask else None
            if points is not None:
                yield Layer(label(row), points, dice)
