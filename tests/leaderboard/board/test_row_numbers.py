"""The numbers of a row: read once, and only where one is asked for that is not known."""

from __future__ import annotations

import pytest

from leaderboard.board.row_numbers import RowNumbers


def test_what_is_known_is_not_read() -> None:
    """And all else is read once; together they are all that was read, in its order."""
    reads: list[str] = []

    def read() -> dict[str, float]:
        reads.append("read")
        return {"focal": 0.1, "average": 0.2}

    numbers = RowNumbers(read, average=0.2)
    assert (numbers["average"], reads) == (0.2, [])
    assert (numbers["focal"], numbers.get("hit5"), reads) == (0.1, None, ["read"])
    assert numbers == {"focal": 0.1, "average": 0.2}
    assert [*numbers] == ["focal", "average"]
    assert reads == ["read"]
    with pytest.raises(KeyError, match="hit5"):
        numbers["hit5"]
