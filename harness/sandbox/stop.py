"""The request to end a run, which everything that takes long heeds."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Stop:
    """The request to end a run: after the current case (`soon`), or at once (`now`)."""

    def __init__(self) -> None:
        self.soon = threading.Event()
        self.now = threading.Event()
        self.preparing = False  #: a signal raises KeyboardInterrupt instead of setting `soon`

    @contextlib.contextmanager
    def nothing_in_flight(self) -> Iterator[None]:
        """Let a request to stop interrupt the code within the context at once."""
        self.preparing = True
        try:
            yield
        finally:
            self.preparing = False
