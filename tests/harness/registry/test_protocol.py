"""The readings of the paper's protocol, by name."""

from __future__ import annotations

import pytest

from harness import LITERAL, LUNG, BoxRule, Params, Prompt, Variant, ours


def test_the_lung_window_is_the_papers_as_level_and_width() -> None:
    """Section 3.6: level -600, width 1500."""
    low, high = LUNG.limits
    assert ((low + high) / 2, high - low) == (-600, 1500)


def test_the_literal_window_is_the_papers_as_limits() -> None:
    """Section 3.6: from -600 to 1500."""
    assert LITERAL.limits == (-600, 1500)


@pytest.mark.parametrize("window", [LUNG, LITERAL])
def test_a_window_gives_parameters_with_their_origin(window: object) -> None:
    """Both limits, each with the paper's section and how it was read."""
    params = window.params  # type: ignore[attr-defined]
    assert list(params) == ["window_low", "window_high"]
    assert all(origin.startswith("paper, section 3.6") for origin in params.origins.values())


def test_another_reading_differs_in_what_it_states_alone() -> None:
    """Its name follows the variant's; parameters and origins that it states take the place of the variant's."""
    variant = Variant("large", LUNG.params | Params(size=ours(3)), prompt=Prompt.BOX)
    other = variant.reading("literal-window", LITERAL.params)
    assert other.name == "large-literal-window"
    assert other.params == {"window_low": -600, "window_high": 1500, "size": 3}
    assert other.origins == {"window_low": LITERAL.origin, "window_high": LITERAL.origin, "size": "ours"}
    moved = variant.reading("moved-boxes", boxes=BoxRule.MOVED)
    assert (moved.boxes, moved.params, moved.origins) == (BoxRule.MOVED, variant.params, variant.origins)
