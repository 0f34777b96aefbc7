"""A trained checkpoint says what it is derived from, and is shared only where everything allows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.dataset import Dataset
from harness.dataset.terms import CT_RATE, Terms
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.pinned import Hub, Weights
from harness.runs.run_weights import Loaded
from harness.runs.training.derived import derived
from harness.status import Answer

FREE = Terms(licence="CC BY-SA 4.0", derived=Answer.YES, commercial=Answer.YES)


def _file(licence: str, note: str = "") -> Weights:
    return Hub("owner/name", licence=licence, note=note).file("model.pt")


@pytest.mark.parametrize(
    ("files", "terms", "answer", "words"),
    [
        ([_file("CC-BY-SA-4.0"), _file("MIT")], FREE, "yes", ""),
        ([], FREE, "yes", ""),
        ([_file("CC-BY-SA-4.0")], CT_RATE, "no", "both cannot be kept"),
        ([_file("CC-BY-SA-4.0")], CT_RATE.model_copy(update={"derived": Answer.YES}), "no", "both cannot be kept"),
        ([_file("CC-BY-NC-SA-4.0")], CT_RATE, "unknown", "say of what is derived: unknown"),
        ([_file("none")], FREE, "no", "owner/name/model.pt has no licence"),
        ([_file("not stated")], FREE, "unknown", "is not known (not stated)"),
        ([_file("MIT", "ask us")], FREE, "unknown", "owner/name/model.pt: ask us"),
        ([_file("MIT")], Terms(derived=Answer.YES), "unknown", "data set phantom"),
        ([_file("MIT")], FREE.model_copy(update={"derived": Answer.NO}), "no", "say of what is derived: no"),
    ],
)
def test_a_checkpoint_is_shared_only_where_everything_allows_it(
    files: list[Weights], terms: Terms, answer: str, words: str
) -> None:
    """MedSAM2 trained on CT-RATE can keep only one of two licences; what nobody stated is not a yes."""
    found = derived(files, Dataset(Path("phantom"), Path("phantom/dataset.json"), "phantom", {}, terms=terms))
    assert found["share"]["answer"] == answer
    assert bool(found["share"]["because"]) == (answer != "yes")
    assert words in "; ".join(found["share"]["because"])
    assert [work["licence"] for work in found["derived_from"]] == [
        *(file.licence for file in files),
        terms.licence or "not stated",
    ]


def test_of_weights_given_by_path_no_licence_is_known() -> None:
    """They are not those that the plugin declares; random weights are derived from nothing."""
    plugin = Plugin(Model("mine", "Mine", "Does.", "1", weights=(_file("MIT"),), variants=(Variant("one"),)), "test")
    variant = plugin.model.variants[0]
    assert [file.licence for file in Loaded("pinned").licensed(plugin, variant)] == ["MIT"]
    (given,) = Loaded("given").licensed(plugin, variant)
    assert (given.licence, given.commercial) == ("not stated", Answer.UNKNOWN)
    assert Loaded("random").licensed(plugin, variant) == []
    assert plugin.model.licences(Loaded("given").licensed(plugin, variant))["commercial"] == "unknown"
