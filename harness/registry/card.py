"""The card of a row: what whoever submits it states, in a small TOML file; what is not stated is not known.

A card is data from outside: strict, bounded, never run. It describes masks that were made elsewhere and travels with a
row that is submitted. It is a claim: nothing in it raises the level of a row.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.errors import BenchError, DataError, UnknownName
from harness.foreign import parse_toml
from harness.host.sizes import size
from harness.registry.declaration import Prompt
from harness.status import UNKNOWN

#: Name of the file in a folder that holds one.
CARD_FILE: Final = "card.toml"

#: Bytes of the largest file that is read; entries of the longest list.
_LONGEST, _MOST = 64 * 1024, 100

_PROMPTS: Final = (*(str(prompt) for prompt in Prompt), UNKNOWN)


def _line(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError("must be one line of printable text, without spaces around it")
    return value


def _items(value: Any) -> Any:
    """Return the list of a TOML file as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _prompt(value: Any) -> Any:
    if value not in _PROMPTS:
        raise UnknownName("prompt", str(value)[:80], _PROMPTS)
    return value


def _trained_on(value: Any) -> Any:
    value = _items(value)
    if isinstance(value, str) and value != UNKNOWN:
        raise ValueError(f'must be a list, such as ["rexgroundingct/train"], [] for none of ours, or "{UNKNOWN}"')
    return value


Line = Annotated[str, Field(max_length=300), AfterValidator(_line)]
_Split = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}/[a-z0-9][a-z0-9._-]{0,63}$")]


class Card(BaseModel):
    """What is stated of a row.

    Attributes
    ----------
    who
        The person or group that answers for the row; part of its identity.
    contact, authors, paper, homepage
        How to reach them; who made the model; what to cite or read; the page of the model.
    licence
        SPDX identifier of the model's code and weights.
    prompt
        What the model was given: a :class:`~harness.registry.declaration.Prompt`, or ``"unknown"``.
    prompts_made
        How its texts or boxes were made: ``"the finding as it stands"``, ``"boxes of the truth widened by 5 %"``.
    trained_on
        The splits of our data that it was trained or selected on, as ``"rexgroundingct/train"``; empty for none of
        them; ``"unknown"`` where nobody has said.
    conflicts
        What a reader should know of: access to the reference masks, ties to the organisers; ``"none"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    who: Annotated[Line, Field(max_length=100)] = ""
    contact: Line = ""
    authors: Annotated[tuple[Line, ...], BeforeValidator(_items), Field(max_length=_MOST)] = ()
    paper: Line = ""
    homepage: Annotated[Line, Field(pattern=r"^(https://\S+)?$")] = ""
    licence: Line = ""
    prompt: Annotated[Literal["text", "structured-text", "box", "unknown"], BeforeValidator(_prompt)] = UNKNOWN
    prompts_made: Line = ""
    trained_on: Annotated[
        Annotated[tuple[_Split, ...], Field(max_length=_MOST)] | Literal["unknown"], BeforeValidator(_trained_on)
    ] = UNKNOWN
    conflicts: Line = ""

    @property
    def stated(self) -> dict[str, Any]:
        """Return what is stated, ready for JSON: fields that say nothing are left out."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def not_stated(self) -> list[str]:
        """Name the fields that say nothing."""
        return [name for name in type(self).model_fields if name not in self.stated]

    @property
    def exposure(self) -> str:
        """Return the splits that it was trained on, in the words of exposures: ``"none"``, ``"train+val"`` ..."""
        if self.trained_on == UNKNOWN:
            return UNKNOWN
        splits = {one.rpartition("/")[2] for one in self.trained_on}
        order = [*(name for name in ("train", "val", "test") if name in splits)]
        return "+".join([*order, *sorted(splits - set(order))]) or "none"

    @property
    def toml(self) -> str:
        """Return the file that :func:`read_card` reads; a field that says nothing stands in it as a comment."""
        # A JSON string or list of strings is one of TOML as well: no line of a card has a control character.
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in self.stated.items()]
        return "\n".join([*lines, *(f"# {name}: not stated" for name in self.not_stated)]) + "\n"


def read_card(path: Path) -> Card:
    """Read a card from a TOML file.

    Raises
    ------
    DataError
        The file cannot be read, is a link, is too large or not TOML, or a field has no valid value.
    UnknownName
        A key or a prompt that does not exist.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"the card {path} is a link or not a file", fix="give the file itself", path=path)
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise DataError(f"the card {path} cannot be read: {error.strerror}", fix="check its path", path=path) from error
    if len(content) > _LONGEST:
        raise DataError(f"the card {path} has more than {size(_LONGEST)}", fix="shorten it", path=path)
    try:
        table = parse_toml(content)
    except ValueError as error:
        raise DataError(f"the card {path} is not valid TOML: {error}", fix="correct it", path=path) from error
    return card_of(table, f"the card {path}", path=path)


def card_of(table: Mapping[str, Any], where: str, *, path: Path | None = None) -> Card:
    """Return the card that a table of values describes.

    Parameters
    ----------
    table
        Field -> value, as of TOML or JSON.
    where
        Begins messages: ``"the card my/card.toml"``.
    path
        The file at fault, if it is one.

    Raises
    ------
    DataError, UnknownName
        As :func:`read_card`.
    """
    for key in table:
        if key not in Card.model_fields:
            raise UnknownName(f"key of {where}", key[:80], Card.model_fields)
    try:
        return Card.model_validate(dict(table))
    except BenchError as error:
        error.message = f"{where}: {error.message}"
        raise
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        said = first["msg"].removeprefix("Value error, ")
        raise DataError(
            f"{where}: {field}: {said}", fix='see docs/leaderboard.md, "What a row states"', path=path
        ) from error
