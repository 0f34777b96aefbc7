"""The pictures of a whole site: which findings are shown, with which masks, from where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.dataset import Case, Dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.status import Status
from leaderboard.board.board import DataSet, Row
from leaderboard.gallery.delivered import Delivered
from leaderboard.gallery.drawn import DrawnCase, Key, digest_of_file, digest_of_mask, packed, unpacked
from leaderboard.gallery.strip import NOT_SCORED, Marks, strip_of
from leaderboard.pages.page import file_name, label
from leaderboard.published.database import Published, PublishedFinding, PublishedScore
from leaderboard.published.export import data_set_id
from leaderboard.published.kept import in_use
from leaderboard.published.privacy import not_allowed

if TYPE_CHECKING:
    from leaderboard.gallery.parts import Layer
    from leaderboard.gallery.pictures import Picture
    from leaderboard.gallery.scans import Marked, Scan

#: Rows whose masks are shown, the best of each ranking first.
MODELS = 12

#: Models beside the reference in the strip of a case.
STRIP = 4


@dataclass(frozen=True)
class Gallery:
    """The pictures of a site.

    Attributes
    ----------
    pictures
        By data set, case and finding.
    strips
        The address of each case's strip by (data set, case).
    undrawn
        Why there is no picture of a data set, of a case or of a finding; by its id, or the first two or all of its key.
    files
        Their files by path in the site, where they lie while the site is built.
    """

    pictures: Mapping[Key, Picture]
    strips: Mapping[tuple[str, str], str]
    undrawn: Mapping[tuple[str, ...], str]
    files: Mapping[str, Path]


def make_gallery(
    published: Published,
    board: Sequence[DataSet],
    datasets: Sequence[Dataset],
    masks_of: Callable[[Dataset], Delivered],
    log: Callable[[str], None],
    *,
    folder: Path,
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
    masks_of
        Returns the masks of the runs on a data set.
    log
        Called with a line for every data set and case.
    folder
        Where the pictures are written, a case at a time.
    public
        Whether everybody will see them.

    Raises
    ------
    DataError
        The terms of a data set do not allow that everybody sees its pictures.
    """
    pictures: dict[Key, Picture] = {}
    strips: dict[tuple[str, str], str] = {}
    undrawn: dict[tuple[str, ...], str] = {}
    files: dict[str, Path] = {}
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
            undrawn[data.about.id,] = "the data were not at hand when this page was built"
            log(
                f"no pictures of {', '.join(data.about.names)}/{data.about.split}: its data are not at hand (--dataset)"
            )
            continue
        dataset, split = at_hand[data.about.id]
        if public and (lacking := dataset.terms.lacks("images", "masks")):
            raise not_allowed(f"the pictures of {dataset.name}/{split}", lacking)
        rows = [row for row in data.rows if not row.known_answer] or list(data.rows)
        scores = {row.run.id: published.scores(row.run.id) for row in rows[:MODELS] if row.run}
        work = _Work(data, dataset, rows, masks_of(dataset), scores)
        for case in dataset.split(split):
            if case.id not in findings:
                continue
            if case.truth is None:
                undrawn[data.about.id, case.id] = "the data set at hand has no reference masks of it"
                continue
            log(f"drawing {case.id}" + ("" if case.ct else ": its masks alone, there is no CT at hand"))
            drawn = work.draw(case, findings[case.id])
            pictures |= drawn.pictures
            undrawn |= drawn.undrawn
            files |= _written(drawn, folder, len(files))
            if drawn.strip:
                strips[data.about.id, case.id] = drawn.strip
    return Gallery(pictures, strips, undrawn, files)


def _written(drawn: DrawnCase, folder: Path, number: int) -> dict[str, Path]:
    """Write the files of a case, named by numbers from one on; return them by their path in the site."""
    files = {f"cases/{path}": folder / str(place) for place, path in enumerate(drawn.files, number)}
    for path, content in zip(files.values(), drawn.files.values(), strict=True):
        path.write_bytes(content)
    return files


