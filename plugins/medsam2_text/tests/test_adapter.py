"""MedSAM2 Text with network and text encoder replaced at their own interfaces: sides, slices, texts, samples."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PARAMS = {
    "image_size": 128, "window_low": -1000, "window_high": 400, "predict_memory": True, "train_memory": True,
    "frames": 8, "objects": 2, "first_frame": False, "foreground": 1.0,
    "rate": 1e-4, "image_rate": 1e-5, "steps": 1, "batch": 1,
    "cache_mb": 64, "decay": 0.1, "layer_decay": 0.9, "threshold": 0.5,
}  # fmt: skip
BRIGHT = 200  # of 255, in the window: what both balls are brighter than


class Words:
    """Replaces the text encoder: a vector states the sides that a text names."""

    max_tokens = 512

    def __init__(self) -> None:
        self.read: list[str] = []

    def count_tokens(self, text: str) -> int:
        return 2 + len(text.split())

    def encode_text(self, text: str) -> Any:
        self.read.append(text)
        return np.array(["right" in text, "left" in text], np.float32)


class Bright:
    """Replaces the network: finds bright voxels on the side that a vector names."""

    def __init__(self) -> None:
        self.memory: bool | None = None
        self.pictures: list[Any] = []

    def segment(self, frames: Any, vectors: Any, *, memory: bool, level: float) -> Any:
        self.memory, self.pictures = memory, [frames.picture(index) for index in range(len(frames))]
        found = np.zeros((len(vectors), len(frames), frames.height, frames.width), bool)
        for index, picture in enumerate(self.pictures):
            grey = np.asarray(Image.fromarray(picture).resize((frames.width, frames.height)))
            half = frames.width // 2  # the patient's right is on a picture's left
            for number, (right, left) in enumerate(vectors):
                found[number, index, :, :half] = (grey[:, :half] > BRIGHT) & bool(right)
                found[number, index, :, half:] = (grey[:, half:] > BRIGHT) & bool(left)
        return found


@pytest.fixture
def adapter(load_plugin: Any) -> Any:
    """Give the plugin's module."""
    return load_plugin(ROOT)


@pytest.fixture
def model(adapter: Any) -> Any:
    """Give an adapter that is loaded but for its network and its text encoder."""
    model = adapter.MedSam2Text()
    model.network, model.language = Bright(), Words()
    model.job, model.params, model.device = SimpleNamespace(seed=0), dict(PARAMS), "cpu"
    model.findings_per_sample = PARAMS["objects"]
    return model


def _trained(drawn: Any, *balls: Any) -> Any:
    """Return a case to train with: one finding a ball, with its side for a text."""
    texts = ["right" if ball is drawn.right else "left" for ball in balls]
    case = drawn.case(*texts)
    case.labels = lambda: np.stack(balls).astype(np.uint8) * 2
    return case


