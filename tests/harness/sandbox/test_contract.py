"""What a container says is a claim in a hostile file: parsed strictly, and never a reason to fall over."""

from __future__ import annotations

import json
from typing import Any, cast

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.sandbox import contract
from harness.sandbox.contract import CaseDone, CaseFailed, CasePrompt, FindingPrompt, Started, parse_event, to_json_line

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
FIELDS = st.sampled_from(["event", "case", "stage", "seconds", "host_bytes", "device_bytes", "reason", "sdk"])
KINDS = st.sampled_from(["started", "progress", "warning", "case_done", "case_failed", "finished"])


@given(st.binary(max_size=2000))
@example(b"\xef\xbb\xbf" + b'{"event": "started"}')
@example(b'{"event": "case_failed", "case": "a", "reason": "\xff"}')
@example(b'{"event": "case_failed", "case": "a", "reason": "\\ud800"}')
@example(b'{"event": "started"}{"event": "finished"}')
@example(b"[" * 60_000)
@example(b'{"event":' * 7_000)
@example(b'{"event": {"event": "started"}}')
@example(b'{"event": "case_done", "case": "a", "host_bytes": ' + b"9" * 60_000 + b"}")
@example(b'{"event": "case_done", "case": "a", "seconds": 1e999}')
@example(b'{"event": "case_done", "case": "a", "seconds": NaN}')
def test_no_bytes_raise(line: bytes) -> None:
    """Whatever a line holds, the answer is an event or None."""
    parse_event(line)


@given(st.dictionaries(FIELDS, JSON), KINDS)
def test_no_fields_raise(fields: dict[str, object], kind: str) -> None:
    """A record of the right name with anything in its fields is an event or None."""
    event = parse_event(json.dumps({**fields, "event": kind}).encode())
    assert event is None or event.event == kind


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "case_done", "case": "a", "seconds": "3.5"}',
        '{"event": "case_done", "case": "a", "seconds": true}',
        '{"event": "case_done", "case": "a", "seconds": -1}',
        '{"event": "case_done", "case": "a", "seconds": NaN}',
        '{"event": "case_done", "case": "a", "seconds": Infinity}',
        '{"event": "case_done", "case": "a", "host_bytes": 1.5}',
        '{"event": "case_done", "case": "a", "host_bytes": 9223372036854775808}',
        '{"event": "case_done", "case": 1}',
        '{"event": "case_done"}',
        '{"event": "case_failed", "case": "a"}',
        '{"event": "progress", "stage": "half-way"}',
        '{"event": "started", "sdk": ' + json.dumps("x" * 101) + "}",
        '{"event": "case_failed", "case": "a", "reason": ' + json.dumps("x" * 4001) + "}",
        '{"event": "surprise"}',
        '["event", "started"]',
        '"started"',
        "null",
        "",
    ],
)
def test_wrong_types_are_no_event(line: str) -> None:
    """Nothing is converted or guessed: a wrong type makes the whole line count for nothing."""
    assert parse_event(line.encode()) is None


def test_unknown_fields_are_ignored() -> None:
    """A later SDK may say more within version 1."""
    assert parse_event(b'{"event": "started", "sdk": "x", "later": [1, {}]}') == Started(event="started", sdk="x")


def test_last_of_a_repeated_key_counts() -> None:
    """A line with a repeated key is not two events at once."""
    event = parse_event(b'{"event": "case_done", "case": "a", "case": "b"}')
    assert event == CaseDone(event="case_done", case="b")


def test_whole_number_of_seconds_is_a_number() -> None:
    """Languages that print 3.0 as 3 lose nothing."""
    assert parse_event(b'{"event": "case_done", "case": "a", "seconds": 3}') == CaseDone(
        event="case_done", case="a", seconds=3.0
    )


def test_a_line_beyond_the_bound_is_dropped_before_it_is_parsed() -> None:
    """The bound holds for the line as it is, however harmless."""
    line = b'{"event": "started"}'
    assert parse_event(line.ljust(contract.MAX_EVENT_BYTES)) is not None
    assert parse_event(line.ljust(contract.MAX_EVENT_BYTES + 1)) is None


@given(st.text(max_size=300))
def test_reasons_are_safe_to_show(text: str) -> None:
    """A reason reaches terminals, logs and pages: one line, no control sequence, its words kept."""
    event = parse_event(json.dumps({"event": "case_failed", "case": "a", "reason": text}).encode())
    if any("\ud800" <= character <= "\udfff" for character in text):
        return
    assert isinstance(event, CaseFailed)
    assert event.reason.isprintable()
    assert [c for c in event.reason if c.isalnum()] == [c for c in text if c.isalnum()]


def test_terminal_escapes_do_not_survive() -> None:
    """A model cannot repaint the organiser's screen."""
    event = parse_event(b'{"event": "case_failed", "case": "a", "reason": "no\\u001b[2J\\n  lungs\\u0000"}')
    assert isinstance(event, CaseFailed)
    assert event.reason == "no\N{REPLACEMENT CHARACTER}[2J lungs\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", ".hidden", "a\n", "a b", "x" * 201, "\u00e9"])
def test_names_are_safe_file_names(name: str) -> None:
    """Whatever a data set holds, no path of the harness or of a container is made from a name that leads elsewhere."""
    with pytest.raises(ValidationError):
        FindingPrompt(id=name, text="x")
    with pytest.raises(ValidationError):
        CasePrompt(id=name, ct="ct/a.nii.gz", shape=(1, 1, 1), spacing=(1, 1, 1), findings=[])


def test_absent_fields_are_not_written() -> None:
    """A model's case line has no word of truth, boxes or category unless it is meant to have one."""
    case = CasePrompt(
        id="a", ct="ct/a.nii.gz", shape=(1, 2, 3), spacing=(1, 1, 1), findings=[FindingPrompt(id="0", text="x")]
    )
    line = to_json_line(case)
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    record = json.loads(line)
    assert sorted(record) == ["ct", "findings", "id", "shape", "spacing"]
    assert record["findings"] == [{"id": "0", "text": "x"}]


def test_schemas_let_either_side_grow() -> None:
    """No schema forbids fields that it does not name, and a job's fields are all required."""
    assert "additionalProperties" not in json.dumps(
        [{**schema, "properties": {}} for schema in contract.schemas().values() if isinstance(schema, dict)]
    )
    job = contract.schemas()["job"]
    assert isinstance(job, dict)
    assert sorted(job["required"]) == sorted(contract.Job.model_fields)


CASE = {"id": "a", "ct": "ct/a.nii.gz", "shape": [1, 1, 1], "spacing": [1, 1, 1]}


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("progress", {"event": "progress", "stage": "case"}),
        ("progress", {"event": "progress", "stage": "case", "case": None}),
        ("train", {"event": "train", "step": 1, "steps": 2, "losses": {"a b": 1.0}}),
        ("case", {**CASE, "findings": [{"id": "0", "text": "x", "boxes": [[1, 2, 3]]}]}),
        ("case", {**CASE, "findings": [], "seg_flip": [3]}),
    ],
)
def test_schemas_refuse_what_the_page_forbids(name: str, record: dict[str, Any]) -> None:
    """What the harness would not take, a program that goes by the schema does not write."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, cast("dict[str, Any]", contract.schemas()[name]))
    if name != "case":
        assert parse_event(json.dumps(record).encode()) is None
