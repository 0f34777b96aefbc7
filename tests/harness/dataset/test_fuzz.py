"""Whatever the JSON holds, a data set opens or is refused; nothing else ever happens."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.dataset import open_dataset
from harness.dataset.fingerprint import fingerprint_of
from harness.dataset.validate import validate_dataset
from harness.dataset.volumes import Depth
from harness.errors import BenchError

pytestmark = pytest.mark.costly

_ENTRY = {
    "name": "train_1_a_1.nii.gz",
    "findings": {"0": "a nodule", "1": "an effusion"},
    "entity_counts": {"0": 1, "1": 2},
    "shape": [16, 14, 10],
    "pixels": {"0": 8, "1": 9},
    "categories": {"0": "2d", "1": "2e"},
    "protocol": "protocol1",
}

_ODD = st.sampled_from([float("1e400"), 1e308, 2**63, -1, 0, "", "..", "/", "a/b", "\0", "\n", "\u202e", "0", "00"])
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | _ODD.map(str), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


_SOUND = {"val": [_ENTRY], "test": [{**_ENTRY, "name": "train_2_a_1.nii.gz"}]}
_PLACES = [place for place in places(_SOUND) if place]


def check(root: Path, text: str) -> None:
    """Open and validate; only an expected refusal may come out."""
    (root / "dataset.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(BenchError):
        dataset = open_dataset(root)
        assert all(case.id and "/" not in case.id for case in dataset)
        assert len(fingerprint_of(dataset)) == 71
    for problem in validate_dataset(root, depth=Depth.QUICK).problems:
        assert problem.where.isprintable()
        assert problem.fix


#: The data set is made anew for every example all the same; a busy machine is not a fault.
_FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=200, deadline=None, suppress_health_check=_FIXTURES)
@given(place=st.sampled_from(_PLACES), value=_ANYTHING)
def test_one_wrong_value_anywhere(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    """Any value of a sound index may be anything."""
    document = copy.deepcopy(_SOUND)
    target: Any = document
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    check(tmp_path, json.dumps(document))


@settings(max_examples=100, deadline=None, suppress_health_check=_FIXTURES)
@given(document=_ANYTHING)
def test_any_json(tmp_path: Path, document: Any) -> None:
    """Any JSON may take the index's place."""
    check(tmp_path, json.dumps(document))


@settings(max_examples=100, deadline=None, suppress_health_check=_FIXTURES)
@given(data=st.data())
def test_a_sound_index_cut_and_overwritten(tmp_path: Path, data: st.DataObject) -> None:
    """An index may be cut short or hold a stray byte anywhere."""
    text = json.dumps(_SOUND)
    position = data.draw(st.integers(0, len(text) - 1))
    if data.draw(st.booleans()):
        text = text[:position]
    else:
        text = text[:position] + data.draw(st.characters()) + text[position + 1 :]
    check(tmp_path, text)


@pytest.mark.parametrize("name", ["spacing.json", "groundbench.json"])
@settings(max_examples=50, deadline=None, suppress_health_check=_FIXTURES)
@given(document=_ANYTHING)
def test_any_json_beside_the_index(tmp_path: Path, name: str, document: Any) -> None:
    """The files beside the index are not trusted more than the index."""
    (tmp_path / name).write_text(json.dumps(document))
    check(tmp_path, json.dumps(_SOUND))
