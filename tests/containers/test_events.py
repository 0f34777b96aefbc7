"""What an adapter's container tells while it works."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from groundbench_sdk.events import Events


def test_an_event_is_on_disk_as_soon_as_it_is_emitted(tmp_path: Path) -> None:
    """The harness reads the file while it grows: one JSON object a line, nothing held back, no field that is None."""
    with closing(Events(tmp_path)) as events:
        events.emit("case_done", case="a", seconds=1.5, device_bytes=None)
        (line,) = (tmp_path / "events.jsonl").read_text().splitlines()
        assert json.loads(line) == {"event": "case_done", "case": "a", "seconds": 1.5}


def test_events_of_a_second_process_are_appended(tmp_path: Path) -> None:
    """Several processes of one training write the same file; none starts it anew."""
    for name in ("started", "finished"):
        with closing(Events(tmp_path)) as events:
            events.emit(name)
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["started", "finished"]
