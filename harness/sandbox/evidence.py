"""The evidence of a container's death: its exit, its last output, and both in words."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from harness.engines.base import Exit
from harness.redaction import redacted


@dataclass(frozen=True)
class Evidence:
    """The evidence of a container's death.

    Attributes
    ----------
    end
        The exit reported by the engine.
    memory_limit_bytes
        Its memory limit.
    last_lines
        Its last output.
    """

    end: Exit
    memory_limit_bytes: int
    last_lines: Sequence[str]

    def document(self) -> dict[str, Any]:
        """Return the evidence as it is stored."""
        return {
            "exit_code": self.end.code,
            "oom": self.end.oom,
            "engine_said": self.end.error,
            "peak_bytes": self.end.peak_bytes,
            "memory_limit_bytes": self.memory_limit_bytes,
            "last_lines": list(self.last_lines),
        }


@dataclass(frozen=True)
class PredictionEvidence(Evidence):
    """The evidence of the death of a container that predicts.

    Attributes
    ----------
    ended_by_us
        Whether the harness ended it.
    lived_s
        Seconds from the request for it to its end.
    last_event
        The last event that it wrote, as far as it is valid.
    """

    ended_by_us: bool = False
    lived_s: float = 0.0
    last_event: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the evidence as it is stored."""
        return {
            **super().document(),
            "state": self.end.state,
            "ended_by_us": self.ended_by_us,
            "lived_s": self.lived_s,
            "last_event": dict(self.last_event) or None,
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self | None:
        """Read what :meth:`document` returned; None for a case whose container did not die."""
        if "exit_code" not in document:
            return None
        return cls(
            Exit(
                document["exit_code"],
                document["oom"],
                document.get("engine_said", ""),
                document["peak_bytes"],
                document.get("state", "exited"),  # absent in rows of earlier versions, as is `ended_by_us`
            ),
            document["memory_limit_bytes"],
            document["last_lines"],
            ended_by_us=document.get("ended_by_us", False),
            lived_s=document["lived_s"],
            last_event=document["last_event"] or {},
        )


@dataclass(frozen=True)
class TrainingEvidence(Evidence):
    """The evidence of the death of a container that trains.

    Attributes
    ----------
    last_step
        The last step that it reported; -1 for none.
    """

    last_step: int = -1

    def document(self) -> dict[str, Any]:
        """Return the evidence as it is stored."""
        return {**super().document(), "last_step": self.last_step}


def exit_text(code: int) -> str:
    """Return in words how a container ended, with the signal where one ended it."""
    if code > 128:
        try:
            return f"the container was ended by {signal.Signals(code - 128).name} (exit code {code})"
        except ValueError:
            pass
    return f"the container ended with exit code {code}"


def death_text(code: int, log: Path) -> str:
    """Return in words how a container ended, with the last line of its output."""
    last = last_lines(log, 1)
    return exit_text(code) + (f"; its last line: {last[0]}" if last else "")


def last_lines(log: Path, count: int) -> list[str]:
    """Return the last lines of a container's output, made safe to show and to keep; empty without a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 16384))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return []
    return [redacted("".join(c for c in line if c.isprintable()))[:300] for line in lines[-count:]]
