"""How a case or a finding ended: one word for every way, the same in files, in the database and on pages."""

from __future__ import annotations

import enum


class TrainingState(enum.StrEnum):
    """How a training stands. Whatever it is but ``done``, the same command goes on from the last saved state."""

    RUNNING = "running"  #: a process is at it, or was killed at it
    DONE = "done"  #: the checkpoint is there
    INTERRUPTED = "interrupted"  #: the user asked to stop; the state is kept
    NAN_LOSS = "nan_loss"  #: the adapter said that its loss is not finite
    OUT_OF_MEMORY = "out_of_memory"  #: the adapter said that a GPU or the process had no memory left
    STALLED_LOADER = "stalled_loader"  #: the adapter said that its loader gave no sample in time
    ERROR = "error"  #: the adapter said that it failed otherwise
    OOM = "oom"  #: the kernel ended it for its memory
    TIMEOUT = "timeout"  #: it was silent for longer than declared
    PLUGIN_ERROR = "plugin_error"  #: its container died, or broke the bound of its output
    INVALID_CHECKPOINT = "invalid_checkpoint"  #: what it delivered is no checkpoint
    INFRA_ERROR = "infra_error"  #: the harness or the engine failed, not the model


class Status(enum.StrEnum):
    """How a case or a finding ended. Anything but ``ok`` scores 0 and is counted."""

    OK = "ok"  #: a valid mask was delivered
    PLUGIN_ERROR = "plugin_error"  #: the adapter failed, or its container died
    TIMEOUT = "timeout"  #: it took longer than declared
    OOM = "oom"  #: the kernel ended it for its memory
    INVALID_OUTPUT = "invalid_output"  #: a file was delivered that is no mask of this case
    MISSING_OUTPUT = "missing_output"  #: the case was done, the file is not there
    INFRA_ERROR = "infra_error"  #: the harness or the engine failed, not the model
