"""The bases of 3-D models: whole CTs, masks back on the stored grid, and samples of findings, cases and patches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groundbench_sdk.volume_models import PatchModel, Scan, VolumeModel, unpack


class Network:
    """Knows tokens only."""

    max_tokens = 9
    parameters = list  # none

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class Whole(VolumeModel):
    """Finds the value that a text names; shows all but the outermost voxels."""

    axes = "RAS"

    def encode_texts(self, texts: list[str]) -> list[Any]:
        self.encoded = texts
        return [int(text) for text in texts]

    def segment(self, scan: Scan, texts: list[Any]) -> Iterator[np.ndarray]:
        assert scan.spacing == (2.0, 3.0, 4.0)
        for text in texts:
            yield scan.hu == text

    def view(self, scan: Scan) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        return scan.hu[1:-1, 1:-1, 1:-1], lambda mask: mask[1:-1, 1:-1, 1:-1]

    def sample(self, image: np.ndarray, masks: np.ndarray, texts: list[Any], rng: np.random.Generator) -> Any:
        return image, unpack(masks, image.shape[-1]), texts


class Cases(Whole):
    """Takes two findings of a case a sample."""

    findings_per_sample = 2


class Patches(PatchModel, Whole):
    """Cuts patches."""

    patch = (2, 2, 2)
    sample = PatchModel.sample


def _ready(kind: type[VolumeModel]) -> Any:
    model: Any = kind()
    model.network, model.params = Network(), {"cache_mb": 16, "foreground": 1.0}
    return model


def _case(toys: Any, name: str, findings: int) -> Any:
    """Return a CT of one value per voxel; finding n is the voxels from 100 n to 100 n + 30."""
    ct = np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10)
    labels = [((ct >= 100 * n) & (ct < 100 * n + 30)) * (n + 1) for n in range(findings)]
    return toys.case(name, ct, *(str(100 * n) for n in range(findings)), labels=np.array(labels))


def test_masks_come_back_on_the_stored_grid(toys: Any) -> None:
    """The network is given axes and spacing as it expects them."""
    case = _case(toys, "a", 3)
    masks = dict(_ready(Whole).predict(case))
    for number in range(3):
        np.testing.assert_array_equal(masks[str(number)], case.volume(np.int16) == 100 * number)


def test_a_sample_is_a_finding(toys: Any, tmp_path: Path) -> None:
    """In order, each with its own text and mask on the grid of the input; cases without findings are left out."""
    model = _ready(Whole)
    cases = [_case(toys, "a", 2), _case(toys, "empty", 0), _case(toys, "b", 1)]
    count, sample = model.samples(cases, SimpleNamespace(state=tmp_path))
    assert count == 3
    assert model.encoded == ["0", "100", "0"]
    for index, number in enumerate((0, 1, 0)):
        image, masks, texts = sample(index, np.random.default_rng(0))
        assert texts == [100 * number]
        inside = (image >= 100 * number) & (image < 100 * number + 30)
        np.testing.assert_array_equal(masks, inside[None])


def test_a_sample_is_a_case_with_some_of_its_findings(toys: Any, tmp_path: Path) -> None:
    """Which are drawn differs from sample to sample; texts and masks stay in the same order."""
    count, sample = _ready(Cases).samples([_case(toys, "a", 4), _case(toys, "b", 1)], SimpleNamespace(state=tmp_path))
    assert count == 2
    drawn = set()
    for seed in range(12):
        image, masks, texts = sample(0, np.random.default_rng(seed))
        assert len(texts) == len(masks) == 2
        for text, mask in zip(texts, masks, strict=True):
            np.testing.assert_array_equal(mask, (image >= text) & (image < text + 30))
        drawn.add(tuple(texts))
    assert len(drawn) > 4
    assert sample(1, np.random.default_rng(0))[2] == [0]


def test_a_case_is_decoded_once(toys: Any, tmp_path: Path) -> None:
    """What is kept is half precision and bits; further samples read the cache."""
    model, case = _ready(Whole), _case(toys, "a", 2)
    _, sample = model.samples([case], SimpleNamespace(state=tmp_path))
    first = sample(0, np.random.default_rng(0))[0]
    case.volume = case.labels = None
    np.testing.assert_array_equal(sample(1, np.random.default_rng(0))[0], first)
    assert first.dtype == np.float16


@pytest.mark.parametrize("foreground", [0.0, 1.0])
def test_a_patch_is_placed_on_the_finding(toys: Any, foreground: float, tmp_path: Path) -> None:
    """Image and masks are cut alike; without `foreground` some patches miss the finding."""
    model = _ready(Patches)
    model.params["foreground"] = foreground
    _, sample = model.samples([_case(toys, "a", 4)], SimpleNamespace(state=tmp_path))
    hits = []
    for seed in range(20):
        image, texts, masks = sample(3, np.random.default_rng(seed))
        assert (image.shape, image.dtype, masks.shape, texts) == ((2, 2, 2), np.float32, (1, 2, 2, 2), [300])
        np.testing.assert_array_equal(masks[0], (image >= 300) & (image < 330))
        hits.append(bool(masks.any()))
    assert all(hits) == bool(foreground)
