"""How BiomedParse sees a CT: axial slices, each encoded once and then segmented for one finding after another."""

from pathlib import Path
from typing import Any

import numpy as np
from groundbench_sdk.slice_models import SliceModel
from groundbench_sdk.slices import Square
from groundbench_sdk.text_models import logit
from picture import picture, rescale


class BiomedParse(SliceModel):
    """Segments every finding in every slice; the model does not predict whether a slice contains it at all."""

    weights_files = ("biomedparse_v1.pt",)
    tokenizer_files = "clip--"

    def build(self, tokenizer: Path | None) -> Any:
        """Build upstream's network; its outputs are logits."""
        from network import Network

        self.threshold = logit(self.params["threshold"])
        return Network(self.params["network"], tokenizer)

    def picture(self, hu: np.ndarray, square: Square) -> np.ndarray:
        return picture(hu, square, *(self.params[name] for name in ("window_low", "window_high", "stretch")))

    def vary(self, pictures: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Vary the size and the place of what is shown, as upstream; nothing is mirrored or turned."""
        scale = rng.uniform(self.params["scale_low"], self.params["scale_high"])
        return rescale(pictures, mask, scale, rng.uniform())

    def parameter_groups(self) -> list[Any]:
        """Train norms and embeddings without weight decay, and both encoders at a fraction of the rate."""
        params = self.params
        return list(self.network.groups(params["rate"], params["decay"], params["encoder_rate"]))
