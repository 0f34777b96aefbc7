"""How SegVol sees a CT: the whole volume on its own grid, encoded once and then prompted per finding."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from groundbench_sdk import Case
from groundbench_sdk.grids import reorient_to
from groundbench_sdk.text_models import logit
from groundbench_sdk.volume_models import Scan, View, VolumeModel, unpack
from volume import Grid, lay_grid, normalise


class SegVol(VolumeModel):
    """Segments one finding after another, prompted with its text or with its boxes."""

    axes = "SAR"  # upstream's (D, H, W): slices towards the head, rows to the front, columns to the patient's right
    weights_files = ("SegVol_v1.pth",)
    encoder_name = "CLIP"

    def build(self, tokenizer: Path | None) -> Any:
        """Build upstream's network for the declared size; its tokenizer is part of the source."""
        from model import Network

        self.size = (self.params["depth"], self.params["side"], self.params["side"])
        network = Network(self.size)
        network.freeze(projection=self.params.get("train_projection", True))
        return network

    def clean_text(self, text: str) -> str:
        """Remove the full stop: the template ends the sentence."""
        return super().clean_text(text).rstrip(" .")

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``; with boxes, the union of the masks of a finding's boxes, without its text."""
        if self.params["prompt"] == "text":
            yield from super().predict(case)
            return
        reorientation = reorient_to(self.axes, case.affine)
        image, grid = self._sample(self.scan(case).hu)
        with self.without_gradients():
            features = self.network.encode_image(image)
            for finding in case.findings:
                mask = np.zeros(self.size, bool)
                for box in finding.boxes or []:
                    mask |= self._found(features, None, grid.box(reorientation.box(box, case.shape)))
                yield finding.id, reorientation.restore(grid.restore(mask))

    def scan(self, case: Case) -> Scan:
        """Read the CT as stored, and reorient it as a view: the sum behind its mean goes by the memory's order."""
        reorientation = reorient_to(self.axes, case.affine)
        return Scan(reorientation.apply(case.volume(np.float32)), reorientation.values(case.spacing))

    def segment(self, scan: Scan, texts: list[Any]) -> Iterator[np.ndarray]:
        image, grid = self._sample(scan.hu)
        features = self.network.encode_image(image)
        for text in texts:
            yield grid.restore(self._found(features, text, None))

    def view(self, scan: Scan) -> View:
        """Resize the CT and its masks as upstream trains, by area, or as it predicts, to the nearest samples."""
        image = normalise(scan.hu)
        grid = lay_grid(image, self.size)
        soft = self.params["resize"] == "area"
        return (grid.average(image), grid.average) if soft else (grid.sample(image), grid.mark)

    def sample(self, image: np.ndarray, masks: np.ndarray, texts: list[Any], rng: np.random.Generator) -> Any:
        """Vary the brightness as upstream does; its mirroring would exchange left and right."""
        image, chance, jitter = image.astype(np.float32), self.params["jitter_chance"], self.params["jitter"]
        if rng.random() < chance:
            image = image * np.float32(1 + rng.uniform(-jitter, jitter))
        if rng.random() < chance:
            image = image + np.float32(rng.uniform(-jitter, jitter))
        return image, texts[0], masks if masks.dtype == np.float16 else unpack(masks, image.shape[-1])

    def loss(self, module: Any, samples: list[Any]) -> dict[str, Any]:
        """Return upstream's Dice and cross-entropy of one text per volume."""
        images, texts, masks = zip(*samples, strict=True)
        return dict(self.network.loss(module(self.tensor(images)[:, None], list(texts)), self.tensor(masks).float()))

    def _sample(self, ct: np.ndarray) -> tuple[np.ndarray, Grid]:
        image = normalise(ct)
        grid = lay_grid(image, self.size)
        return grid.sample(image), grid

    def _found(self, features: Any, text: str | None, box: list[int] | None) -> np.ndarray:
        return self.network.segment(features, text, box) > logit(self.params["threshold"])
