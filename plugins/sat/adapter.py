"""SAT: the CT on SAT's grid, all findings' texts as queries, probabilities back on the CT's grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from groundbench_sdk import Adapter, Case, Job
from groundbench_sdk.grids import Turn, turn_to
from groundbench_sdk.patches import cut, place
from groundbench_sdk.texts import fit as fit_text
from groundbench_sdk.texts import one_line, warning
from volume import Grid, prepare

if TYPE_CHECKING:
    from groundbench_sdk.finetuning import Training
    from groundbench_sdk.records import TrainingCase

AXES = "RAS"


class SAT(Adapter):
    """Asks SAT for all findings of a case at once; each is a query of its own."""

    def load(self, job: Job) -> None:
        """Build image and text side, and fill them from the published files or a checkpoint."""
        from groundbench_sdk.torch_training import load_checkpoint, settle
        from groundbench_sdk.torch_weights import gather
        from network import TOKENS, Network

        self.job, self.limit, self.device = job, TOKENS, settle(job)
        self.size = (int(job.params["side"]), int(job.params["side"]), int(job.params["depth"]))
        random = job.weights_mode == "random"
        files = None if random else gather(job.weights, "biolord--", Path("/tmp/biolord"))  # noqa: S108 - own tmpfs
        self.network: Any = Network(str(job.params["backbone"]), files)
        if not random:
            self.network.load_published(job.weights / "SAT_Pro.pth", job.weights / "text_encoder.pth")
        if job.checkpoint is not None:
            load_checkpoint(self.network, job.checkpoint)
        self.network.to(self.device).eval()

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``."""
        turn = turn_to(AXES, case.affine)
        image, grid = self._view(case, turn)
        texts = [self._text(case, finding.id, finding.text) for finding in case.findings]
        if not texts:
            return
        for finding, shares in zip(case.findings, self.network.find(image, texts, self.size), strict=True):
            yield finding.id, turn.undo(grid.restore(shares) > 0.5)

    def finetune(self, train: Sequence[TrainingCase], val: Sequence[TrainingCase], training: Training) -> None:
        """Train everything on crops; a sample is a case with all its findings, as the paper's count of epochs says."""
        import torch
        from groundbench_sdk.scratch import Scratch
        from groundbench_sdk.torch_text_training import fit_texts

        params, network = self.job.params, self.network
        crop = (int(params["side"]), int(params["side"]), int(params["crop_depth"]))
        scratch = Scratch(training.state / "samples", int(params["cache_mb"]) * 2**20)
        cases = [case for case in train if case.findings]

        def sample(index: int, rng: np.random.Generator) -> tuple[np.ndarray, list[str], np.ndarray]:
            case = cases[index]
            kept = scratch.get(case.id, lambda: self._arrays(case))
            image, labels = kept["image"], np.unpackbits(kept["labels"], axis=-1, count=kept["image"].shape[-1])
            chosen = rng.permutation(len(labels))[: int(params["queries"])]
            target = labels[chosen[0]].astype(bool) if rng.random() < float(params["foreground"]) else None
            starts = place(image.shape, crop, target, rng)
            texts = [self._text(case, str(number), case.findings[number].text) for number in chosen]
            return cut(image, starts, crop).astype(np.float32), texts, cut(labels[chosen], starts, crop)

        def loss(module: Any, samples: list[tuple[np.ndarray, list[str], np.ndarray]]) -> dict[str, torch.Tensor]:
            where = next(network.parameters()).device
            ((image, texts, labels),) = samples
            scales = module(torch.from_numpy(image)[None].to(where), texts)
            return dict(network.loss(scales, torch.from_numpy(labels).float()[None].to(where)))

        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        fit_texts(
            self,
            torch.optim.AdamW(trained, lr=float(params["rate"]), weight_decay=0.01),
            n_train=len(cases),
            sample=sample,
            loss=loss,
            val=val,
            training=training,
        )

    def _text(self, case: Any, finding: str, text: str) -> str:
        """Return what is read of a text, which upstream cuts without a word."""
        kept, dropped = fit_text(one_line(text), self.network.count, self.limit)
        if dropped:
            case.warn(warning(finding, dropped, self.limit, "the text encoder"))
        return kept

    def _view(self, case: Case, turn: Turn) -> tuple[np.ndarray, Grid]:
        """Return what the network sees of a case, and where that lies."""
        voxel = float(self.job.params["voxel"])
        found: tuple[np.ndarray, Grid] = prepare(turn.apply(case.volume(np.float32)), turn.values(case.spacing), voxel)
        return found

    def _arrays(self, case: TrainingCase) -> dict[str, np.ndarray]:
        """Return a training case on SAT's grid: ``image`` (X, Y, Z), ``labels`` (F, X, Y, Z / 8) in bits."""
        turn = turn_to(AXES, case.affine)
        image, grid = self._view(case, turn)
        labels = [np.packbits(grid.sample(turn.apply(finding > 0)), axis=-1) for finding in case.labels()]
        return {"image": image.astype(np.float16), "labels": np.stack(labels)}
