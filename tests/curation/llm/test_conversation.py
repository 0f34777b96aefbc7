"""A wrong answer is asked for again; what stays wrong is set aside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation.llm.conversation import _parse
from curation.pipeline import MEMORY
from curation.work import Work
from tests.curation.llm.conftest import ASKED, document


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        (lambda text: text[:40], "length", "cut off"),
        (lambda text: text[:-10], "stop", "not a JSON document"),
        (lambda _: '{"Findings": {}}', "stop", "is missing"),
        (lambda _: "[]", "stop", "not a JSON object"),
        (lambda text: text.replace("6.4", "4.6"), "stop", "the number 6.4 mm is lost"),
        (lambda text: text.replace("right lung", "left lung"), "stop", "'right' is lost"),
        (lambda text: text.replace('"F2"', '"F9"'), "stop", "comes from no sentence"),
        (lambda text: text.replace('"Bones"', '"Skeleton"'), "stop", "Bones"),
    ],
)
def test_a_wrong_answer_is_asked_again_with_the_violation_named(
    run: Any, server: Any, tmp_path: Path, change: Any, reason: str, named: str
) -> None:
    """Cut JSON, broken schema, changed number or side, invented source or region: named, asked again, both kept."""
    server.alter(change, reason=reason)
    assert document(run())["set_aside"] == 0
    again = server.requests[1]["messages"]
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert named in again[-1]["content"]
    with Work(tmp_path / "out" / MEMORY) as work:
        assert work.spent().requests == ASKED + 1


def test_what_stays_wrong_is_set_aside_with_its_reason(run: Any, server: Any, tmp_path: Path) -> None:
    """After the last answer the report is set aside: told, kept, and the others go on; --again tries it once more."""
    server.say("{}", times=3)
    made = document(run())
    assert (made["set_aside"], made["scans"]) == (1, 1)
    row = json.loads((tmp_path / "out/set_aside.jsonl").read_text())
    assert row["step"] == "rewrite"
    assert "after 3 answers" in row["reason"]
    before = len(server.requests)
    assert document(run())["set_aside"] == 1
    assert len(server.requests) == before
    assert document(run("--again"))["set_aside"] == 0
    with Work(tmp_path / "out" / MEMORY) as work:
        assert work.spent().requests == ASKED + 3


def test_a_refusal_sets_one_item_aside(run: Any, server: Any) -> None:
    """A content filter, or a model that declines, costs one report and not the run."""
    server.fail(400, code="content_filter")
    server.say("", refusal="I cannot help")
    assert document(run())["set_aside"] == 2


GIVEN = '{"phrases": [{"text": "a {b} ```"}]}'


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (f"```json\n{GIVEN}\n```", True),
        (f"~~~\n{GIVEN}\n~~~ Let me know.", True),
        (f"The keys {{x}} are:\n{GIVEN}", True),
        (f'Example: {{"phrases": []}}. Now:\n```json\n{GIVEN}\n```', True),
        (f'<think>Perhaps {{"phrases": []}}?</think>\n{GIVEN}', True),
        ('<think>Perhaps {"phrases": []}? Then', False),
        (f'{{"phrases": []}}\n{GIVEN}', False),
        (f'```\n{GIVEN}\n```\nor\n```\n{{"phrases": []}}\n```', False),
        (GIVEN[:20], False),
    ],
)
def test_what_stands_around_an_answer(raw: str, read: bool) -> None:
    """A fence, a greeting and thoughts are no content; of two documents none is chosen, and a thought is no answer."""
    document, why = _parse(raw, cut=False)
    assert (document == json.loads(GIVEN)) is read
    assert bool(why) is not read
