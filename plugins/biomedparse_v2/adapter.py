"""How BiomedParse v2 sees a CT: axial slices with their neighbours, encoded once and then segmented per finding."""

from pathlib import Path
from typing import Any

import numpy as np
from groundbench_sdk.slice_models import SliceModel
from groundbench_sdk.slices import Square
from volume import draw, neighbours


class BiomedParseV2(SliceModel):
    """Segments a finding in the slices in which the model predicts that it exists."""

    weights_files = ("biomedparse_v2.ckpt",)
    tokenizer_files = "clip--"
    encoder_name = "CLIP's text encoder"
    neighbours = staticmethod(neighbours)

    def build(self, tokenizer: Path | None) -> Any:
        from network import Network

        return Network(self.params["network"], tokenizer)

    def picture(self, hu: np.ndarray, square: Square) -> np.ndarray:
        return draw(hu, square, self.params["window_low"], self.params["window_high"])

    def segment(self, features: Any, text: Any, first: int) -> np.ndarray:
        """Return probabilities, 0 in slices where the finding is predicted not to exist."""
        # The decoder samples places at random; the seed makes them the same for all findings of a slice.
        probabilities, existence = self.network.segment(features, text, seed=self.job.seed + first)
        return probabilities * (existence >= self.params["existence"])[:, None, None]

    def losses(self, module: Any, pictures: Any, texts: list[str], masks: Any) -> dict[str, Any]:
        """Return upstream's loss of mask, outline and existence."""
        return dict(self.network.loss(module(pictures, texts), masks[:, None].long()))
