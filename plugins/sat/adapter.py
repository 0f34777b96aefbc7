"""How SAT sees a CT: on its own grid in windows, with the texts of all findings as queries."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from crops import augment, draw
from groundbench_sdk.volume_models import PatchModel, Scan, View, unpack
from volume import Grid, prepare


class SAT(PatchModel):
    """Segments all findings of a case at once; each text is a query of its own."""

    axes = "RAS"
    weights_files = ("SAT_Pro.pth", "text_encoder.pth")
    tokenizer_files = "biolord--"

    def build(self, tokenizer: Path | None) -> Any:
        """Build upstream's image and text encoder for any window."""
        from network import Network

        side, depth = self.params["side"], self.params["depth"]
        self.window, self.patch = (side, side, depth), (side, side, self.params.get("crop_depth", depth))
        self.findings_per_sample = self.params.get("queries")  # a sample is a case, as the paper counts epochs
        return Network(self.params["backbone"], tokenizer)

    def segment(self, scan: Scan, texts: list[Any]) -> Iterator[np.ndarray]:
        """Read the probabilities at the voxels of the CT, and compare them with the threshold."""
        image, grid = self._prepare(scan)
        for probability in self.network.segment(image, texts, self.window):
            yield grid.restore(probability) > self.params["threshold"]

    def view(self, scan: Scan) -> View:
        image, grid = self._prepare(scan)
        return image, grid.sample

    def sample(self, image: np.ndarray, masks: np.ndarray, texts: list[Any], rng: np.random.Generator) -> Any:
        """Draw a crop and its texts as upstream does, and vary it where `augment` says so."""
        crop, shown, chosen = draw(image, unpack(masks, image.shape[-1]), self.patch, rng)
        crop, shown = augment(crop, shown, rng) if self.params["augment"] else (crop, shown)
        return crop, [texts[number] for number in chosen], shown

    def loss(self, module: Any, samples: list[Any]) -> dict[str, Any]:
        """Return upstream's loss at four scales, of the one sample that its network takes."""
        ((image, texts, masks),) = samples
        return dict(self.network.loss(module(self.tensor([image]), texts), self.tensor([masks]).float()))

    def _prepare(self, scan: Scan) -> tuple[np.ndarray, Grid]:
        params = self.params
        return prepare(scan.hu, scan.spacing, params["voxel"], params["window_low"], params["window_high"])
