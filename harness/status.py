"""How a case or a finding ended: one word for every way, the same in files, in the database and on pages."""

from __future__ import annotations

import enum


class Status(enum.StrEnum):
    """How a case or a finding ended. Anything but ``ok`` scores 0 and is counted."""

    OK = "ok"  #: a valid mask was delivered
    PLUGIN_ERROR = "plugin_error"  #: the adapter failed, or its container died
    TIMEOUT = "timeout"  #: it took longer than declared
    OOM = "oom"  #: the kernel ended it for its memory
    INVALID_OUTPUT = "invalid_output"  #: a file was delivered that is no mask of this case
    MISSING_OUTPUT = "missing_output"  #: the case was done, the file is not there
    INFRA_ERROR = "infra_error"  #: the harness or the engine failed, not the entrant
    SKIPPED = "skipped"  #: not attempted (interrupted, or given up before it)
