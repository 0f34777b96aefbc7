"""Every reader of strangers' bytes answers, or raises what it may raise, in bounded time and memory."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutated, of_strangers
from tests.fuzz.targets import TARGETS

SECONDS, MEMORY = 3.0, 400 * 2**20


@pytest.mark.parametrize("name", TARGETS)
def test_valid_examples_are_accepted(name: str, tmp_path: Path) -> None:
    """What the mutations begin with is right: a target that refuses everything would prove nothing."""
    target = TARGETS[name]
    accepted = [target(seed, tmp_path) for seed in target.seeds()]
    assert any(accepted) or name in {"zip", "text"}, "no split to find masks of"


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_drawn(name: str, data: st.DataObject, tmp_path: Path) -> None:
    """Drawn, so that a failure is made small."""
    TARGETS[name](data.draw(of_strangers(TARGETS[name].seeds())), tmp_path)


def _thrown(name: str, number: int, folder: Path) -> tuple[int, float, int]:
    """Hand mutations to a target; return how many it accepted, its longest seconds, and the memory gained."""
    target, seeds = TARGETS[name], TARGETS[name].seeds()
    dice = random.Random(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    accepted, longest = 0, 0.0
    for _ in range(number):
        content = mutated(dice.choice(seeds), seeds, dice)
        began = time.thread_time()
        try:
            accepted += target(content, folder)
        except BaseException:
            (folder / "culprit").write_bytes(content)
            raise
        longest = max(longest, time.thread_time() - began)
    return accepted, longest, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_five_thousand(name: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """More than 5,000 mutations over all readers: no other exception, bounded time and memory."""
    number = 5_040 // len(TARGETS)
    accepted, longest, gained = _thrown(name, number, tmp_path)
    record_property("attack", f"mutations: {number} of {name}")
    record_property("outcome", f"{accepted} accepted, at most {longest:.2f} s, {gained / 2**20:.0f} MiB more")
    assert longest < SECONDS
    assert gained < MEMORY


def test_an_empty_vector_of_a_segmentation(tmp_path: Path) -> None:
    """A field of the header without its value, as the fuzzer found it: refused, not an error of the parser."""
    target = TARGETS["segmentation"]
    (seed,) = target.seeds()
    begin = seed.index(b"space origin: ")
    broken = seed[:begin] + b"space origin:  " + seed[seed.index(b"\n", begin) :]
    assert not target(broken, tmp_path)
