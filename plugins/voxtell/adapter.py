"""VoxTell: the CT turned to its axes, a vector a finding, a mask a vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from groundbench_sdk import Adapter, Case, Job
from groundbench_sdk.grids import turn_to
from groundbench_sdk.patches import cut, place
from groundbench_sdk.texts import fit as fit_text
from groundbench_sdk.texts import one_line, warning

if TYPE_CHECKING:
    from groundbench_sdk.finetuning import Training
    from groundbench_sdk.records import TrainingCase

#: Upstream reads a CT as RAS and reverses the order of the axes.
AXES = "SAR"


class VoxTell(Adapter):
    """Asks VoxTell for all findings of a case, a few at once."""

    def load(self, job: Job) -> None:
        """Build network and language model, and fill them unless weights are random."""
        from groundbench_sdk.torch_training import load_checkpoint, settle
        from groundbench_sdk.torch_weights import gather
        from language import TOKENS, Language
        from model import Network

        self.job, self.limit, self.device = job, TOKENS, settle(job)
        size = {name: int(job.params[name]) for name in ("patch", "features", "queries")}
        self.network: Any = Network(device=self.device, **size)
        files = None
        if job.weights_mode != "random":
            self.network.load_published(job.weights / "checkpoint_final.pth")
            files = gather(job.weights, "qwen--", Path("/tmp/qwen"))  # noqa: S108 - the container's own
        self.language: Any = Language(files, self.device)
        if job.checkpoint is not None:
            load_checkpoint(self.network, job.checkpoint)
        self.network.to(self.device).eval()

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``; texts are independent of each other, masks may overlap."""
        turn = turn_to(AXES, case.affine)
        ct = np.ascontiguousarray(turn.apply(case.volume(np.float32)))
        if not ct.any():
            raise ValueError("the CT is 0 everywhere: VoxTell crops to what is not, and nothing is left")
        vectors = [self._vector(case, finding.id, finding.text) for finding in case.findings]
        self.language.rest()
        at_once = int(self.job.params["prompts_at_once"])
        for first in range(0, len(vectors), at_once):
            masks = self.network.find(ct, np.stack(vectors[first : first + at_once]))
            for finding, mask in zip(case.findings[first : first + at_once], masks, strict=True):
                yield finding.id, turn.undo(mask > 0)

    def finetune(self, train: Sequence[TrainingCase], val: Sequence[TrainingCase], training: Training) -> None:
        """Train the image model on patches; the texts' vectors are made before, and the language model then rests."""
        import torch
        from groundbench_sdk.scratch import Scratch
        from groundbench_sdk.torch_text_training import fit_texts, pairs_of
        from model import losses

        params, network, patch = self.job.params, self.network, self.network.patch
        pairs = pairs_of(train)
        vectors = [self._vector(pair.case, str(pair.number), pair.text) for pair in pairs]
        self.language.rest()
        scratch = Scratch(training.state / "samples", int(params["cache_mb"]) * 2**20)

        def sample(index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            pair = pairs[index]
            kept = scratch.get(pair.case.id, lambda: self._arrays(pair.case))
            image = kept["image"]
            label = np.unpackbits(kept["labels"][pair.number], axis=-1, count=image.shape[-1]).astype(bool)
            target = label if rng.random() < float(params["foreground"]) else None
            starts = place(image.shape, patch, target, rng)
            return cut(image, starts, patch).astype(np.float32), vectors[index], cut(label, starts, patch)

        def loss(module: Any, samples: list[tuple[np.ndarray, ...]]) -> dict[str, torch.Tensor]:
            where = next(network.parameters()).device
            images, words, labels = (torch.from_numpy(np.stack(part)).to(where) for part in zip(*samples, strict=True))
            return losses(module(images[:, None], words), labels[:, None])

        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        fit_texts(
            self,
            torch.optim.AdamW(trained, lr=float(params["rate"]), weight_decay=3e-5),
            n_train=len(pairs),
            sample=sample,
            loss=loss,
            val=val,
            training=training,
            clip_norm=12.0,
        )

    def _vector(self, case: Any, finding: str, text: str) -> np.ndarray:
        """Return the vector of a text (2560,), cut to what is read where it has to be."""
        kept, dropped = fit_text(one_line(text), self.language.count, self.limit)
        if dropped:
            case.warn(warning(finding, dropped, self.limit, "the language model"))
        return np.asarray(self.language.vector(kept))

    def _arrays(self, case: TrainingCase) -> dict[str, np.ndarray]:
        """Return a training case as the network sees it: ``image`` (X, Y, Z), ``labels`` (F, X, Y, Z / 8) in bits."""
        turn = turn_to(AXES, case.affine)
        image, box = self.network.prepare(np.ascontiguousarray(turn.apply(case.volume(np.float32))))
        inside = tuple(slice(int(first), int(last)) for first, last in box)
        labels = [np.packbits(turn.apply(finding > 0)[inside], axis=-1) for finding in case.labels()]
        return {"image": image.astype(np.float16), "labels": np.stack(labels)}
