"""One case as a strip of pictures (paper, Figure 4): all its findings on one slice, the reference and then each row.

A finding has one colour, one pattern and one number in every picture, so that it is known on paper without colours too.
The strip is an SVG that needs nothing beside itself; the same case and masks give the same bytes.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.status import Status
from leaderboard.gallery.pictures import WINDOWS, grey_slice, size_of
from leaderboard.gallery.scans import Points, Scan

#: Colours that remain apart for people who see few colours (Okabe and Ito), bright enough on a lung window.
COLOURS = ("#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#00b488", "#ff7f50", "#ffffff", "#7f9fff")

#: Patterns, each in a tile of 8 x 8: lines that rise, fall, lie, stand, cross, and dots.
_PATTERNS = (
    '<path d="M-2 2L2-2M0 8L8 0M6 10L10 6" {line}/>',
    '<path d="M-2 6L2 10M0 0L8 8M6-2L10 2" {line}/>',
    '<path d="M0 4H8" {line}/>',
    '<path d="M4 0V8" {line}/>',
    '<circle cx="4" cy="4" r="1.7" fill="{colour}"/>',
    '<path d="M0 4H8M4 0V8" {line}/>',
    '<path d="M0 8L8 0M0 0L8 8" {line}/>',
)

# In pixels: longer side of a picture, its least width, between pictures, round all, a line of text, a swatch.
_PANEL, _COLUMN, _GAP, _MARGIN, _LINE, _SWATCH = 280, 190, 14, 16, 18, 13
_NUMBER, _HIDDEN, _BESIDE = 7.5, 24, 20  # radius of a number; a mask that it would hide; how far beside it stands
_DIGITS = 2  # that have room in a number
_LETTER = 6.7  # pixels that a letter takes on average, in the size of the text
_LINES = 6  # of a finding's text; more are cut
_FONT = "Arial, Helvetica, Liberation Sans, sans-serif"
_INK, _GREY = "#111111", "#555555"

#: Stands for the status of a finding that a row was not scored on.
NOT_SCORED = "not scored"

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class StripColumn:
    """One picture of a strip.

    Attributes
    ----------
    title
        Whose masks they are.
    masks
        The voxels (n, 3) of each finding's mask on the axes of the scan; None where there is none to draw.
    notes
        What stands under the picture for each finding, such as its score.
    """

    title: str
    masks: Sequence[Points | None]
    notes: Sequence[str]


@dataclass(frozen=True)
class Strip:
    """What a strip shows.

    Attributes
    ----------
    title
        Above all.
    numbers, texts
        The number and the text of each finding.
    columns
        The reference first.
    lines
        Below all.
    """

    title: str
    numbers: Sequence[str]
    texts: Sequence[str]
    columns: Sequence[StripColumn]
    lines: Sequence[str]


@dataclass(frozen=True)
class Marks:
    """What one row made of a case.

    Attributes
    ----------
    title
        Whose masks they are.
    scores
        Finding -> (status, Dice).
    masks
        Finding -> its voxels (n, 3) on the axes of the scan; None where the mask is not at hand.
    """

    title: str
    scores: dict[str, tuple[str, float]]
    masks: dict[str, Points | None]


def strip_of(
    scan: Scan,
    texts: Mapping[str, str],
    truth: Mapping[str, Points],
    rows: Sequence[Marks],
    *,
    z: int | None = None,
    title: str = "",
    lines: Sequence[str] = (),
) -> str:
    """Draw the reference and the rows as an SVG, with the rule by which the slice was chosen below them.

    Parameters
    ----------
    scan
        The CT.
    texts
        Finding -> its text. A finding's number is its name where all names are so short, else its place from 1 on.
    truth
        Finding -> the voxels (n, 3) of its reference mask, at least one of them not empty.
    rows
        The rows, from left to right.
    z
        The axial slice; None for :func:`choose_slice`.
    title, lines
        Above all; below all.
    """
    chosen = choose_slice(list(truth.values())) if z is None else z
    sizes = [
        f"{len(truth[finding]):,} voxels{'' if (truth[finding][:, 2] == chosen).any() else ', none on this slice'}"
        for finding in texts
    ]
    columns = [StripColumn("Reference", [truth[finding] for finding in texts], sizes)]
    for row in rows:
        masks = [row.masks.get(finding) for finding in texts]
        columns.append(StripColumn(row.title, masks, [_note(row, finding) for finding in texts]))
    rule = _rule(scan, chosen, named=z is not None)
    short = all(len(finding) <= _DIGITS for finding in texts)
    numbers = list(texts) if short else [str(place) for place in range(1, len(texts) + 1)]
    return draw_strip(scan, chosen, Strip(title, numbers, list(texts.values()), columns, [rule, *lines]))


def _note(row: Marks, finding: str) -> str:
    status, dice = row.scores.get(finding, (NOT_SCORED, 0.0))
    if status != Status.OK:
        return f"no mask: {status.replace('_', ' ')}"
    return f"Dice {dice:.3f}" + ("" if row.masks.get(finding) is not None else ", mask not at hand")


def _rule(scan: Scan, z: int, *, named: bool) -> str:
    """Say which slice is shown, and why this one; `named`: whether a person chose it."""
    where = f"Axial slice {z} of {scan.shape[2]}, counted from 0"
    dice = "Dice is that of the whole finding, not of this slice."
    why = "that was asked for" if named else "that shows most findings of the reference, and of such the most voxels"
    if not scan.sided:
        return f"{where}: the one {why}. There is no CT at hand, so the sides are not known. {dice}"
    low, high = (f"{limit:,.0f}".replace("-", "\N{MINUS SIGN}") for limit in WINDOWS["Lung"])
    sides = "the patient's right is on the left"
    return f"{where} at the feet: the one {why}. Lung window, {low} to {high} HU; {sides}. {dice}"


def choose_slice(truths: Sequence[Points]) -> int:
    """Choose the axial slice on which most findings have voxels; of such slices the one with most voxels; the lowest.

    Parameters
    ----------
    truths
        The voxels (n, 3) of every finding's reference mask, at least one of them not empty.
    """
    depth = max(int(points[:, 2].max()) for points in truths if len(points)) + 1
    areas = np.stack([np.bincount(points[:, 2], minlength=depth) for points in truths])
    seen, voxels = (areas > 0).sum(axis=0), areas.sum(axis=0)
    return max(range(depth), key=lambda z: (seen[z], voxels[z], -z))


def draw_strip(scan: Scan, z: int, strip: Strip) -> str:
    """Return a strip as an SVG.

    Parameters
    ----------
    scan
        The CT.
    z
        The axial slice, counted from 0 at the lowest.
    strip
        What is shown; every column has a mask and a note for each finding.
    """
    picture = size_of(scan, _PANEL)
    column = max(picture[0], _COLUMN)
    width = 2 * _MARGIN + len(strip.columns) * (column + _GAP) - _GAP
    page = _Page(width)
    if strip.title:
        page.text(strip.title, size=15, bold=True)
    heads = [_wrapped(one.title, column, lines=2) for one in strip.columns]
    top = page.y + 6 + _LINE * max(map(len, heads))
    for number, (one, head) in enumerate(zip(strip.columns, heads, strict=True)):
        left = _MARGIN + number * (column + _GAP)
        for above, words in enumerate(reversed(head)):
            page.put(left, top - 6 - _LINE * above, words, bold=True)
        page.parts += _picture(scan, z, one, strip.numbers, (left, top))
        for place, note in enumerate(one.notes):
            base = top + picture[1] + 10 + _LINE * place
            page.swatch(left, base, place)
            page.put(left + _SWATCH + 6, base + 11, f"{strip.numbers[place]}  {note}")
    page.y = top + picture[1] + 10 + _LINE * len(strip.texts) + 10
    for place, text in enumerate(strip.texts):
        page.swatch(_MARGIN, page.y + 5, place)
        lines = _wrapped(f"{strip.numbers[place]}  {text}", width - 2 * _MARGIN - _SWATCH - 6, lines=_LINES)
        for words in lines:
            page.text(words, left=_MARGIN + _SWATCH + 6)
    page.y += 6
    for line in strip.lines:
        for words in _wrapped(line, (width - 2 * _MARGIN) * 13 / 11):
            page.text(words, size=11, colour=_GREY)
    return page.svg(strip.title or "All findings of a case", _definitions(scan, z, len(strip.texts)))


def to_png(svg: str) -> bytes:
    """Draw an SVG as a PNG, two pixels for each of its own."""
    import vl_convert
    from PIL import Image as pil  # noqa: N813 - the module's own name is that of its class

    drawn, smaller = io.BytesIO(vl_convert.svg_to_png(svg, scale=2)), io.BytesIO()
    with pil.open(drawn) as image:
        image.convert("RGB").save(smaller, "PNG", optimize=True)
    return smaller.getvalue()


class _Page:
    """An SVG that is written from the top down."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.y = _MARGIN
        self.parts: list[str] = []

    def text(self, words: str, *, left: int = _MARGIN, size: int = 13, bold: bool = False, colour: str = _INK) -> None:
        """Write a line below what is there."""
        self.y += _LINE
        self.put(left, self.y - 2, words, size=size, bold=bold, colour=colour)

    def put(self, x: float, y: float, words: str, *, size: int = 13, bold: bool = False, colour: str = _INK) -> None:
        """Write a line that stands on `y`."""
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}"{weight}>{_text(words)}</text>')

    def swatch(self, x: float, y: float, place: int) -> None:
        """Draw the colour and the pattern of a finding."""
        square = f'<rect x="{x}" y="{y}" width="{_SWATCH}" height="{_SWATCH}"'
        self.parts.append(f'{square} fill="#333"/>{square} fill="url(#f{place})" stroke="{_colour(place)}"/>')

    def svg(self, title: str, definitions: str) -> str:
        """Return the whole."""
        height = self.y + _MARGIN
        size = f'width="{self.width}" height="{height}" viewBox="0 0 {self.width} {height}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{_FONT}" role="img">'
            f"<title>{_text(title)}</title><defs>{definitions}</defs>"
            f'<rect width="{self.width}" height="{height}" fill="#ffffff"/>{"".join(self.parts)}</svg>\n'
        )


