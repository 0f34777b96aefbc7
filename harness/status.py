"""Outcomes of a case or a finding, and answers to questions: one word each, the same in files and on pages."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class TrainingState(enum.StrEnum):
    """The state of a training. Unless it is ``done``, the same command resumes from the last saved state."""

    RUNNING = "running"  #: a process runs it, or was killed while running it
    DONE = "done"  #: the checkpoint exists
    INTERRUPTED = "interrupted"  #: the user asked to stop; the state is kept
    NAN_LOSS = "nan_loss"  #: the adapter reported that its loss is not finite
    OUT_OF_MEMORY = "out_of_memory"  #: the adapter reported that a GPU or the process ran out of memory
    STALLED_LOADER = "stalled_loader"  #: the adapter reported that its loader did not deliver a sample in time
    ERROR = "error"  #: the adapter reported another failure
    OOM = "oom"  #: the kernel ended it for its memory
    TIMEOUT = "timeout"  #: it was silent for longer than declared
    PLUGIN_ERROR = "plugin_error"  #: its container died, or broke the bound of its output
    INVALID_CHECKPOINT = "invalid_checkpoint"  #: its checkpoint was refused
    INFRA_ERROR = "infra_error"  #: the harness or the engine failed, not the model


class Status(enum.StrEnum):
    """The outcome of a case or a finding. Anything but ``ok`` scores 0 and is counted."""

    OK = "ok"  #: a valid mask was delivered
    PLUGIN_ERROR = "plugin_error"  #: the adapter failed, or its container died
    TIMEOUT = "timeout"  #: it took longer than declared
    OOM = "oom"  #: the kernel ended it for its memory
    INVALID_OUTPUT = "invalid_output"  #: the delivered file is not a valid mask of this case
    MISSING_OUTPUT = "missing_output"  #: the case was finished, the file is missing
    INFRA_ERROR = "infra_error"  #: the harness or the engine failed, not the model


class Answer(enum.StrEnum):
    """Whether something is allowed."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def of_parts(answers: Iterable[str]) -> Answer:
    """Return the answer for a whole from those for its parts: no before unknown, and unknown before yes."""
    found = set(answers)
    return next((one for one in (Answer.NO, Answer.UNKNOWN, Answer.YES) if one in found), Answer.UNKNOWN)
