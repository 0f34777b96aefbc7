"""JSON and TOML within bounds: bytes, levels, and digits of a number."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

#: Most bytes or characters of a document, unless its reader knows better.
MOST_BYTES: Final = 256 * 2**20

#: Objects inside objects: nothing that we read or write has more than a dozen.
MOST_LEVELS: Final = 64

#: Digits of a number: a 64-bit integer has 19, a float in full 17 and its exponent.
MOST_DIGITS: Final = 32

#: Bytes as parts of a number: digits and points as 0, an exponent's letter as E, signs as -, all others as blanks. A
#: text that has none of the patterns is read by the faster readers of numbers: none of it is too long or not finite.
_FOLDED: Final = bytes(
    next((new for old, new in ((b"0123456789.", 48), (b"eE", 69), (b"+-", 45)) if one in old), 32) for one in range(256)
)
_ODD: Final = (b"0" * (MOST_DIGITS + 1), b"0E000", b"0E-000")

#: Most bytes of a TOML text: people write them by hand.
MOST_TOML_BYTES: Final = 2**19

#: Most parts of a dotted key. The parser's time and memory go with the square of them: without a bound, 256 KiB of
#: dots cost minutes, and more memory than a machine has.
MOST_PARTS: Final = 8

#: A key, or the name of a table, of more parts: where a line or an inline table begins, or behind a comma of one.
_LONG_KEY: Final = re.compile(
    r"""(?:^[ \t]*+\[{0,2}+|[{,])(?:[ \t]*+(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.){8}""",
    re.MULTILINE,
)

Pairs = list[tuple[str, Any]]


def parse_json(
    content: bytes | str,
    *,
    most: int = MOST_BYTES,
    levels: int = MOST_LEVELS,
    finite: bool = True,
    pairs: Callable[[Pairs], Any] | None = None,
) -> Any:
    """Return the document of a JSON text.

    Parameters
    ----------
    content
        The text, or its bytes in UTF-8, with or without a byte order mark.
    most, levels
        Most bytes (or characters), and most levels.
    finite
        Whether NaN and infinities are refused: JSON has none, but Python writes them.
    pairs
        Makes an object of its keys and values, e.g. to refuse a key that is there twice; the last one counts without.

    Raises
    ------
    ValueError
        It is not JSON or not UTF-8, is too large or nested too deeply, has a number with too many digits, or one that
        is none or not finite.
    """
    if not isinstance(content, bytes | str):
        raise ValueError("it is not text")  # noqa: TRY004 - of a database's cell; every fault is a ValueError
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    folded = text.encode("utf-8", "surrogatepass").translate(_FOLDED)
    odd = any(pattern in folded for pattern in _ODD)
    try:
        document = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_int=_whole if odd else None,
            parse_float=_finite if odd and finite else None,
            parse_constant=_no_number if finite else None,
        )
    except RecursionError:
        raise ValueError(f"it is nested more than {levels} levels deep") from None
    if text.count("{") + text.count("[") <= levels:
        return document
    layer, depth = [one for one in [document] if isinstance(one, dict | list)], 0
    while layer:
        depth += 1
        if depth > levels:
            raise ValueError(f"it is nested more than {levels} levels deep")
        inner = (part for one in layer for part in (one.values() if isinstance(one, dict) else one))
        layer = [one for one in inner if isinstance(one, dict | list)]
    return document


def read_json_file(path: Path, *, most: int = MOST_BYTES, pairs: Callable[[Pairs], Any] | None = None) -> Any:
    """Return the document in a file; only a regular file is read, never a pipe or a device.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        As :func:`parse_json`, or it is not a regular file.
    """
    # A pipe would block for ever without O_NONBLOCK; it has no effect on a regular file.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        content = file.read(most + 1)
    return parse_json(content, most=most, pairs=pairs)


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has {len(text):,} digits; at most {MOST_DIGITS} are read")
    return int(text)


def _finite(text: str) -> float:
    if len(text) > 2 * MOST_DIGITS:
        raise ValueError(f"a number has {len(text):,} characters; at most {2 * MOST_DIGITS} are read")
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is not a finite number")
    return number


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def parse_toml(content: bytes | str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises
    ------
    ValueError
        It is not TOML or not UTF-8, has more than 512 KiB, is nested too deeply, or has a number of more than 64
        bits. It may have NaN and infinities, as TOML does.
    """
    if len(content) > MOST_TOML_BYTES:
        raise ValueError(f"it has more than {MOST_TOML_BYTES:,} bytes")
    text = content.decode("utf-8-sig") if isinstance(content, bytes) else content  # some editors begin with a mark
    if _LONG_KEY.search(text):
        raise ValueError(f"a key has more than {MOST_PARTS} parts")
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {MOST_LEVELS} levels deep") from None
    layer: list[Any] = [tables]
    for _ in range(MOST_LEVELS):
        layer = [part for one in layer for part in (one.values() if isinstance(one, dict) else one)]
        for one in layer:
            if isinstance(one, int) and one.bit_length() > 64:
                raise ValueError("a number has more than 64 bits")
        layer = [one for one in layer if isinstance(one, dict | list)]
        if not layer:
            return tables
    raise ValueError(f"it is nested more than {MOST_LEVELS} levels deep")