def _samples(model: Any, cases: list[Any], state: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the training loop would be given to make samples with."""
    for name in ("torch", "groundbench_sdk.torch_training"):
        monkeypatch.setitem(sys.modules, name, MagicMock(name=name))
    model.network = MagicMock()
    model.finetune(cases, [], SimpleNamespace(rank=0, world_size=1, state=state))
    loop: Any = sys.modules["groundbench_sdk.torch_training"]
    return loop.fit.call_args.kwargs


def test_a_side_is_the_patients_side_on_every_grid(model: Any, drawn: Any, overlap: Any) -> None:
    """Right is right and the mask lies on the ball, however the CT is stored and resized."""
    masks = dict(model.predict(drawn.case("mass in the right lung", "mass in the left lung")))
    assert masks["0"].shape == drawn.hu.shape
    assert overlap(masks["0"], drawn.right) > 0.9
    assert overlap(masks["1"], drawn.left) > 0.85
    assert not masks["0"][drawn.left].any()


def test_slices_go_from_the_feet_to_the_head_and_front_is_up(model: Any, drawn: Any) -> None:
    """The right ball lies in front and above: late among the slices, in the upper left of its pictures."""
    list(model.predict(drawn.case("right", "left")))
    places = np.argwhere(np.stack(model.network.pictures) > BRIGHT)
    right = places[places[:, 2] < 64]
    left = places[places[:, 2] >= 64]
    assert right[:, 0].mean() > left[:, 0].mean()
    assert right[:, 1].mean() < 64 < left[:, 1].mean()
    assert model.network.memory is True


def test_texts_are_cleaned_and_cut_with_a_word(model: Any, upright: Any) -> None:
    """Quotes and parentheses are removed, as in CT-CLIP's training; upstream cuts at 512 tokens without a warning."""
    case = upright.case("word " * 600 + "end", 'A "small"\n(right) nodule')
    list(model.predict(case))
    first, second = model.language.read
    assert len(first.split()) == 510
    assert second == "A small right nodule"
    (said,) = case.warnings
    assert "512 tokens" in said
    assert said.endswith("end'")


def test_a_case_without_findings_asks_nothing(model: Any, upright: Any) -> None:
    """Nothing is read, seen or found."""
    assert list(model.predict(upright.case())) == []
    assert model.network.pictures == []


def test_training_sees_what_predicting_sees(
    model: Any, drawn: Any, overlap: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample's pictures are those of neighbouring slices; its masks lie on them, in the order of its vectors."""
    case = _trained(drawn, drawn.right, drawn.left)
    list(model.predict(case))
    pictures = np.stack(model.network.pictures)
    windows = [pictures[first : first + 8].tobytes() for first in range(len(pictures) - 7)]
    sample = _samples(model, [case], tmp_path, monkeypatch)["sample"]
    for seed in range(6):
        shown, vectors, truth = sample(0, np.random.default_rng(seed))
        assert shown.shape == (8, 128, 128)
        assert truth.shape == (8, 2, 128, 128)
        assert shown.tobytes() in windows
        assert truth[:, 0].any(), "a sample is to hold the finding that was drawn first"
        for number, (right, left) in enumerate(vectors):
            assert {right, left} == {0, 1}
            found = shown > BRIGHT
            found[..., 64:] &= bool(left)
            found[..., :64] &= bool(right)
            if truth[:, number].sum() > 50:
                assert overlap(truth[:, number], found) > 0.85


def test_a_sample_has_so_many_findings_and_a_case_is_one(
    model: Any, upright: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many findings some are drawn, others the next time; cases without findings are not samples."""
    many = _trained(upright, *([upright.right, upright.left] * 3))
    given = _samples(model, [upright.case(), many], tmp_path, monkeypatch)
    assert given["n_train"] == 1
    drawn = [given["sample"](0, np.random.default_rng(seed))[1] for seed in range(8)]
    assert {len(vectors) for vectors in drawn} == {2}
    assert len({vectors.tobytes() for vectors in drawn}) > 1


def test_one_frame_has_no_memory_to_train(
    model: Any, adapter: Any, drawn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory would get no gradient, which several GPUs would wait for."""
    cases = [_trained(drawn, drawn.right)]
    model.params["frames"] = 1
    with pytest.raises(adapter.Rejected, match="at least 2"):
        _samples(model, cases, tmp_path, monkeypatch)
    model.params["train_memory"] = False
    assert _samples(model, cases, tmp_path, monkeypatch)["n_train"] == 1


def test_frames_follow_each_other_and_hold_one_of_those_wanted(adapter: Any) -> None:
    """Every place is drawn, none beyond the ends; fewer slices than frames are all taken, a single one twice."""
    random = np.random.default_rng(0)
    wanted = np.zeros(40, bool)
    wanted[[3, 30]] = True
    chosen = [adapter.consecutive(40, 5, wanted, random) for _ in range(300)]
    assert all((np.diff(frames) == 1).all() and len(frames) == 5 and wanted[frames].any() for frames in chosen)
    assert {int(frames[0]) for frames in chosen} == {*range(4), *range(26, 31)}
    anywhere = {int(adapter.consecutive(40, 5, None, random)[0]) for _ in range(600)}
    assert anywhere == set(range(36))
    assert adapter.consecutive(7, 32, None, random).tolist() == list(range(7))
    assert adapter.consecutive(6, 7, None, random).tolist() == list(range(6))
    assert adapter.consecutive(1, 32, None, random).tolist() == [0, 0]


def test_the_first_slice_shows_what_is_followed(adapter: Any) -> None:
    """Every beginning that shows a finding is drawn, and no other; at most so many of those that it shows."""
    random = np.random.default_rng(0)
    shown = np.zeros((4, 40), bool)
    shown[0, 5:8] = shown[1, 6] = shown[2, 6] = True
    shown[3, 39] = True  # no window of 5 begins with it
    begun: dict[int, set[int]] = {}
    for _ in range(400):
        slices, findings = adapter.tracked(shown, 5, 2, random)
        assert slices.tolist() == list(range(slices[0], slices[0] + 5))
        assert 1 <= len(findings) <= 2
        assert shown[findings, slices[0]].all()
        begun.setdefault(int(slices[0]), set()).update(findings.tolist())
    assert begun == {5: {0}, 6: {0, 1, 2}, 7: {0}}


def test_findings_that_no_window_begins_with(adapter: Any) -> None:
    """In the last slices one of them is held; a case without voxels has any slices and any findings."""
    random = np.random.default_rng(0)
    shown = np.zeros((2, 20), bool)
    shown[1, 19] = True
    slices, findings = adapter.tracked(shown, 8, 2, random)
    assert slices.tolist() == list(range(12, 20))
    assert findings.tolist() == [1]
    slices, findings = adapter.tracked(np.zeros((3, 20), bool), 8, 2, random)
    assert len(slices) == 8
    assert len(findings) == 2
    slices, findings = adapter.tracked(np.ones((1, 1), bool), 8, 2, random)
    assert slices.tolist() == [0, 0]
    assert findings.tolist() == [0]
