"""Both video adapters on a stand-in predictor that sees bright voxels: what it saw comes back on the CT's own grid.

torch and the upstream packages are stood in for, so that these rules are checked wherever the tests run; the true
predictors run in their images.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
MEAN, STD = 0.485, 0.229  # of the first channel
PARAMS = {"config": "c", "checkpoint": "w.pt", "image_size": 256, "slices_each_way": 0}
PARAMS |= {"prompt": "box", "within": "volume", "together": False}
WINDOW = {"window_low": -1000, "window_high": 400}


class Tensor(np.ndarray):
    """An array with the words of a tensor that are used."""

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> np.ndarray:
        return np.asarray(self)

    def clone(self) -> Tensor:
        return self.copy()

    def numel(self) -> int:
        return self.size

    def element_size(self) -> int:
        return self.itemsize


class Predictor:
    """Sees what is brighter than half the window, in the box and two pixels around it, on every slice.

    It keeps outputs as upstream does, one a slice, and demands that the fifteen before the current one are there; of
    the features of slices it keeps those of one.
    """

    num_maskmem, memory_temporal_stride_for_eval, max_obj_ptrs_in_encoder = 7, 1, 16
    fill_hole_area = 8

    def __init__(self, *, old: bool) -> None:
        self.old = old  #: the elder interface, which keeps its outputs twice
        self.most_kept = 0
        self.prompts: list[tuple[int, list[float]]] = []
        self.masks: list[tuple[int, np.ndarray]] = []
        self.steps: list[int] = []
        self.encoded: list[int] = []
        self.frames: Any = None

    def start(self, frames: Any, height: int, width: int) -> dict[str, Any]:
        self.frames, self.height, self.width = frames, height, width
        frames[0]
        state: dict[str, Any] = {"output_dict_per_obj": {}, "cached_features": {}}
        return state | ({"output_dict": {"non_cond_frame_outputs": {}}} if self.old else {})

    def reset_state(self, state: dict[str, Any]) -> None:
        state["output_dict_per_obj"].clear()
        self.given: dict[int, tuple[int, np.ndarray]] = {}
        if self.old:
            state["output_dict"]["non_cond_frame_outputs"].clear()

    def add_new_points_or_box(
        self, inference_state: Any, frame_idx: int, obj_id: int, box: np.ndarray
    ) -> tuple[int, list[int], Tensor]:
        assert box.dtype == np.float32
        inference_state["output_dict_per_obj"][obj_id] = {"non_cond_frame_outputs": {}, "cond_frame_outputs": {}}
        self.given[obj_id] = frame_idx, box
        self.prompts.append((frame_idx, box.tolist()))
        return frame_idx, [*self.given], self._logits(inference_state, frame_idx)

    def add_new_mask(self, inference_state: Any, frame_idx: int, obj_id: int, mask: Tensor) -> None:
        assert inference_state["output_dict_per_obj"]
        self.masks.append((frame_idx, np.asarray(mask)))

    def propagate_in_video(
        self, state: Any, start_frame_idx: int, max_frame_num_to_track: int | None, *, reverse: bool
    ) -> Iterator[tuple[int, list[int], Tensor]]:
        if reverse and start_frame_idx == 0:
            return
        step = -1 if reverse else 1
        reach = len(self.frames) if max_frame_num_to_track is None else max_frame_num_to_track
        kept = [*state["output_dict_per_obj"].values(), *([state["output_dict"]] if self.old else [])]
        keys = {key for key, _ in self.given.values()}
        for index in range(start_frame_idx, start_frame_idx + step * (reach + 1), step):
            if not 0 <= index < len(self.frames):
                return
            for outputs in kept:
                before = range(index - step, index - 16 * step, -step)
                needed = {i for i in before if (i - start_frame_idx) * step > 0} - keys
                assert needed <= set(outputs["non_cond_frame_outputs"])
                if index not in keys:
                    outputs["non_cond_frame_outputs"][index] = object()
                self.most_kept = max(self.most_kept, len(outputs["non_cond_frame_outputs"]))
            self.steps.append(index)
            yield index, [*self.given], self._logits(state, index)

    def _features(self, state: Any, index: int) -> Tensor:
        _, features = state["cached_features"].get(index, (None, None))
        if features is None:
            self.encoded.append(index)
            frame = np.asarray(self.frames[index]).view(Tensor)
            features = {"backbone_fpn": [frame], "vision_pos_enc": [np.zeros(1)], "vision_features": frame}
            state["cached_features"] = {index: (frame[None], features)}
        found: Tensor = features["backbone_fpn"][0]
        return found

    def _logits(self, state: Any, index: int) -> Tensor:
        frame = np.asarray(self._features(state, index))
        assert frame.dtype == np.float32
        grey = Image.fromarray(frame[0] * STD + MEAN).resize((self.width, self.height), Image.Resampling.BOX)
        logits = np.full((len(self.given), 1, self.height, self.width), -1.0, np.float32)
        for number, (_, box) in enumerate(self.given.values()):
            x0, y0, x1, y1 = (int(v) for v in box)
            near = np.s_[number, 0, max(y0 - 2, 0) : y1 + 3, max(x0 - 2, 0) : x1 + 3]
            logits[near] = np.asarray(grey)[near[2:]] - 0.5
        return logits.view(Tensor)


@pytest.fixture(params=["sam2", "medsam2"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that loads the plugin's adapter with stand-ins for torch and for what it is built on."""
    name = request.param
    asked: dict[str, Any] = {"seeds": [], "threads": []}
    torch = ModuleType("torch")
    torch.__dict__.update(
        from_numpy=lambda array: array,
        manual_seed=asked["seeds"].append,
        set_num_threads=asked["threads"].append,
        autocast=lambda *_, **__: nullcontext(),
        bfloat16="bfloat16",
    )
    package, of_build, of_video = (
        ModuleType("sam2"),
        ModuleType("sam2.build_sam"),
        ModuleType("sam2.sam2_video_predictor"),
    )
    predictor: Any = Predictor(old=name == "medsam2")

    def build(config: str, checkpoint: str | None, *, device: str, hydra_overrides_extra: list[str]) -> Predictor:
        asked.update(config=config, checkpoint=checkpoint, device=device, overrides=hydra_overrides_extra)
        return predictor

    if name == "sam2":
        of_build.__dict__.update(build_sam2_video_predictor=build)
        predictor.init_state = lambda video_path, **_: predictor.start(
            *of_video.__dict__["load_video_frames"](video_path=video_path, image_size=1, compute_device="cpu")
        )
    else:
        of_build.__dict__.update(build_sam2_video_predictor_npz=build)
        predictor.init_state = lambda images, h, w, **_: predictor.start(images, h, w)
    package.__dict__.update(sam2_video_predictor=of_video)
    for module in (torch, package, of_build, of_video):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    spec = importlib.util.spec_from_file_location(f"{name}_adapter", ROOT / "plugins" / name / "adapter.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    adapter = {"sam2": "Sam2", "medsam2": "MedSam2"}[name]
    return lambda: SimpleNamespace(kind=getattr(module, adapter), predictor=predictor, asked=asked)


def _run(root: Path, made: Any, hu: np.ndarray, affine: np.ndarray, boxes: list[list[Any]], **params: Any) -> list[Any]:
    """Run an adapter over one case through the SDK's own loop; return the masks, a finding each."""
    from groundbench_sdk import main

    for folder in ("ct", "out"):
        (root / folder).mkdir(parents=True)
    nib.save(nib.Nifti1Image(hu.astype(np.int16), affine), root / "ct" / "a.nii.gz")
    job = {"contract": 1, "verb": "predict", "model": "m", "variant": "v", "seed": 5, "devices": ["cpu"], "threads": 1}
    job |= {"memory_mb": params.pop("memory_mb", None)}
    job |= {"params": PARAMS | WINDOW | params, "weights": "random"}
    (root / "job.json").write_text(json.dumps(job))
    findings = [{"id": str(i), "text": "t", "boxes": each} for i, each in enumerate(boxes)]
    case = {"id": "a", "ct": "ct/a.nii.gz", "shape": hu.shape, "spacing": [1, 1, 1], "findings": findings}
    (root / "cases.jsonl").write_text(json.dumps(case) + "\n")
    assert main(made.kind, root) == 0
    events = [json.loads(line) for line in (root / "out" / "events.jsonl").read_text().splitlines()]
    failed = [event["reason"] for event in events if event["event"] == "case_failed"]
    assert not failed, failed
    masks = []
    for finding in findings:
        image: Any = nib.load(root / "out" / "a" / f"{finding['id']}.nii.gz")
        np.testing.assert_allclose(image.affine, affine, atol=1e-5)
        masks.append(np.asarray(image.dataobj) > 0)
    return masks


def _phantom(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return (HU, labels), towards RAS: two bodies without any symmetry, near different corners."""
    labels = np.zeros(shape, np.uint8)
    x, y, z = (np.array(shape) / (24, 20, 16)).tolist()

    def fill(label: int, ends: list[tuple[float, float, float, float, float, float]]) -> None:
        for a, b, c, d, e, f in ends:
            low = int(a * x), int(b * y), int(c * z)
            high = int(d * x), int(e * y), int(f * z)
            labels[tuple(slice(i, max(j, i + 1)) for i, j in zip(low, high, strict=True))] = label

    fill(1, [(2, 3, 2, 11, 6, 5), (2, 3, 2, 5, 11, 5), (2, 3, 2, 5, 6, 9)])
    fill(2, [(15, 12, 9, 22, 18, 12), (15, 12, 12, 18, 14, 15)])
    return np.where(labels > 0, 300, -900), labels


def _stored(array: np.ndarray, codes: str, spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return an array towards RAS as it is stored with axes towards `codes`, and the affine of that."""
    ras = np.diag([*spacing, 1.0])
    wanted = nib.orientations.axcodes2ornt(tuple(codes))
    change = nib.orientations.ornt_transform(nib.orientations.io_orientation(np.eye(4)), wanted)
    turned = nib.orientations.apply_orientation(array, change)
    return np.ascontiguousarray(turned), ras @ nib.orientations.inv_ornt_aff(change, array.shape)


def _boxes(labels: np.ndarray) -> list[list[int]]:
    found = []
    for label in range(1, int(labels.max()) + 1):
        where = np.argwhere(labels == label)
        found.append([*where.min(axis=0).tolist(), *(where.max(axis=0) + 1).tolist()])
    return found


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "IAL", "LAI"])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((48, 40, 16), (1.0, 1.0, 1.0)), ((61, 43, 17), (0.6, 0.9, 5.0))],
    ids=["even", "odd and anisotropic"],
)
def test_bodies_come_back_where_they_are(
    make: Callable[..., Any], tmp_path: Path, codes: str, shape: Any, spacing: Any
) -> None:
    """However a volume is stored, each finding's mask lies on its body, and nowhere else."""
    hu, labels = _phantom(shape)
    volume, affine = _stored(hu, codes, spacing)
    truth, _ = _stored(labels, codes, spacing)
    made = make()
    masks = _run(tmp_path, made, volume, affine, [[box] for box in _boxes(truth)])
    for label, mask in enumerate(masks, 1):
        assert _dice(mask, truth == label) > 0.9
        for axis in range(3):
            assert _dice(np.flip(mask, axis), truth == label) < 0.5
    (key, corners), *_ = made.predictor.prompts
    ras = np.argwhere(labels == 1)
    low, high = ras.min(axis=0), ras.max(axis=0)
    assert key == (low[2] + high[2]) // 2  # from the feet, whatever the storage
    assert corners == [shape[0] - 1 - high[0], shape[1] - 1 - high[1], shape[0] - 1 - low[0], shape[1] - 1 - low[1]]


