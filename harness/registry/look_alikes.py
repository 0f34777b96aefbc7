"""Letters that look like others: a title that is not what it seems passes for another model's.

After the idea of Unicode's confusables (UTS 39): a word may not mix scripts, and may not be written wholly in letters
of another script that all look like Latin ones. Words of other scripts that look like themselves are let through.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

#: Scripts whose letters are taken for Latin ones.
_LIKE_LATIN: Final = frozenset({"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "LISU", "COPTIC"})

#: Letters of these scripts that look like a Latin one in most fonts.
_TWINS: Final = frozenset(
    "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0423\u0430\u0435\u0455\u0456"
    "\u0458\u043e\u0440\u0441\u0445\u0443\u0501\u051b\u051d\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f"
    "\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u03b9\u03c1\u03ba\u0585\u057d\u0578\u13a0\u13a1\u13a2\u13aa\u13b3\u13de\u13df"
)

_WORD = re.compile(r"[^\W\d_]+")


def look_alike(text: str) -> str:
    """Return the first word of a text that is written to be taken for another; empty without one."""
    words: list[str] = _WORD.findall(text)
    for word in words:
        if any(_is_form(letter) for letter in word):
            return word
        scripts = {_script(letter) for letter in word}
        like = scripts & _LIKE_LATIN
        if like and (len(scripts) > 1 or all(letter in _TWINS for letter in word)):
            return word
    return ""


def _is_form(letter: str) -> bool:
    """Return whether a letter is another form of a usual one: full-width, mathematical; the sign of micro is not."""
    plain = unicodedata.normalize("NFKC", letter)
    return plain != unicodedata.normalize("NFC", letter) and plain.isascii() and unicodedata.category(letter)[0] == "L"


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
