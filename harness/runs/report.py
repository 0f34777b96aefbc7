"""What a shard reports of itself in the end: one plain record, in the place of an exception, which may not travel."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness import errors
from harness.foreign.records import record

#: How a shard ended: every case has an outcome; it was stopped or its time was up; it failed, which is told; or its
#: host, its worker or its job is gone.
State = Literal["done", "stopped", "failed", "lost"]

_KINDS: Mapping[str, type[errors.BenchError]] = {
    kind.__name__: kind
    for kind in (errors.ModelError, errors.UsageError, errors.PrerequisiteError, errors.DataError, errors.Interrupted)
}


class ShardFault(Exception):  # noqa: N818 - what a shard reported, raised where the run is
    """A fault of ours in a shard; its message is the traceback, from wherever it happened."""


@dataclass(frozen=True)
class ShardReport:
    """The end of a shard.

    Attributes
    ----------
    run, shard
        The run's id, and the shard's number.
    state
        How it ended.
    node
        Name of the host; empty where it is not known.
    reason
        Why it did not end with ``done``.
    fault
        What else :meth:`error` needs.
    """

    run: str
    shard: int
    state: State
    node: str = ""
    reason: str = ""
    fault: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return record(ShardReport).dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> ShardReport:
        """Read what :meth:`to_json` returned; raises ValueError for anything else."""
        return record(ShardReport).validate_json(text)

    @classmethod
    def of(cls, run: str, shard: int, node: str, error: BaseException) -> ShardReport:
        """Return the report of a shard that failed with `error`."""
        reason, fault = str(error) or type(error).__name__, {}
        kind = next((name for name, kind in _KINDS.items() if isinstance(error, kind)), "")
        if isinstance(error, errors.BenchError):
            fault = {"kind": kind or "ModelError", "fix": error.fix, "lacking": getattr(error, "lacking", "")}
        elif isinstance(error, OSError) and error.errno is not None:
            path = None if error.filename is None else str(error.filename)
            reason, fault = error.strerror or reason, {"kind": "OSError", "errno": error.errno, "path": path}
        else:
            reason = f"{type(error).__name__}: {error}"
            fault = {"kind": "", "trace": "".join(traceback.format_exception(error))}
        return cls(run, shard, "failed", node, reason, fault)

    def error(self) -> BaseException:
        """Return the error of a shard that failed, to be raised where the run is."""
        where = f" (shard {self.shard} on {self.node})" if self.node else f" (shard {self.shard})"
        kind = str(self.fault.get("kind", ""))
        if kind == "OSError":
            return OSError(self.fault["errno"], self.reason, self.fault.get("path"))
        if kind == "PrerequisiteError":
            return errors.PrerequisiteError(self.reason, fix=self.fault["fix"], lacking=self.fault["lacking"])
        if kind in _KINDS:
            return _KINDS[kind](self.reason, fix=self.fault["fix"])
        return ShardFault(f"{self.reason}{where}\n{self.fault.get('trace', '')}")
