"""The options that state what masks made elsewhere were made with: a card, and its main fields one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.registry.card import Card

#: Word of ``--trained-on`` for none of our data.
_NONE = "none"

_OPTIONS = (
    click.option("--card", type=click.Path(path_type=Path), metavar="FILE", help="A card (TOML) that states the rest."),
    click.option("--who", metavar="NAME", help="The person or group that answers for the row."),
    click.option("--prompt", metavar="WORD", help="What the model was given: text, structured-text, box or unknown."),
    click.option(
        "--trained-on",
        multiple=True,
        metavar="NAME/SPLIT",
        help="A split of our data that the model was trained on, such as rexgroundingct/train; none for none of ours, "
        "or unknown. May be repeated.",
    ),
    click.option("--licence", metavar="SPDX", help="Licence of the model's code and weights."),
)


def card_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; :func:`stated_card` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def stated_card(card: Path | None, *, trained_on: tuple[str, ...], **stated: str | None) -> Card:
    """Return the card of a file with what options state.

    Parameters
    ----------
    card
        The file; None without one.
    trained_on, stated
        The values of the options; None and empty ones state nothing.

    Raises
    ------
    UsageError
        When an option and the card contradict each other, or a value is not valid.
    DataError
        When the file is not a valid card.
    """
    from harness.registry.card import Card, card_of, read_card

    of_file = Card() if card is None else read_card(card)
    given: dict[str, Any] = {name: value for name, value in stated.items() if value is not None}
    if trained_on:
        first, *more = trained_on
        words: dict[str, Any] = {} if more else {_NONE: [], "unknown": "unknown"}
        given["trained_on"] = words.get(first, list(trained_on))
    of_options = card_of(given, "what is stated by options")
    for name, value in of_options.stated.items():
        if of_file.stated.get(name, value) != value:
            raise UsageError(
                f"--{name.replace('_', '-')} states {value!r}, and {card} states {of_file.stated[name]!r}",
                fix="leave one of them out",
            )
    return card_of(of_file.stated | of_options.stated, "the card")
