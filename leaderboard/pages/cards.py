"""Social cards: one picture for the board and one for each row, as other pages show them beside a link."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

from leaderboard.board.board import DataSet, Row
from leaderboard.pages.page import brief, file_name
from leaderboard.pages.site import Site
from leaderboard.published.kept import Kept, in_use

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

#: Pixels of a card, and its margin.
SIZE, MARGIN = (1200, 630), 80

#: The card of the board.
BOARD: Final = "cards/board.png"


def card_address(run: str) -> str:
    """Return the path of the card of a run."""
    return f"cards/{file_name(run)}.png"


def has_card(row: Row) -> bool:
    """Return whether a row has a card: those that a newer run replaced have none."""
    return not row.replaced


def cards(site: Site) -> Iterator[tuple[str, Kept]]:
    """Yield (path, PNG) of every card."""
    count = sum(len(data.ranked) for data in site.board)
    yield BOARD, draw(site.organiser.title, "How well models find what a report says", f"{count} ranked rows", "")
    for data in site.board:
        for row in data.rows:
            if row.run and has_card(row):
                yield card_address(row.run.id), draw(site.organiser.title, *_words(data, row), share=_share(row))


def _share(row: Row) -> tuple[float, float, float] | None:
    score = row.scores["average"]
    return None if score.value is None else (score.low or score.value, score.value, score.high or score.value)


def _words(data: DataSet, row: Row) -> tuple[str, str, str]:
    score = row.scores["average"]
    dice = "no score" if score.value is None else f"Dice {score.value:.3f}"
    between = "" if score.low is None or score.high is None else f"95 % interval {score.low:.3f} to {score.high:.3f}, "
    standing = f"not ranked: {row.reasons[0]}" if row.reasons else "ranked"
    return (
        f"{brief(row.title, 36)}, {brief(row.variant, 24)}",
        dice,
        f"{between}{brief(data.title, 40)}\n{brief(standing, 70)}",
    )


def draw(board: str, title: str, big: str, small: str, share: tuple[float, float, float] | None = None) -> Kept:
    """Draw a card: the board's name, a title, one large line, small lines, and a score with its interval on a bar.

    Parameters
    ----------
    board, title, big, small
        Texts; letters that the font does not have become empty boxes.
    share
        Low end, value and high end, from 0 to 1.
    """
    inputs = board, title, big, small, share
    return in_use().result("card", inputs, lambda: _draw(*inputs))


def _draw(board: str, title: str, big: str, small: str, share: tuple[float, float, float] | None) -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("L", SIZE, 255)
    pen = ImageDraw.Draw(image)
    width = SIZE[0] - 2 * MARGIN
    pen.rectangle((0, 0, SIZE[0], 18), fill=60)
    for y, text, size in ((70, board, 34), (140, title, 56), (250, big, 104)):
        pen.text((MARGIN, y), _fitting(text, size, width), font=_font(size), fill=0)
    for number, line in enumerate(small.split("\n")):
        pen.text((MARGIN, 400 + 46 * number), _fitting(line, 32, width), font=_font(32), fill=70)
    if share:
        low, value, high = (MARGIN + round(end * width) for end in share)
        pen.rectangle((MARGIN, 538, MARGIN + width, 542), fill=200)
        pen.rectangle((low, 534, high, 546), fill=60)
        pen.ellipse((value - 14, 526, value + 14, 554), fill=60)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@cache
def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _fitting(text: str, size: int, width: int) -> str:
    """Cut a text to a width in pixels."""
    text = "".join(letter if letter.isprintable() else " " for letter in brief(text, 120))
    while text and _font(size).getlength(text) > width:
        text = text[:-2] + "…"
    return text
