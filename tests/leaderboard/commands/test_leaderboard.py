"""What `bench leaderboard build` is told, held against what there is."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from leaderboard.commands.leaderboard import _require_known


def test_a_public_split_that_no_row_has_is_refused() -> None:
    """Misspelt, it would close the split without a word; a repository may name a split before it has rows of it."""
    said: list[str] = []
    with pytest.raises(UsageError, match="no split is named 'tset'") as raised:
        _require_known(("tset",), {"test", "val"}, None)
    assert "did you mean test" in raised.value.fix
    _require_known(("test",), {"test", "val"}, None)
    _require_known(("test",), set(), None)
    _require_known(("tset",), {"test"}, said.append)
    assert said == ["warning: no row is of the split 'tset', which is to be public"]
