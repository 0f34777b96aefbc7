"""Forged events: one kind a case, in order, from the second case on."""

import json
import time
from pathlib import Path

OUT = Path("/bench/out")
FORGERIES = []


def forgery(function):
    FORGERIES.append(function)
    return function


def attack(case, number):
    """Forge what belongs to this case; return the findings that get no mask."""
    if not 2 <= number <= len(FORGERIES) + 1:
        return set()
    function = FORGERIES[number - 2]
    print(f"TRICK {case.id} {function.__name__.replace('_', '-')}", flush=True)
    # The SDK writes beside the model that the case before ended, and then that this one began.
    began = json.dumps({"case": case.id, "event": "progress", "stage": "case"})
    while began not in (OUT / "events.jsonl").read_text(encoding="utf-8", errors="replace"):
        time.sleep(0.005)
    return function(case)


def write(*records):
    with (OUT / "events.jsonl").open("a") as file:
        for record in records:
            file.write((record if isinstance(record, str) else json.dumps(record)) + "\n")


def done(case, **claims):
    return {"event": "case_done", "case": case, **claims}


@forgery
def claim_without_masks(case):
    write(done(case.id, seconds=0.001))
    return {finding.id for finding in case.findings}


@forgery
def claim_of_foreign_cases(case):
    write(
        done("toy_2_a_1"), done("toy_3_a_1"),
        done("../../etc"), done("/etc/passwd"), done("toy_999_a_1"), done(""), done("."), done("x" * 299), done("\0"),
        done("toy_1_a_1"), done("toy_1_a_1/../toy_2_a_1"), {"event": "case_failed", "case": "toy_1_a_1", "reason": "x"},
    )  # fmt: skip


@forgery
def claim_of_no_time(case):
    time.sleep(0.8)
    write(done(case.id, seconds=1e-9))
    return {finding.id for finding in case.findings}


@forgery
def claim_of_endless_time(case):
    write(done(case.id, seconds=1e308))
    time.sleep(0.3)
    return {finding.id for finding in case.findings}


@forgery
def claim_of_impossible_numbers(case):
    claims = ("-1", "NaN", "Infinity", "1e999", "true", '"0.1"', "null", "[]", "-0.0001")
    write(
        *(
            '{"event": "case_done", "case": "%s", "seconds": %s}' % (case.id, claim)
            for claim in claims
            if claim != "null"
        )
    )


@forgery
def claim_of_impossible_memory(case):
    write(
        *('{"event": "case_done", "case": "%s", "host_bytes": %s}' % (case.id, claim)
          for claim in ("-1", "true", "1e999", "9223372036854775808", "1.5", '"1"')),
        done(case.id, host_bytes=2**63 - 1, device_bytes=2**63 - 1),
    )  # fmt: skip
    time.sleep(0.3)
    return {finding.id for finding in case.findings}


@forgery
def start_and_finish_again(case):
    write(*[{"event": "started"}, {"event": "progress", "stage": "loaded", "seconds": 0}, {"event": "finished"}] * 100)


@forgery
def failure_that_writes_on_the_terminal(case):
    write(
        {
            "event": "case_failed",
            "case": case.id,
            "reason": "\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>\n\r\u202e",
        }
    )
    return {finding.id for finding in case.findings}


@forgery
def nested_without_end(case):
    write("[" * 60_000, '{"event":' * 6000, '{"event": "case_done", "case": "%s", "x": %s' % (case.id, "[" * 30_000))


@forgery
def numbers_without_end(case):
    digits = "1" * 60_000
    write(
        *('{"event": "case_done", "case": "%s", "%s": %s}' % (case.id, field, digits)
          for field in ("seconds", "host_bytes", "device_bytes")),
    )  # fmt: skip


@forgery
def half_a_line(case):
    """What belongs to no line yet runs into the next event, and both are noise; the masks are there all the same."""
    with (OUT / "events.jsonl").open("a") as file:
        file.write('{"event": "case_failed", "case": "%s", "reason": "' % case.id)


@forgery
def failure_in_a_thousand_marks(case):
    write({"event": "case_failed", "case": case.id, "reason": "Zalgo " + "a\u0300\u0489" * 1000 + "\ud800\u2066\u200b"})
    write({"event": "case_failed", "case": case.id, "reason": "Zalgo " + "a\u0300\u0489" * 1000 + "\u2066\u200b"})
    return {finding.id for finding in case.findings}


@forgery
def flood_of_noise(case):
    """Megabytes of lines that are not events, then the truth."""
    with (OUT / "events.jsonl").open("ab") as file:
        file.write(b"\n" * 2**20)
        file.write(b"{}\n" * 2**19)
        file.write(b"[" * 2**20 + b"\n\xff\xfe\n" + b"x" * 2**20 + b"\n")
        file.write(b'{"event": "started"}\n' * 2**14)
