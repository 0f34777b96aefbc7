"""SAM 2 and models derived from it on CTs: slices as frames, and a base for adapters that are prompted with boxes.

The models share one interface: a state made from frames, a box on one frame, and masks that are propagated frame by
frame. This module adds frames that are made one at a time from a CT on its own grid, propagation in both directions,
the union over the entities, and memory that does not grow with the number of slices. Needs torch and Pillow.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Dict, Iterator

import numpy as np

from groundbench_sdk.adapter import Adapter
from groundbench_sdk.grids import Box, key_slice, reorient_to, slice_boxes, window
from groundbench_sdk.records import Case, Job, Rejected

#: Mean and standard deviation of the pictures that the image encoders were trained on (ImageNet), red, green, blue.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
STD = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]

#: Normalised value of each grey level, (3, 256), so that a GPU is sent one byte a pixel and rounds nothing itself.
LEVELS = ((np.arange(256, dtype=np.uint8) / np.float32(255) - MEAN) / STD)[:, 0]

#: Pictures of the next slices that are drawn in threads while one is computed, and these threads.
_AHEAD, _DRAWING = 4, 2

#: Share of the free memory of a GPU in which the features of slices are kept.
_FEATURES = 0.5


class Frames:
    """The axial slices of a CT as a video predictor takes them, each made when it is read.

    Where one is read after its neighbour, the pictures of those that follow that way are drawn meanwhile.

    Parameters
    ----------
    volume
        (L, P, S), Hounsfield units; axes run to the patient's left, back and head.
    size
        Side of the square that every slice is resized to.
    low, high
        The window, HU.
    device
        Where the frames are made from the pictures, and stay.
    """

    def __init__(self, volume: np.ndarray, size: int, low: float, high: float, device: str = "cpu") -> None:
        self._volume, self._size, self._low, self._high = volume, size, low, high
        self._device = device
        self._levels: Any = None
        self._drawing = ThreadPoolExecutor(_DRAWING)
        self._drawn: dict[int, Future[np.ndarray]] = {}
        self._last = -2  # no slice's neighbour
        self.width, self.height, _ = volume.shape

    def __len__(self) -> int:
        """Return the number of slices."""
        return int(self._volume.shape[2])

    def __getitem__(self, index: int) -> Any:
        """Return slice `index`, counted from the feet: a float32 tensor (3, size, size), equal channels, normalised."""
        import torch

        picture = self.picture(index)
        if self._device == "cpu":
            return torch.from_numpy(LEVELS[:, picture])
        if self._levels is None:
            self._levels = torch.from_numpy(LEVELS).to(self._device)
        return self._levels[:, torch.from_numpy(picture).to(self._device).long()]

    def picture(self, index: int) -> np.ndarray:
        """Return slice `index`, counted from the feet, (size, size), uint8: 0 to 255 through the window."""
        step, self._last = index - self._last, index
        wanted = range(index, index + step * (1 + _AHEAD), step) if abs(step) == 1 else (index,)
        drawn = self._drawn
        self._drawn = {
            near: drawn.get(near) or self._drawing.submit(self._draw, near)
            for near in wanted
            if near == index or 0 <= near < len(self)
        }
        return self._drawn.pop(index).result()

    def _draw(self, index: int) -> np.ndarray:
        grey = window(self._volume[:, :, index].T, self._low, self._high)  # rows to the back, columns to the left
        return resized(grey, self._size)


def resized(picture: np.ndarray, size: int, *, nearest: bool = False) -> np.ndarray:
    """Return a picture, uint8, resized to a square of `size`: bicubic as upstream, or by nearest pixels."""
    from PIL import Image

    method = Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(picture).resize((size, size), method))  # a copy: Pillow's own is read-only


def size_overrides(image_size: int) -> list[str]:
    """Return the overrides of upstream's configuration for pictures of this side.

    Raises
    ------
    Rejected
        When the side is not a multiple of 16, the pixels per feature of the encoder.
    """
    grid, rest = divmod(image_size, 16)
    if rest or grid < 1:
        raise Rejected(f"image_size must be a multiple of 16, not {image_size}")
    attention = "++model.memory_attention.layer"
    return [
        f"++model.image_size={16 * grid}",
        f"{attention}.self_attention.feat_sizes=[{grid},{grid}]",
        f"{attention}.cross_attention.feat_sizes=[{grid},{grid}]",
    ]


def computing(device: str, *, together: bool = False) -> AbstractContextManager[Any]:
    """Return the context of all computation: bfloat16 on a GPU, as upstream, and full precision on a CPU.

    Where entities are followed together, some are met before their key slice, of which upstream then has nothing but
    memories in bfloat16: these do not go with full precision.
    """
    import torch

    full = device == "cpu" and not together
    return nullcontext() if full else torch.autocast(device.partition(":")[0], dtype=torch.bfloat16)


class Remembering(Dict[str, Any]):
    """The state of a predictor that keeps the image features of every slice, where upstream keeps those of one.

    An entity is followed through slices that others were followed through before, each way from its own key slice: each
    slice is encoded once a case, whatever the number of entities. Features that find no room are computed anew, with
    the same result. Of the pictures nothing is kept, as upstream never reads them again, and of the position encodings,
    which are those of any slice, one copy.

    Parameters
    ----------
    state
        What the predictor made of the frames.
    room
        Bytes that the features may take.
    """

    def __init__(self, state: dict[str, Any], room: int) -> None:
        super().__init__(state)
        self._room, self._passing = room, -1
        self._places: Any = None
        super().__setitem__("cached_features", {})
        self["cached_features"] = state.get("cached_features", {})

    def __setitem__(self, key: str, value: Any) -> None:
        """Add features to those that are kept; set anything else."""
        if key != "cached_features":
            super().__setitem__(key, value)
            return
        kept = self["cached_features"]
        for index, (picture, features) in value.items():
            kept.pop(self._passing, None)
            levels = features["backbone_fpn"]
            self._places = self._places or features["vision_pos_enc"]
            size = sum(level.numel() * level.element_size() for level in levels)
            self._passing, self._room = (index, self._room) if size > self._room else (-1, self._room - size)
            kept[index] = picture[..., :1, :1].clone(), {"backbone_fpn": levels, "vision_pos_enc": self._places}


class VideoAdapter(Adapter):
    """An adapter around a video predictor with SAM 2's interface; a plugin writes :meth:`build` and :meth:`open`.

    Its parameters: ``config`` and ``checkpoint``, the configuration's name and the file of the weights; ``image_size``,
    side of the resized slices, a multiple of 16; ``window_low`` and ``window_high``, HU; ``within``, where an entity is
    followed: in the whole ``"volume"``, or in the slices of its ``"box"``; ``prompt``, what is propagated from the key
    slice: the ``"box"`` itself, or the ``"mask"`` that the model makes of it there; ``slices_each_way``, how far from
    its key slice an entity is followed at most, 0 for no limit; ``together``, whether the entities of a finding are
    followed at once, which finds other masks than one after another, as the protocol has it.
    """

    predictor: Any  #: what `build` returned
    device: str  #: ``"cpu"`` or ``"cuda:0"``

    def build(self, config: str, checkpoint: str | None, overrides: list[str]) -> Any:
        """Return the predictor on ``self.device``, ready to predict.

        Parameters
        ----------
        config
            The configuration's name, as upstream has it.
        checkpoint
            File of the weights; None: random weights.
        overrides
            Overrides of the configuration for the job's size.
        """
        raise NotImplementedError

    def open(self, frames: Frames) -> dict[str, Any]:
        """Return the predictor's state for these frames."""
        raise NotImplementedError

    def load(self, job: Job) -> None:
        """Build the predictor, with its weights or with random ones from the seed."""
        import torch

        torch.manual_seed(job.seed)  # before any weight is drawn
        torch.set_num_threads(job.threads)
        self._params, self._memory_mb = job.params, job.memory_mb
        self.device = job.devices[0]
        overrides = size_overrides(job.params["image_size"])
        checkpoint = None if job.weights_mode == "random" else str(job.weights / job.params["checkpoint"])
        self.predictor = self.build(job.params["config"], checkpoint, overrides)
        # Filling holes needs a CUDA extension that the images do not build; upstream then warns at every slice.
        self.predictor.fill_hole_area = 0

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield for every finding the union of its entities' masks, unfiltered."""
        reorientation = reorient_to("LPS", case.affine)
        volume = case.volume(axes="LPS", order="K")
        params = self._params
        frames = Frames(volume, params["image_size"], params["window_low"], params["window_high"], self.device)
        state = None
        for finding in case.findings:
            mask = np.zeros(volume.shape, bool, order="F")  # slice by slice, as they come and as they are written
            boxes = [reorientation.box(box, case.shape) for box in finding.boxes or []]
            for followed in [boxes] if params["together"] and boxes else [[box] for box in boxes]:
                with computing(self.device, together=params["together"]):
                    state = state or Remembering(self.open(frames), self._room())
                    for index, found in self._propagate(state, followed):
                        mask[:, :, index] |= found.T
            yield finding.id, reorientation.restore(mask)

    def _room(self) -> int:
        """Return the bytes in which features may be kept: half of what the GPU has left, or a quarter of the memory."""
        if self.device == "cpu":
            return (self._memory_mb or 0) * 2**18
        import torch

        return int(_FEATURES * torch.cuda.mem_get_info(self.device)[0])

    def _propagate(self, state: dict[str, Any], boxes: list[list[int]]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (slice, union of the masks) of entities, from their key slices to one end, then to the other."""
        keys = [key_slice(box) for box in boxes]
        for reverse in (False, True):
            self.predictor.reset_state(state)
            for number, (key, box) in enumerate(zip(keys, boxes), 1):
                self._prompt(state, key, number, box)
            reaches = [self._reach(box, key, reverse=reverse) for key, box in zip(keys, boxes)]
            start = max(keys) if reverse else min(keys)
            ends = [None if reach is None else abs(key - start) + reach for key, reach in zip(keys, reaches)]
            propagated = self.predictor.propagate_in_video(
                state,
                start_frame_idx=start,
                max_frame_num_to_track=None if None in ends else max(end for end in ends if end is not None),
                reverse=reverse,
            )
            for index, _, logits in propagated:
                past = [key - index if reverse else index - key for key in keys]
                met = [i for i, reach in enumerate(reaches) if past[i] >= 0 and (reach is None or past[i] <= reach)]
                yield index, (logits[met, 0] > 0).any(0).cpu().numpy()
                self._drop_output(state, index, reverse=reverse)
        self.predictor.reset_state(state)

    def _prompt(self, state: dict[str, Any], key: int, number: int, box: Box) -> None:
        """Show the predictor an entity on its key slice."""
        x0, y0, x1, y1 = slice_boxes(box)[key]
        corners = np.array([x0, y0, x1 - 1, y1 - 1], np.float32)  # pixels that belong to the box, as in training
        *_, logits = self.predictor.add_new_points_or_box(
            inference_state=state, frame_idx=key, obj_id=number, box=corners
        )
        if self._params["prompt"] == "mask":
            self.predictor.add_new_mask(inference_state=state, frame_idx=key, obj_id=number, mask=logits[-1, 0] > 0)

    def _reach(self, box: Box, key: int, *, reverse: bool) -> int | None:
        """Return how many slices from its key slice an entity is followed in one direction; None for no limit."""
        slices = slice_boxes(box)
        reach = [abs((min(slices) if reverse else max(slices)) - key)] if self._params["within"] == "box" else []
        reach += [each_way] if (each_way := self._params["slices_each_way"]) else []
        return min(reach, default=None)

    def _drop_output(self, state: dict[str, Any], index: int, *, reverse: bool) -> None:
        """Drop the output of the slice that is too far behind `index` to be read again.

        Upstream keeps the output of every slice for later corrections, of which there are none here.
        """
        predictor = self.predictor
        memory = predictor.num_maskmem * predictor.memory_temporal_stride_for_eval
        behind = max(memory, predictor.max_obj_ptrs_in_encoder)
        old = index + behind if reverse else index - behind
        kept = [*state["output_dict_per_obj"].values(), *([state["output_dict"]] if "output_dict" in state else [])]
        for outputs in kept:
            outputs["non_cond_frame_outputs"].pop(old, None)
