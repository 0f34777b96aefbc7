"""Values of ``--param`` are read as the types that the variant declares."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.errors import UsageError
from harness.runs.params import changed, parse_changes

VARIANT = cast("Any", SimpleNamespace(name="v", params={"rate": 1e-4, "steps": 10, "flip": True, "mode": "fast"}))
PLUGIN = cast("Any", SimpleNamespace(name="p"))


def test_a_value_has_the_declared_type() -> None:
    """A whole number is taken for a declared float, a text stays a text even where it looks like a number."""
    read = parse_changes(PLUGIN, VARIANT, ["rate=1", "steps=20", "flip=false", "mode=7"])
    assert read == {"rate": 1.0, "steps": 20, "flip": False, "mode": "7"}
    assert isinstance(read["rate"], float)


@pytest.mark.parametrize("text", ["steps=1.5", "steps=true", "rate=NaN", "rate=fast", "flip=1", "steps"])
def test_a_value_of_another_type_is_refused(text: str) -> None:
    """Nothing is rounded, guessed or left to the model to fail on."""
    with pytest.raises(UsageError):
        parse_changes(PLUGIN, VARIANT, [text])


def test_an_unknown_name_gets_its_neighbour() -> None:
    """A slip in a name does not become a parameter that is never read."""
    with pytest.raises(UsageError) as refused:
        parse_changes(PLUGIN, VARIANT, ["stepz=3"])
    assert "steps" in refused.value.fix


def test_what_was_changed_is_a_reason_against_ranking() -> None:
    """Declared values give no reason, another value names itself."""
    assert changed(VARIANT, VARIANT.params) == []
    assert changed(VARIANT, {**VARIANT.params, "steps": 3}) == ["changed parameters: steps=3"]
