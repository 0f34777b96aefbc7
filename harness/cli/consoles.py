"""Rich's tables and bars on our streams: what is drawn has our mark, what it is drawn of commands nothing."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType  # noqa: TID251 - here it becomes ours
from rich.segment import Segment

from harness.cli.streams import colours, marked, without_commands


class OwnConsole(Console):
    """A console on a standard stream.

    Parameters
    ----------
    stream
        The stream.
    options
        Of rich's console.
    """

    def __init__(self, stream: Any, **options: Any) -> None:
        file: Any = _Marking(stream)
        super().__init__(file=file, color_system="auto" if colours(stream) else None, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does; texts lose their own sequences."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(without_commands(segment.text), segment.style)


class _Marking:
    """A stream to which only rich writes, as it draws."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(marked(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Lines(io.TextIOBase):
    """A stream whose lines go to a function."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log, self._begun = log, ""

    def write(self, text: str, /) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def end(self) -> None:
        if self._begun:
            self._log(self._begun)


@contextlib.contextmanager
def printed_by(log: Callable[[str], None]) -> Iterator[None]:
    """Hand every line that is printed meanwhile to `log`, which shows it above a bar."""
    lines = _Lines(log)
    with contextlib.redirect_stdout(lines), contextlib.redirect_stderr(lines):
        yield
    lines.end()