def _definitions(scan: Scan, z: int, findings: int) -> str:
    """Return the slice, once for all columns, and the pattern of every finding."""
    width, height = size_of(scan, _PANEL)
    stream = io.BytesIO()
    grey_slice(scan, z, WINDOWS["Lung"], size_of(scan, 2 * _PANEL)).save(stream, "PNG", optimize=True)
    ct = base64.b64encode(stream.getvalue()).decode()
    image = f'<image id="ct" width="{width}" height="{height}" href="data:image/png;base64,{ct}"/>'
    patterns = []
    for place in range(findings):
        colour = _colour(place)
        # Another round of colours comes with other patterns.
        drawn = _PATTERNS[(place + place // len(COLOURS)) % len(_PATTERNS)].format(
            line=f'stroke="{colour}" stroke-width="1.3" fill="none"', colour=colour
        )
        patterns.append(
            f'<pattern id="f{place}" width="8" height="8" patternUnits="userSpaceOnUse">'
            f'<rect width="8" height="8" fill="{colour}" fill-opacity="0.22"/>{drawn}</pattern>'
        )
    return image + "".join(patterns)


def _picture(scan: Scan, z: int, column: StripColumn, numbers: Sequence[str], corner: tuple[int, int]) -> Iterator[str]:
    """Draw the slice with the masks of one column: large ones below, outlines above all insides, numbers on top."""
    width, height = size_of(scan, _PANEL)
    scale = width / scan.shape[0], height / scan.shape[1]
    yield f'<g transform="translate({corner[0]} {corner[1]})"><use href="#ct"/>'
    drawn = [(place, mask) for place, points in enumerate(column.masks) if (mask := _on_slice(points, scan, z)).any()]
    drawn.sort(key=lambda one: -int(one[1].sum()))
    for place, mask in drawn:
        yield f'<path d="{_inside(mask, scale)}" fill="url(#f{place})" shape-rendering="crispEdges"/>'
    for place, mask in drawn:
        yield f'<path d="{_outline(mask, scale)}" fill="none" stroke="{_colour(place)}" stroke-width="1.4"/>'
    placed: list[tuple[float, float]] = []
    for place, mask in sorted(drawn, key=lambda one: int(one[1].sum())):  # a small finding has less room for its number
        x, y, leader = _label(mask, scale, placed, (width, height))
        placed.append((x, y))
        ring = f'stroke="{_colour(place)}"'
        yield leader.format(ring=ring)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_NUMBER}" fill="#000" fill-opacity="0.75" {ring}/>'
        words = _text(numbers[place])
        yield f'<text x="{x:.1f}" y="{y + 3.6:.1f}" font-size="10" fill="#fff" text-anchor="middle">{words}</text>'
    for x, side in ((6, "R"), (width - 13, "L")) if scan.sided else ():
        halo = 'stroke="#000" stroke-width="2.5" paint-order="stroke"'  # readable on bright tissue as well
        yield f'<text x="{x}" y="{height // 2}" font-size="11" fill="#fff" {halo}>{side}</text>'
    yield "</g>"


