"""What a dead container leaves behind, in words: how it ended and what it said last."""

from __future__ import annotations

import signal
from pathlib import Path


def exit_text(code: int) -> str:
    """Say how a container ended, naming the signal where one ended it."""
    if code > 128:
        try:
            return f"the container was ended by {signal.Signals(code - 128).name} (exit code {code})"
        except ValueError:
            pass
    return f"the container ended with exit code {code}"


def last_lines(log: Path, count: int) -> list[str]:
    """Return the last lines that a container printed, made safe to show; none where there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 16384))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return []
    return ["".join(c for c in line if c.isprintable())[:300] for line in lines[-count:]]
