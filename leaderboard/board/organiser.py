"""What the organiser of a board says on it: a file ``board.toml`` with title, text, contact, rules, logo and order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harness.errors import DataError
from harness.foreign import parse_toml
from leaderboard.published.database import DataSetRow

#: First bytes of the pictures that a logo may be, and the ending of the file that it becomes.
_PICTURES: Final = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}

#: Most bytes of a logo, and of the file itself.
LOGO_BYTES, FILE_BYTES = 100_000, 64_000

Line = Annotated[str, Field(max_length=200)]


class Organiser(BaseModel):
    """What an organiser states of a board.

    Attributes
    ----------
    title, who
        The board's name; the person or group that answers for it.
    text, rules
        What stands on the front page and on the page for submissions: paragraphs apart by an empty line; one rule each.
    contact
        An ``https://`` address, a mail address, or words.
    logo
        A PNG, JPEG or WebP file, from the folder of ``board.toml``.
    order
        Data sets as ``NAME/SPLIT``, in the order of the board; those that are not named come after them.
    address
        Where the board is hosted, an ``https://`` address of a folder: feed, citations and cards then name it.
    docs
        Where the documentation's site is hosted, such an address; pages that name the documentation then link to it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Line = "groundbench leaderboard"
    who: Line = ""
    text: Annotated[str, Field(max_length=10_000)] = ""
    rules: tuple[str, ...] = ()
    contact: Line = ""
    logo: str = ""
    order: tuple[Line, ...] = ()
    address: Line = ""
    docs: Line = ""

    @field_validator("title", "who", "contact")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("is not one line of text")
        return value.strip()

    @field_validator("address", "docs")
    @classmethod
    def _folder(cls, value: str) -> str:
        if value and not re.fullmatch(r"https://[A-Za-z0-9.-]+(:\d+)?(/[A-Za-z0-9._~%-]+)*/?", value):
            raise ValueError("is not an https:// address of a folder")
        return value and value.rstrip("/") + "/"

    @property
    def paragraphs(self) -> list[str]:
        """The text, paragraph by paragraph."""
        return [part.strip() for part in re.split(r"\n\s*\n", self.text) if part.strip()]

    @property
    def contact_address(self) -> str:
        """Where a link to the contact leads; empty for words."""
        if self.contact.startswith("https://") and " " not in self.contact:
            return self.contact
        return f"mailto:{self.contact}" if re.fullmatch(r"[^\s@<>\"?&]+@[^\s@<>\"?&]+", self.contact) else ""

    def in_order(self, data_sets: Iterable[DataSetRow]) -> list[str]:
        """Return the ids of data sets in the order of the board."""
        places = {name: place for place, name in enumerate(self.order)}
        found = list(data_sets)
        found.sort(key=lambda data: min(places.get(f"{name}/{data.split}", len(places)) for name in data.names))
        return [data.id for data in found]

    def unknown(self, data_sets: Iterable[DataSetRow]) -> list[str]:
        """Return the names of the order that no data set has."""
        known = {f"{name}/{data.split}" for data in data_sets for name in data.names}
        return [name for name in self.order if name not in known]


def read_organiser(path: Path) -> tuple[Organiser, dict[str, bytes]]:
    """Read a ``board.toml``; returns it and the logo as a file of the site, by its path there.

    Raises
    ------
    DataError
        It cannot be read, has an unknown key or a value of another form, or the logo is not a small picture.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(FILE_BYTES + 1)
        if len(content) > FILE_BYTES:
            raise DataError(f"{path} is larger than {FILE_BYTES:,} bytes", fix="shorten its text")
        organiser = Organiser.model_validate(parse_toml(content))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", fix="name a readable file with --board") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {where}: {first['msg']}", fix="docs/leaderboard.md lists the keys") from error
    except ValueError as error:
        raise DataError(f"{path} is not a TOML file: {error}", fix="docs/leaderboard.md has an example") from error
    return organiser, _logo(path, organiser) if organiser.logo else {}


def _logo(path: Path, organiser: Organiser) -> dict[str, bytes]:
    logo = path.parent / organiser.logo
    try:
        with logo.open("rb") as stream:
            content = stream.read(LOGO_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot read the logo {logo}: {error.strerror}", fix=f"correct `logo` in {path}") from error
    ending = next((ending for first, ending in _PICTURES.items() if content.startswith(first)), None)
    if ending is None or len(content) > LOGO_BYTES:
        raise DataError(
            f"the logo {logo} is not a PNG, JPEG or WebP picture of at most {LOGO_BYTES:,} bytes",
            fix=f"correct `logo` in {path}",
        )
    return {f"assets/logo.{ending}": content}
