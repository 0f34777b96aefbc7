"""JSON from a stranger: bounded in depth, without duplicate keys, without numbers that are none, in one form."""

from __future__ import annotations

import json
from typing import Any, Final

from harness.errors import DataError
from harness.foreign import parse_json
from harness.submissions.text_files import plain, shown

#: Objects inside objects; characters of a text; entries of one object or list.
_DEEPEST: Final = 24
_LONGEST: Final = 20_000
_MOST: Final = 100_000


def read_json(content: bytes, name: str) -> Any:
    """Return the document of a file that :func:`write_json` wrote.

    Parameters
    ----------
    content, name
        The bytes, and the name of the file for messages.

    Raises
    ------
    DataError
        It is not JSON, is nested too deeply, repeats a key, holds NaN or an infinity, or is not in the one form that
        `write_json` gives the same document.
    """
    try:
        document = parse_json(content, levels=_DEEPEST, pairs=_unique)
        _check(document)
    except ValueError as error:  # of UTF-8, of JSON, of numbers with thousands of digits, and of the rules above
        raise _refused(name, f"is not valid: {shown(error)}") from error
    if write_json(document) != content:
        raise _refused(name, "is not in the form in which `bench submit` writes it")
    return document


def write_json(document: Any) -> bytes:
    """Return a document in its one form: sorted keys, one value a line, every digit, UTF-8."""
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _refused(name: str, why: str) -> DataError:
    return DataError(f"{name} {why}", fix="make the folder again with `bench submit`, and change nothing in it")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _check(value: Any) -> None:
    if isinstance(value, str) and (len(value) > _LONGEST or not plain(value)):
        raise ValueError(f"the text {shown(value, 40)!r} is too long or has control characters")
    if isinstance(value, dict | list):
        if len(value) > _MOST:
            raise ValueError(f"more than {_MOST} entries in one place")
        for inner in (*value, *value.values()) if isinstance(value, dict) else value:
            _check(inner)
