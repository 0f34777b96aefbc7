"""Outcomes of a case or a finding, levels of rows, answers to questions: one word each, in files and on pages."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

#: What a field holds whose answer nobody has stated.
UNKNOWN: Final = "unknown"


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


class RowLevel(enum.StrEnum):
    """How much of a row was made under our eyes, the least first; each level is ranked by itself."""

    REPORTED = "reported"  #: a number from a paper, another board or another home
    RESCORED = "rescored"  #: masks made elsewhere, scored here
    MEASURED = "measured"  #: run here by this harness
    REPRODUCED = "reproduced"  #: somebody's row, run again by the organiser with the same result
    SEALED = "sealed"  #: run by the organiser on a closed split

    @property
    def headline(self) -> bool:
        """Whether rows of this level share the headline ranking: only those that this harness ran."""
        return self in {RowLevel.MEASURED, RowLevel.REPRODUCED, RowLevel.SEALED}


class Answer(enum.StrEnum):
    """Whether something is allowed."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def of_parts(answers: Iterable[str]) -> Answer:
    """Return the answer for a whole from those for its parts: no before unknown, and unknown before yes."""
    found = set(answers)
    return next((one for one in (Answer.NO, Answer.UNKNOWN, Answer.YES) if one in found), Answer.UNKNOWN)
