"""How MedSAM2 Text sees a CT: slices as frames, with a vector per finding instead of a box."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from frames import consecutive, marks, tracked
from groundbench_sdk import Training, TrainingCase
from groundbench_sdk.records import Rejected
from groundbench_sdk.text_models import logit
from groundbench_sdk.video import Frames
from groundbench_sdk.volume_models import Scan, View, VolumeModel, unpack

#: Characters that CT-CLIP's own reader of reports removes.
_REMOVED = str.maketrans("", "", "\"'()")


class MedSam2Text(VolumeModel):
    """Segments all findings of a case, slice by slice; the text encoder stays frozen."""

    axes = "LPS"  # columns to the patient's left, rows to the back, slices to the head
    order = "K"  # it takes one slice after another
    tokenizer_files = "cxr-bert--"
    encoder_name = "CT-CLIP's text encoder"

    def build(self, tokenizer: Path | None) -> Any:
        """Build upstream's network with a projection of the text, and CT-CLIP's text encoder."""
        from language import Language
        from network import build

        params = self.params
        # A sample is a case with so many at most; drawn later where they must be seen on the first slice.
        self.findings_per_sample = 64 if params["first_frame"] else params["objects"]
        network = build(params["config"], params["image_size"])
        network.freeze(memory=params["train_memory"])
        if tokenizer is None:
            network.expect_something()
        weights = None if tokenizer is None else self.job.weights / "CT-CLIP_v2.pt"
        self.language = Language(tokenizer, weights, self.device)
        return network

    def load_weights(self, folder: Path) -> None:
        self.network.load_published(folder / self.params["checkpoint"])

    def clean_text(self, text: str) -> str:
        """Remove quotes and parentheses, as for CT-CLIP's training."""
        return super().clean_text(text.translate(_REMOVED))

    def segment(self, scan: Scan, texts: list[Any]) -> Iterator[np.ndarray]:
        """Go through the slices once for all findings."""
        level, memory = logit(self.params["threshold"]), self.params["predict_memory"]
        for mask in self.network.segment(self._frames(scan), np.stack(texts), memory=memory, level=level):
            yield mask.transpose(2, 1, 0)

    def view(self, scan: Scan) -> View:
        """Return all pictures (D, S, S), and what resizes masks with them."""
        frames = self._frames(scan)
        pictures = np.stack([frames.picture(index) for index in range(len(frames))])
        return pictures, lambda mask: marks(mask, self.params["image_size"])

    def samples(self, train: Sequence[TrainingCase], training: Training) -> tuple[int, Any]:
        """Refuse to train the memory on single slices: it would get no gradient."""
        frames = self.params["frames"]
        if self.params["train_memory"] and frames < 2:
            raise Rejected(f"with train_memory, frames must be at least 2, not {frames}: one slice has no memory")
        return super().samples(train, training)

    def sample(self, image: np.ndarray, masks: np.ndarray, texts: list[Any], rng: np.random.Generator) -> Any:
        """Choose consecutive slices: (T, S, S), with vectors (N, 512) and masks (T, N, S, S)."""
        if self.params["first_frame"]:
            chosen, kept = tracked(masks.any(axis=(2, 3)), self.params["frames"], self.params["objects"], rng)
            masks, texts = masks[kept], [texts[number] for number in kept]
        else:
            inside = masks[0].any(axis=(1, 2)) if rng.random() < self.params["foreground"] else None
            chosen = consecutive(len(image), self.params["frames"], inside, rng)
        truth = np.stack(list(unpack(masks[:, chosen], image.shape[-1])), axis=1).astype(bool)
        return image[chosen], np.stack(texts), truth

    def loss(self, module: Any, samples: list[Any]) -> dict[str, Any]:
        """Return upstream's losses; samples differ in their numbers of slices and findings."""
        import torch

        pictures, vectors, truths = ([torch.from_numpy(part) for part in parts] for parts in zip(*samples, strict=True))
        return dict(self.network.loss(module(pictures, vectors, memory=self.params["train_memory"]), truths))

    def parameter_groups(self) -> list[Any]:
        """Group parameters as upstream: the image encoder slower, from layer to layer."""
        params = self.params
        return list(self.network.groups(params["rate"], params["image_rate"], params["decay"], params["layer_decay"]))

    def _frames(self, scan: Scan) -> Frames:
        params = self.params
        return Frames(scan.hu, params["image_size"], params["window_low"], params["window_high"])