def _on_slice(points: Points | None, scan: Scan, z: int) -> Bools:
    """Return a mask on a slice, (x, y)."""
    mask = np.zeros(scan.shape[:2], bool)
    if points is not None:
        here = points[points[:, 2] == z]
        mask[here[:, 0], here[:, 1]] = True
    return mask


def _runs(mask: Bools) -> Iterator[tuple[int, int, int]]:
    """Yield (first, from, to below) of every run of true values along the second axis."""
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    yield from zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True)


def _inside(mask: Bools, scale: tuple[float, float]) -> str:
    """Return the path of a mask's pixels, one rectangle for each run along y."""
    sx, sy = scale
    return "".join(f"M{_n(x * sx)} {_n(a * sy)}h{_n(sx)}V{_n(b * sy)}h{_n(-sx)}z" for x, a, b in _runs(mask))


def _outline(mask: Bools, scale: tuple[float, float]) -> str:
    """Return the path of the edges between a mask's pixels and all others."""
    sx, sy = scale
    padded = np.pad(mask, 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]  # edge at x, along y
    along = (padded[1:-1, 1:] != padded[1:-1, :-1]).T  # edge at y, along x
    return "".join(
        [f"M{_n(x * sx)} {_n(a * sy)}V{_n(b * sy)}" for x, a, b in _runs(across)]
        + [f"M{_n(a * sx)} {_n(y * sy)}H{_n(b * sx)}" for y, a, b in _runs(along)]
    )


