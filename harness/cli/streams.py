"""Standard output and error that cannot stop the work: a reader may go away, a terminal close, a log's disk fill up.

A run takes a night; what is printed about it is a convenience. So nothing that goes wrong with printing raises where
it was printed. What was lost for another reason than that nobody reads any more is known afterwards: a result that did
not reach its file must not look written.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import re
import secrets
import sys
import unicodedata
from typing import Any

import click

#: Errors of a descriptor that nobody reads any more: a closed pipe, a terminal that hung up, a closed descriptor.
_NOBODY = {errno.EPIPE, errno.EIO, errno.ENXIO, errno.EBADF, errno.ECONNRESET}

#: What stands in for characters that an old locale lacks, so that numbers and tables stay readable.
_PLAIN = {
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MICRO SIGN}": "u",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded: a handler of encoding errors."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in lost), error.end


codecs.register_error("groundbench.plain", _plain)

#: Marks the sequences that we send ourselves on their way to a stream: no text from outside knows it, so a colour or a
#: move of the cursor in a foreign name is never taken for one of ours. Of this process alone.
_MARK = f"\x1b{secrets.token_hex(16)}"

#: What our own progress bars and colours send to a terminal: attributes; cursor up or down, erase, hide, show.
_COLOUR, _MOVE = r"\[[0-9;]*m", r"\[[0-9]*[ABGJK]|\[\?25[hl]|\r"

#: Such a sequence with our mark, the end of a line, or one character.
_PARTS = re.compile(rf"{_MARK}({_COLOUR})|{_MARK}({_MOVE})|\r\n|.", re.DOTALL)


def shown(text: str, *, terminal: bool, coloured: bool = True) -> str:
    """Return a text without what commands a terminal or hides other text: the one door for all that is printed.

    Names in archives, folders, reports and databases may hold anything: sequences that set a title, a colour or the
    clipboard, that move the cursor, marks that turn the direction of writing, characters without width. Each such
    character is replaced.

    Parameters
    ----------
    text
        What is printed; our own colours and moves have our mark (:func:`styled`, :class:`OwnConsole`).
    terminal, coloured
        Whether it goes to a terminal, to which moving bars may be sent, and colours; nothing else gets any.
    """
    if text.isprintable():
        return text

    def part(found: re.Match[str]) -> str:
        whole = found[0]
        if whole.startswith(_MARK):
            ours = whole.removeprefix(_MARK)
            allowed = terminal and (coloured or found[1] is None)
            return (ours if ours == "\r" else f"\x1b{ours}") if allowed else ""
        kept = len(whole) > 1 or whole in "\n\t" or _is_seen(whole)
        return whole if kept else "\N{REPLACEMENT CHARACTER}"

    return _PARTS.sub(part, text)


def styled(text: str, *, fg: str, bold: bool = False) -> str:
    """Return a text in a colour; what it holds itself has none."""
    if not isinstance(sys.stdout, PatientStream):
        return text
    return marked(click.style(without_commands(text), fg=fg, bold=bold or None))  # noqa: TID251 - the one place


def say(text: str, *, fg: str, bold: bool = False, nl: bool = True, err: bool = False) -> None:
    """Print a text in a colour, where the stream may get one."""
    click.echo(styled(text, fg=fg, bold=bold), nl=nl, err=err)


def marked(text: str) -> str:
    """Mark every sequence of a text that is ours."""
    return re.sub(rf"\x1b(?={_COLOUR}|{_MOVE})|(?=\r)", _MARK, text)


def without_commands(text: str) -> str:
    """Return a text whose sequences are none any more: their first character is replaced."""
    return re.sub(r"[\x1b\r]", "\N{REPLACEMENT CHARACTER}", text)


def _is_seen(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # a space, of whatever width


class PatientStream(io.TextIOWrapper):
    """A standard stream to which printing never fails; the first failure other than a reader's absence is kept.

    Not the raw layer: a signal that arrives in a method of Python's own there would have the same bytes written twice.
    """

    failure: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write text; return its length, whether or not somebody reads it."""
        text = shown(text, terminal=self.isatty(), coloured=colours(self))
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
        except RuntimeError:  # a signal's handler prints in the middle of a write: the buffer is in use
            with contextlib.suppress(OSError):
                os.write(self.fileno(), text.encode(self.encoding, self.errors or "strict"))
        return len(text)

    def flush(self) -> None:
        """Send what was written."""
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)
        except RuntimeError:  # as above: the write that was interrupted sends what is left
            pass

    def _give_up(self, error: OSError) -> None:
        """Send what is left, and all that will come, to ``/dev/null``."""
        if isinstance(error, BlockingIOError):
            os.set_blocking(self.fileno(), True)  # another program has made it so: wait for the reader, as usual
        else:
            if error.errno not in _NOBODY:
                self.failure = self.failure or error
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
        with contextlib.suppress(OSError):
            super().flush()


def make_patient() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that cannot stop the work.

    A descriptor that was closed at the start is opened on ``/dev/null``: the next file to be opened would take its
    number, and get what is printed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        before = getattr(sys, name)
        if before is not None:  # Python's own has none where the descriptor was closed
            if not isinstance(before, io.TextIOWrapper) or before is not getattr(sys, f"__{name}__"):
                continue  # a test's, or another program's
            before.flush()
        stream = PatientStream(
            io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False)),
            encoding=getattr(before, "encoding", None) or "utf-8",
            errors="groundbench.plain",
            line_buffering=descriptor == 2 or os.isatty(descriptor),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def lost_output() -> OSError | None:
    """Flush standard output and return the failure that kept a part of it from its file; None where nothing was."""
    sys.stdout.flush()
    return sys.stdout.failure if isinstance(sys.stdout, PatientStream) else None


def is_plain(stream: Any) -> bool:
    """Return whether a stream gets neither colours nor a bar that moves: no terminal, or one that cannot."""
    return not stream.isatty() or os.environ.get("TERM") == "dumb"


def colours(stream: Any) -> bool:
    """Return whether a stream may get colours: a terminal that can, and no ``NO_COLOR`` (https://no-color.org)."""
    return not is_plain(stream) and not os.environ.get("NO_COLOR")
