"""How VoxTell sees a CT: at full resolution in patches, prompted with a vector per finding."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from groundbench_sdk import Case
from groundbench_sdk.volume_models import PatchModel, Scan, View
from prompts import draw


class VoxTell(PatchModel):
    """Segments the findings of a case, a few at once; the language model that encodes their texts stays frozen."""

    axes = "SAR"  # upstream reads a CT as RAS and reverses the order of the axes
    tokenizer_files = "qwen--"
    findings_per_sample = 64  # a sample is a case
    encoder_name = "the language model"

    def build(self, tokenizer: Path | None) -> Any:
        from language import Language
        from model import Network

        sizes = {name: self.params[name] for name in ("patch", "features", "queries")}
        plans = next(self.job.weights.glob("*plans.json")) if tokenizer else None  # of the variant's release
        network = Network(plans, **sizes, device=self.device)
        self.language = Language(tokenizer, self.device)
        self.patch = network.patch
        return network

    def load_weights(self, folder: Path) -> None:
        """Load the image model's release that the variant names; the language model reads its own files."""
        self.network.load_published(next(folder.glob("*checkpoint_final.pth")))

    def preview(self, cases: Sequence[Case]) -> None:
        """Encode the texts of all cases while the language model is on the GPU: once there and back, not every case."""
        super().preview(cases)
        self.language.offload()

    def encode_texts(self, texts: list[str]) -> list[Any]:
        """Return a vector (2560,) per text, and leave the GPU to the image model."""
        vectors = super().encode_texts(texts)
        self.language.offload()
        return vectors

    def segment(self, scan: Scan, texts: list[Any]) -> Iterator[np.ndarray]:
        """Segment by upstream's sliding window."""
        if not scan.hu.any():
            raise ValueError("the CT is 0 everywhere: VoxTell crops to nonzero voxels, and none are left")
        at_once = self.params["prompts_at_once"]
        for first in range(0, len(texts), at_once):
            for mask in self.network.segment(scan.hu, np.stack(texts[first : first + at_once])):
                yield mask > 0

    def view(self, scan: Scan) -> View:
        """Crop to nonzero voxels and standardise."""
        image, box = self.network.prepare(scan.hu)
        inside = tuple(slice(int(first), int(last)) for first, last in box)
        return image, lambda mask: mask[inside]

    def sample(self, image: np.ndarray, masks: np.ndarray, texts: list[Any], rng: np.random.Generator) -> Any:
        """Cut a patch, and draw what it is asked for."""
        patch, texts, shown = super().sample(image, masks, texts, rng)
        numbers = (self.params["present"], self.params["absent"])
        return patch, *draw(shown, texts, self.pool, numbers, rng)

    def loss(self, module: Any, samples: list[Any]) -> dict[str, Any]:
        """Return Dice and cross-entropy of all prompts at five scales."""
        from model import losses

        images, vectors, masks = map(self.tensor, zip(*samples, strict=True))
        return losses(module(images[:, None], vectors), masks)

    def optimizer(self) -> Any:
        """Return SGD with Nesterov's momentum; the image encoder has a rate of its own."""
        names = ("rate", "encoder_rate", "momentum", "decay")
        return self.network.optimizer(**{name: self.params[name] for name in names})
