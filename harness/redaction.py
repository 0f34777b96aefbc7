"""Removes passwords and tokens from text that is kept or published: a program's last words may hold its environment.

What is removed: values that this machine is known to keep secret, the user part of addresses, tokens with the form of
a known service, and what stands beside a word such as ``password``. A secret of no known form cannot be recognised.
What leaves the machine also loses its paths and the names of hosts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

REMOVED = "[removed]"

_NAMES = re.compile(r"PASSW|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL", re.IGNORECASE)

#: Shorter values are words and numbers that occur in any text.
_LEAST = 8

#: Parts of an address before the host; tokens by their prefixes; headers; a key's block.
_FORMS = re.compile(
    r"(?<=://)[^\s/@'\"<>]+(?=@)"
    r"|\b(?:hf_|gh[opusr]_|github_pat_|glpat-|sk-|pypi-|npm_|xox[abprs]-)[A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?"
    r"|(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9._~+/=-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*"
)

#: What belongs to the machine that ran, and not to the result, whatever it holds.
_OF_A_MACHINE = frozenset({"path", "predictions", "host", "hostname", "node", "user", "home", "cwd", "packages"})

#: An absolute path (POSIX, a home folder, a drive, a share, a file address); ``/bench`` is the same in every container.
_PLACE = re.compile(
    r"file:/+[^\s'\")]*|(?<![\w.:/~\\])(?!/bench(?![\w.-]))(?:~?/[\w.+@~-][^\s'\")]*|[A-Za-z]:\\[^\s'\")]*|\\\\[^\s'\")]+)"
)

#: What stands in the place of a path.
PATH_REMOVED = "(path removed)"

#: A name that ends in a telling word, and its value: `DB_PASSWORD=…`, `"api_key": "…"`, `--token …`.
_NAMED = re.compile(
    r"(?i)((?:passw(?:or)?d|secret(?:[_-]?(?:access[_-]?)?key)?|api[_-]?key|access[_-]?key)['\"]?\s*[=:]\s*['\"]?)"
    r"(?!\[removed\])[^\s'\",;)}]{4,}"
    r"|(token['\"]?\s*[=:]\s*['\"]?)(?=[^\s'\",;)}]*\d)(?!\[removed\])[^\s'\",;)}]{8,}"
)


def redacted(text: str) -> str:
    """Return `text` without passwords and tokens, as far as they can be recognised."""
    for secret in _known(tuple(sorted(os.environ.items()))):
        text = text.replace(secret, REMOVED)
    text = _FORMS.sub(REMOVED, text)
    return _NAMED.sub(lambda found: f"{found[1] or found[2]}{REMOVED}", text)


def without_places(value: Any) -> Any:
    """Return a record without what belongs to one machine: paths and secrets in any text, and the names of hosts."""
    if isinstance(value, Mapping):
        return {without_places(key): without_places(inner) for key, inner in value.items() if key not in _OF_A_MACHINE}
    if isinstance(value, list | tuple):
        return [without_places(inner) for inner in value]
    if not isinstance(value, str):
        return value
    value = redacted(value)  # of a row that an earlier version stored
    return PATH_REMOVED if _PLACE.match(value) else _PLACE.sub(PATH_REMOVED, value)  # a path alone may hold spaces


@lru_cache(maxsize=1)
def _known(environment: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Return the values of this process's environment that are secrets, the longest first."""
    found = {value for name, value in environment if _NAMES.search(name) and len(value) >= _LEAST}
    for name, value in environment:
        if name.lower().endswith("_proxy"):
            try:
                password = urlsplit(value).password
            except ValueError:
                continue
            found |= {password} if password and len(password) >= _LEAST else set()
    return tuple(sorted(found, key=len, reverse=True))
