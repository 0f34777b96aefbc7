"""A trained checkpoint says what it is derived from, and is shared only where everything allows it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from harness.dataset import Dataset
from harness.dataset.terms import CT_RATE, Terms
from harness.errors import PrerequisiteError, UsageError
from harness.registry.declaration import Model, Variant
from harness.registry.discovery import Plugin
from harness.registry.pinned import Hub, Weights
from harness.runs.checkpoint import Checkpoint, find_checkpoint, write_record
from harness.runs.run_weights import Loaded
from harness.runs.training.derived import ORIGIN, derived, export_checkpoint
from harness.status import Answer

FREE = Terms(licence="CC BY-SA 4.0", derived=Answer.YES, commercial=Answer.YES)


def _file(licence: str, note: str = "") -> Weights:
    return Hub("owner/name", licence=licence, note=note).file("model.pt")


def _data(terms: Terms) -> Dataset:
    return Dataset(Path("phantom"), Path("phantom/dataset.json"), "phantom", {}, terms=terms)


@pytest.mark.parametrize(
    ("files", "terms", "answer", "words"),
    [
        ([_file("CC-BY-SA-4.0"), _file("MIT")], FREE, "yes", ""),
        ([], FREE, "yes", ""),
        ([_file("CC-BY-SA-4.0")], CT_RATE, "no", "both cannot be kept"),
        ([_file("CC-BY-SA-4.0")], CT_RATE.model_copy(update={"derived": Answer.YES}), "no", "both cannot be kept"),
        ([_file("CC-BY-NC-SA-4.0")], CT_RATE, "unknown", "say of what is derived: unknown"),
        ([_file("none")], FREE, "no", "owner/name has no licence"),
        ([_file("not stated")], FREE, "unknown", "is not known (not stated)"),
        ([_file("MIT", "ask us")], FREE, "unknown", "owner/name: ask us"),
        ([_file("MIT")], Terms(derived=Answer.YES), "unknown", "data set phantom"),
        ([_file("MIT")], FREE.model_copy(update={"derived": Answer.NO}), "no", "say of what is derived: no"),
    ],
)
def test_a_checkpoint_is_shared_only_where_everything_allows_it(
    files: list[Weights], terms: Terms, answer: str, words: str
) -> None:
    """MedSAM2 trained on CT-RATE can keep only one of two licences; what nobody stated is not a yes."""
    found = derived(files, _data(terms))
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


def test_a_repository_is_named_once() -> None:
    """However many files of it a training starts from."""
    hub = Hub("owner/name", licence="none", note="ask us")
    found = derived([hub.file("a.pt"), hub.file("b.pt"), _file("MIT")], _data(FREE))
    assert [work["name"] for work in found["derived_from"]] == ["owner/name", "owner/name", "data set phantom"]
    assert found["share"]["because"] == ["owner/name has no licence", "owner/name: ask us"]


def _trained(home: Path, about: dict[str, Any]) -> Checkpoint:
    """Write a checkpoint of one file whose training recorded `about`, and read it back."""
    (home / "checkpoint").mkdir(parents=True)
    (home / "checkpoint" / "model.pt").write_bytes(b"weights")
    files = {"model.pt": {"bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}}
    secret = {"cases": {"train": ["case-77"]}, "hardware": {"host": "node-5"}, "plan": {"plugin": "mine", "seed": 0}}
    write_record(home, "key", files, secret | about)
    found = find_checkpoint(home, "key")
    assert found is not None
    return found


def test_an_exported_checkpoint_says_what_it_is_derived_from(tmp_path: Path) -> None:
    """With every licence, and without the names of cases and machines; never into a folder that holds something."""
    checkpoint = _trained(tmp_path / "key", derived([_file("MIT")], _data(FREE)))
    path = export_checkpoint(checkpoint, tmp_path / "out")
    assert (tmp_path / "out" / "model.pt").read_bytes() == b"weights"
    told = json.loads(path.read_text())
    assert [work["licence"] for work in told["derived_from"]] == ["MIT", "CC BY-SA 4.0"]
    assert told["training"] == {"plugin": "mine", "seed": 0}
    assert "case-77" not in path.read_text()
    assert "node-5" not in path.read_text()
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"model.pt", ORIGIN}
    with pytest.raises(UsageError, match="is not empty"):
        export_checkpoint(checkpoint, tmp_path / "out")


@pytest.mark.parametrize(
    ("about", "today", "why"),
    [
        (derived([_file("CC-BY-SA-4.0")], _data(CT_RATE)), None, "both cannot be kept"),
        (derived([_file("MIT")], _data(Terms())), None, "say of what is derived: unknown"),
        (derived([_file("MIT")], _data(FREE)), Terms(licence="MIT", derived=Answer.NO), "what is derived: no"),
        (derived([_file("CC-BY-SA-4.0")], _data(FREE)), CT_RATE, "both cannot be kept"),
        ({}, None, "did not record what it is derived from"),
        ({}, FREE, "did not record what it is derived from"),
    ],
)
def test_a_checkpoint_that_may_not_be_shared_is_not_exported(
    tmp_path: Path, about: dict[str, Any], today: Terms | None, why: str
) -> None:
    """By what its training recorded, or by the terms of today; of an earlier training nothing is known."""
    checkpoint = _trained(tmp_path / "key", about)
    with pytest.raises(PrerequisiteError, match="may not be shared") as refused:
        export_checkpoint(checkpoint, tmp_path / "out", None if today is None else _data(today))
    assert why in refused.value.message
    assert not (tmp_path / "out").exists()


def test_the_terms_of_today_count(tmp_path: Path) -> None:
    """An owner who allows it later is heard; also of a training that recorded the data set without them."""
    checkpoint = _trained(tmp_path / "key", derived([_file("MIT")], _data(Terms())))
    assert export_checkpoint(checkpoint, tmp_path / "out", _data(FREE)).is_file()
