"""The table of rules: every field of a declaration is in it, and each rule can fail."""

from __future__ import annotations

import dataclasses

import pytest

from harness import Model, Resources, Source, Variant, Weights
from harness.registry.constraints import rules

DECLARATIONS = (Model, Variant, Resources, Source, Weights)


@pytest.mark.parametrize("kind", DECLARATIONS)
def test_every_field_has_a_rule_that_says_what_it_wants(kind: type) -> None:
    """A new field cannot come without a check and without its line in the reference."""
    assert list(rules(kind)) == [field.name for field in dataclasses.fields(kind)]
    assert all(rule.says and rule.fault(object()) for rule in rules(kind).values())


@pytest.mark.parametrize("kind", DECLARATIONS)
def test_every_default_obeys_its_rule(kind: type) -> None:
    """What one need not write is right."""
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            assert rules(kind)[field.name].holds(field.default)