def test_an_oblique_volume_comes_back_on_its_grid(make: Callable[..., Any], tmp_path: Path) -> None:
    """A tilt changes the affine of the mask with that of the CT, and no voxel."""
    hu, labels = _phantom((48, 40, 16))
    volume, affine = _stored(hu, "LPS", (0.7, 0.7, 2.0))
    truth, _ = _stored(labels, "LPS", (0.7, 0.7, 2.0))
    angle = np.deg2rad(20)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    masks = _run(tmp_path, make(), volume, tilt @ affine, [_boxes(truth)])
    assert _dice(masks[0], truth > 0) > 0.9


def test_one_slice(make: Callable[..., Any], tmp_path: Path) -> None:
    """A volume of one slice is a film of one picture; nothing is propagated backwards from it."""
    hu, labels = _phantom((48, 40, 16))
    made = make()
    masks = _run(tmp_path, made, hu[:, :, 3:4], np.diag([1, 1, 2, 1]), [_boxes(labels[:, :, 3:4])])
    assert _dice(masks[0], labels[:, :, 3:4] > 0) > 0.9
    assert made.predictor.steps == [0]


@pytest.mark.costly
def test_a_thousand_slices_cost_no_more_than_their_volume(make: Callable[..., Any], tmp_path: Path) -> None:
    """Every slice is seen from the key slice on, both ways; outputs that are never looked at again are dropped."""
    hu, labels = _phantom((24, 20, 1000))
    made = make()
    boxes = _boxes(labels)
    tracemalloc.start()
    masks = _run(tmp_path, made, hu, np.diag([1, 1, 0.5, 1]), [boxes], image_size=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert _dice(masks[0], labels > 0) > 0.8
    keys = [(box[2] + box[5] - 1) // 2 for box in boxes]
    expected = [i for key in keys for i in (*range(key, 1000), *range(key, -1, -1))]
    assert made.predictor.steps == expected
    assert made.predictor.most_kept <= 17
    assert peak < 16 * hu.size  # float32 frames of all slices would take 48 kB a slice, 100 times the voxels


@pytest.mark.costly
def test_three_hundred_entities_are_one_union(make: Callable[..., Any], tmp_path: Path) -> None:
    """Each entity is followed on its own, and no body is cut away for being small."""
    labels = np.zeros((60, 50, 4), bool)
    boxes = []
    for x in range(0, 60, 3):
        for y in range(0, 45, 3):
            labels[x, y, 1:3] = True
            boxes.append([x, y, 1, x + 1, y + 1, 3])
    assert len(boxes) == 300
    made = make()
    masks = _run(tmp_path, made, np.where(labels, 300, -900), np.eye(4), [boxes, []], image_size=240)
    assert len(made.predictor.prompts) == 600
    assert _dice(masks[0], labels) > 0.9
    assert not masks[1].any()


@pytest.mark.parametrize(("memory_mb", "kept"), [(64, 16), (1, 0), (8, 2)], ids=["all", "none", "some"])
def test_a_slice_is_encoded_once_whatever_the_number_of_entities(
    make: Callable[..., Any], tmp_path: Path, memory_mb: int, kept: int
) -> None:
    """As far as memory allows: the others are encoded whenever they are met, to the same masks."""
    hu, labels = _phantom((48, 40, 16))
    boxes = _boxes(labels)
    size = 3 * 256 * 256 * 4  # of what the stand-in keeps of a slice
    first, made = make(), make()
    masks = _run(tmp_path / "plain", first, hu, np.eye(4), [boxes, boxes])
    encoded = list(first.predictor.encoded)
    first.predictor.encoded.clear()
    again = _run(tmp_path / "kept", made, hu, np.eye(4), [boxes, boxes], memory_mb=memory_mb)
    for one, other in zip(masks, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert min(16, memory_mb * 2**18 // size) == kept
    met = made.predictor.encoded
    assert len(encoded) > 4 * 16
    assert len(met) <= kept + (len(encoded) if kept < 16 else 0)
    if kept == 16:
        assert sorted(met) == list(range(16))
    elif kept:
        assert len(met) < len(encoded)


def test_a_finding_at_the_border(make: Callable[..., Any], tmp_path: Path) -> None:
    """Boxes that touch all sides of the volume are boxes like others."""
    hu = np.full((32, 24, 5), 300)
    masks = _run(tmp_path, make(), hu, np.diag([-1, -1, 1, 1]), [[[0, 0, 0, 32, 24, 5]], [[31, 23, 4, 32, 24, 5]]])
    assert masks[0].all()
    assert masks[1][31, 23].all()
    assert masks[1].sum() == 3 * 3 * 5


def test_slices_each_way_bound_the_propagation(make: Callable[..., Any], tmp_path: Path) -> None:
    """The parameter that makes a run small: so many slices each way, and no more."""
    hu, labels = _phantom((48, 40, 16))
    made = make()
    _run(tmp_path, made, hu, np.eye(4), [_boxes(labels)[:1]], slices_each_way=1)
    key = made.predictor.prompts[0][0]
    assert made.predictor.steps == [key, key + 1, key, key - 1]


@pytest.mark.parametrize(("each_way", "steps"), [(0, [5, 6, 7, 5, 4]), (1, [5, 6, 5, 4]), (9, [5, 6, 7, 5, 4])])
def test_within_the_box_no_other_slice_is_seen(
    make: Callable[..., Any], tmp_path: Path, each_way: int, steps: list[int]
) -> None:
    """An entity in slices 4 to 7 is followed through these and no farther, or less far where that is the limit."""
    hu, labels = _phantom((48, 40, 16))
    made = make()
    x0, y0, _, x1, y1, _ = _boxes(labels)[0]
    _run(tmp_path, made, hu, np.eye(4), [[[x0, y0, 4, x1, y1, 8]]], within="box", slices_each_way=each_way)
    assert made.predictor.steps == steps


@pytest.mark.parametrize("params", [{}, {"within": "box"}, {"slices_each_way": 1}], ids=["volume", "box", "one slice"])
def test_entities_that_are_followed_together(make: Callable[..., Any], tmp_path: Path, params: dict[str, Any]) -> None:
    """One pass each way for all of a finding; each is marked from its own key slice on, as far as it may be."""
    hu, labels = _phantom((48, 40, 16))
    hu[:, :, :14] = 300  # bright before and behind each body
    apart, made, boxes = make(), make(), [_boxes(labels), [], _boxes(labels)[:1]]
    masks = _run(tmp_path / "apart", apart, hu, np.eye(4), boxes, **params)
    apart.predictor.steps.clear()
    apart.predictor.prompts.clear()
    again = _run(tmp_path / "together", made, hu, np.eye(4), boxes, together=True, **params)
    for one, other in zip(masks, again, strict=True):
        np.testing.assert_array_equal(one, other)
    low, high = sorted((box[2] + box[5] - 1) // 2 for box in boxes[0])
    assert [key for key, _ in made.predictor.prompts] == [low, high, low, high, low, low]
    if not params:
        assert made.predictor.steps == [*range(low, 16), *range(high, -1, -1), *range(low, 16), *range(low, -1, -1)]


def test_pictures_are_drawn_ahead_the_way_that_slices_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, and none where a slice is read out of order; a slice that is not there is told as before."""
    from groundbench_sdk.video import Frames

    drawn: list[int] = []
    draw = Frames._draw
    monkeypatch.setattr(Frames, "_draw", lambda frames, index: drawn.append(index) or draw(frames, index))
    volume = np.random.default_rng(0).integers(-1000, 400, (24, 20, 16)).astype(np.int16)
    frames, order = Frames(volume, 32, -1000, 400), [5, *range(6, 16), 4, *range(3, -1, -1), 9]
    for index in order:
        np.testing.assert_array_equal(frames.picture(index), Frames(volume, 32, -1000, 400)._draw(index))
    plain = [*order]  # by the other frames, which the loop compares with
    assert sorted(drawn) == sorted(order + plain)
    with pytest.raises(IndexError):
        frames.picture(16)


def test_a_mask_prompt_is_what_the_box_gave_on_the_key_slice(make: Callable[..., Any], tmp_path: Path) -> None:
    """Before each direction the predictor's own mask of the key slice takes the place of the box."""
    hu, labels = _phantom((48, 40, 16))
    made = make()
    _run(tmp_path, made, hu, np.eye(4), [_boxes(labels)[:1]], prompt="mask")
    (key, first), (again, second) = made.predictor.masks
    assert key == again == made.predictor.prompts[0][0]
    np.testing.assert_array_equal(first, second)
    seen = np.flip(first.T, axis=(0, 1))  # columns run to the left and rows to the back; the CT towards RAS
    assert _dice(seen, labels[:, :, key] == 1) > 0.9


def test_the_window_decides_what_is_seen(make: Callable[..., Any], tmp_path: Path) -> None:
    """The same CT through a window in which the bodies are dark."""
    hu, labels = _phantom((48, 40, 16))
    masks = _run(tmp_path, make(), hu, np.eye(4), [_boxes(labels)], window_low=200, window_high=1500)
    assert not masks[0].any()


def test_what_upstream_is_asked_for(make: Callable[..., Any], tmp_path: Path) -> None:
    """Size overrides, device, seed; no weights under random ones; no hole filling, which needs an extension."""
    hu, labels = _phantom((24, 20, 16))
    made = make()
    _run(tmp_path, made, hu, np.eye(4), [_boxes(labels)], image_size=128)
    assert made.asked["config"] == "c"
    assert made.asked["checkpoint"] is None
    assert made.asked["device"] == "cpu"
    assert made.asked["seeds"][0] == 5
    assert "++model.image_size=128" in made.asked["overrides"]
    assert all(text.endswith("=[8,8]") for text in made.asked["overrides"][1:])
    assert made.predictor.fill_hole_area == 0


def test_an_impossible_size_is_refused(make: Callable[..., Any]) -> None:
    """The grid of features is a sixteenth of the picture."""
    from groundbench_sdk import Job, Rejected

    job = Job("predict", "m", "v", 0, ["cpu"], 1, PARAMS | WINDOW | {"image_size": 100}, Path("/w"), "random")
    with pytest.raises(Rejected, match="multiple of 16"):
        make().kind().load(job)
