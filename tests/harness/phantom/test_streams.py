"""Each purpose draws from its own stream."""

from __future__ import annotations

from harness.phantom.streams import Stream, stream


def test_the_same_stream_gives_the_same_numbers() -> None:
    """Seed, case, purpose and part say everything."""
    assert stream(1, 2, Stream.NOISE).random() == stream(1, 2, Stream.NOISE).random()


def test_every_part_of_the_name_makes_another_stream() -> None:
    """No draw for one purpose, case or finding moves another."""
    firsts = {
        stream(*name).random()
        for name in [(1, 2, Stream.NOISE), (2, 2, Stream.NOISE), (1, 3, Stream.NOISE), (1, 2, Stream.PLAN)]
    }
    assert len(firsts | {stream(1, 2, Stream.NOISE, part=1).random()}) == 5


def test_the_numbers_of_the_purposes_are_part_of_the_phantom() -> None:
    """Another order would make another phantom without anybody noticing."""
    assert {purpose.name: int(purpose) for purpose in Stream} == {
        "PLAN": 1, "PATIENT": 2, "TREES": 3, "FINDING": 4, "NOISE": 5, "WORDING": 6,
    }  # fmt: skip