def _label(
    mask: Bools, scale: tuple[float, float], placed: Sequence[tuple[float, float]], size: tuple[int, int]
) -> tuple[float, float, str]:
    """Choose where a number stands, and the line that leads from there to a mask that it would hide.

    It stands on the pixel nearest to the middle of the mask that is clear of other numbers; beside a mask that is not
    much larger than the number.
    """
    pixels = (np.argwhere(mask) + 0.5) * scale
    middle = pixels.mean(axis=0)
    if len(pixels) * scale[0] * scale[1] < _HIDDEN**2:
        middle = pixels[((pixels - middle) ** 2).sum(axis=1).argmin()]
        steps = np.array([(1, -1), (-1, -1), (1, 1), (-1, 1)]) * _BESIDE
        spots = np.clip(middle + steps, _NUMBER + 1, np.array(size) - _NUMBER - 1)
        x, y = spots[next(iter(np.flatnonzero(_clear(spots, placed))), 0)]
        leader = f'<path d="M{_n(middle[0])} {_n(middle[1])}L{_n(x)} {_n(y)}" {{ring}}/>'
        return float(x), float(y), leader
    order = np.argsort(((pixels - middle) ** 2).sum(axis=1), kind="stable")
    clear = _clear(pixels, placed)
    x, y = pixels[next((i for i in order if clear[i]), order[0])]
    return float(x), float(y), ""


def _clear(spots: NDArray[np.floating[Any]], placed: Sequence[tuple[float, float]]) -> Bools:
    """Return which of some places are so far from the numbers there are that these can be read."""
    clear = np.ones(len(spots), bool)
    for other in placed:
        clear &= ((spots - other) ** 2).sum(axis=1) >= (2 * _NUMBER + 2) ** 2
    return clear


def _wrapped(words: str, width: float, *, lines: int | None = None) -> list[str]:
    letters = max(10, int(width / _LETTER))
    return textwrap.wrap(words, letters, max_lines=lines, placeholder=" …") or [""]


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _n(value: float) -> str:
    """Write a coordinate with two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(words: str) -> str:
    """Return text as it may stand in XML; it was written by others."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words))
