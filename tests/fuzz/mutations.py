"""Change valid bytes as a fuzzer does: a few bytes, a number, a part twice, gone, or out of another example."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import strategies as st

#: Bytes that mean something to one of the readers.
TOKENS = (
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"9" * 30, b"-1", b"1e999", b"NaN", b"null", b"[" * 200,
    b"{", b'"', b",", b"\n", b"\r\n", b"\x1b]0;x\x07", b"../", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"ustar",
    b" " * 300, b"(" * 200, b"nodule " * 40, b"\xe2\x80\xae",
)  # fmt: skip


def mutated(content: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """Return some bytes changed in one to four ways."""
    found = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(found) + 1)
        end = min(len(found), place + dice.choice((1, 2, 4, 8, 64, 512)))
        match dice.randrange(7):
            case 0 if place < len(found):
                found[place] ^= 1 << dice.randrange(8)
            case 1:
                found[place:end] = dice.randbytes(end - place)
            case 2:
                del found[place:end]
            case 3:
                found[place:place] = found[place:end] * dice.choice((1, 2, 50))
            case 4:
                found[place:end] = dice.choice(TOKENS)
            case 5:
                found[place:place] = dice.choice(TOKENS)
            case 6:
                other = dice.choice(others)
                found[place:] = other[min(place, len(other)) :]
            case _:
                pass
    return bytes(found)


@st.composite
def of_strangers(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Draw what a stranger may deliver in the place of such a file: changed, cut, or bytes of his own."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=2_000))
    parts = [draw(st.sampled_from(seeds))]
    for _ in range(draw(st.integers(1, 4))):
        content = parts.pop()
        place = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from((0, 1, 4, 64)))
        middle = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=16), st.just(content[place : place + 64])))
        parts.append(content[:place] + middle + content[place + length :])
    return parts[0]
