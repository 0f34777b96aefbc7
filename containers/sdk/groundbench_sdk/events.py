"""The events that a container writes while it works: one JSON object a line, read by the harness as it grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Events:
    """Appends events to ``out/events.jsonl``, one JSON object a line, flushed at once."""

    def __init__(self, out: Path) -> None:
        self._file = (out / "events.jsonl").open("a", encoding="utf-8")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def emit(self, event: str, **fields: Any) -> None:
        """Write one event; fields that are None are left out."""
        record = {"event": event}
        record.update((key, value) for key, value in fields.items() if value is not None)
        self._file.write(json.dumps(record, sort_keys=True) + "\n")
        self._file.flush()