@dataclass(frozen=True)
class _Work:
    """One data set and its rows; the masks of the first of them are drawn."""

    data: DataSet
    dataset: Dataset
    rows: Sequence[Row]
    masks: Delivered
    scores: Mapping[str, Mapping[int, PublishedScore]]

    def draw(self, case: Case, findings: Sequence[PublishedFinding]) -> DrawnCase:
        """Draw every finding of a case of which there is a mask, and a strip where there are several of them.

        What an earlier build drew of the same CT and the same masks is taken over. The masks are read in any case: they
        are drawn only where they are still those that were scored.
        """
        from leaderboard.gallery.scans import Scan

        grid = Scan(case, None)
        truth = grid.truth(self.dataset.mask_flip)
        channels = {named.id: named.index for named in case.findings}
        references = {finding.finding: truth.get(channels.get(finding.finding, -1)) for finding in findings}
        marks, reasons = self._read(grid, findings)
        about = case.shape, case.spacing, case.affine and [list(line) for line in case.affine]
        inputs = (
            self.data.about.id,
            case.id,
            repr(about),
            case.ct and digest_of_file(case.ct),
            [repr(finding) for finding in findings],
            [(name, digest_of_mask(mask)) for name, mask in references.items()],
            [
                (run, row.title, repr(row.scores), [(name, digest_of_mask(mask)) for name, mask in row.masks.items()])
                for run, row in marks
            ],
            repr(reasons),
        )
        return unpacked(
            in_use().content("case", inputs, lambda: packed(self._drawn(case, findings, references, marks, reasons)))
        )

    def _drawn(
        self,
        case: Case,
        findings: Sequence[PublishedFinding],
        references: Mapping[str, Marked | None],
        marks: Sequence[tuple[str, Marks]],
        reasons: Mapping[str, Sequence[tuple[str, str]]],
    ) -> DrawnCase:
        from leaderboard.gallery.choice import choose_slices
        from leaderboard.gallery.pictures import draw_finding, draw_slices
        from leaderboard.gallery.scans import read_scan
        from leaderboard.gallery.volumes import volume_script

        scan = read_scan(case)
        drawn = DrawnCase()
        layers: dict[str, list[Layer]] = {}
        for finding in findings:
            found = self._layers(scan, finding.finding, references[finding.finding], marks)
            if found:
                layers[finding.finding] = found
            else:
                drawn.undrawn[self.data.about.id, case.id, finding.finding] = (
                    "the reference marks nothing, and no mask at hand does"
                )
        depths = choose_slices(list(layers.values()), scan.shape[2])
        base = f"img/{self.data.about.id}-{file_name(case.id)}"
        drawn.files |= draw_slices(scan, depths, f"{base}-ct") if layers else {}
        for id_, of in layers.items():
            name = f"{base}-{file_name(id_)}"
            one = draw_finding(scan, of, depths, ct=f"{base}-ct", name=name, undrawn=reasons[id_])
            drawn.files |= one.files
            picture = one.picture
            if scan.stored is not None:
                volume = f"{name}-volume.js"
                drawn.files[volume] = volume_script(scan, of, volume)
                picture = replace(picture, volume=volume, volume_bytes=len(drawn.files[volume]))
            drawn.pictures[self.data.about.id, case.id, id_] = picture
        seen = {finding: mask.points for finding, mask in references.items() if mask is not None and len(mask.points)}
        if len(seen) > 1:
            drawn.strip = f"{base}-strip.svg"
            texts = {finding.finding: finding.text for finding in findings if finding.finding in seen}
            drawn.files[drawn.strip] = strip_of(scan, texts, seen, [row for _, row in marks[:STRIP]]).encode()
        return drawn

    def _layers(
        self, scan: Scan, finding: str, reference: Marked | None, marks: Sequence[tuple[str, Marks]]
    ) -> list[Layer]:
        """Return the reference and the masks of a finding, a mask that is not empty first; nothing without one."""
        from leaderboard.gallery.parts import model_layer, reference_layer

        truth = reference if reference is not None and len(reference.points) else None
        layers = [] if truth is None else [reference_layer(truth, scan)]
        models = [
            model_layer(run, row.title, points, scan, reference=truth, dice=row.scores[finding][1])
            for run, row in marks
            if (points := row.masks[finding]) is not None
        ]
        if truth is None:
            models.sort(key=lambda layer: not len(layer.points))
        layers += models
        return layers if layers and len(layers[0].points) else []

    def _read(
        self, scan: Scan, findings: Sequence[PublishedFinding]
    ) -> tuple[list[tuple[str, Marks]], dict[str, list[tuple[str, str]]]]:
        """Read what the first rows made of a case; return it by run, and by finding what of all rows is not drawn."""
        marks = []
        reasons: dict[str, list[tuple[str, str]]] = {finding.finding: [] for finding in findings}
        for place, row in enumerate(self.rows):
            assert row.run is not None  # noqa: S101 - rows of a data set are runs
            title = label(row)
            if place >= MODELS:
                for undrawn in reasons.values():
                    undrawn.append((title, f"the masks of {MODELS} rows are drawn, and it is further down"))
                continue
            made = Marks(title, {}, {})
            delivered = self.masks.masks(row.run.id, scan)
            for finding in findings:
                score = self.scores[row.run.id].get(finding.number)
                status, dice = (NOT_SCORED, 0.0) if score is None else (score.status, score.dice)
                mask = delivered.get(finding.finding, NOT_SCORED) if status == Status.OK else status.replace("_", " ")
                made.scores[finding.finding] = status, dice
                made.masks[finding.finding] = None
                if isinstance(mask, str):
                    reasons[finding.finding].append((title, mask))
                else:
                    made.masks[finding.finding] = mask
            marks.append((row.run.id, made))
        return marks, reasons
