"""SegVol: a CT in its own grid once, then one prompt a finding, and the answer back on the CT's grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from groundbench_sdk import Adapter, Case, Finding, Job
from groundbench_sdk.grids import Turn, turn_to
from groundbench_sdk.texts import warning
from numpy.typing import NDArray
from prompts import TOKENS, finding_text
from volume import Grid, Shape, lay_grid, normalise

if TYPE_CHECKING:
    from groundbench_sdk.finetuning import Training
    from groundbench_sdk.records import TrainingCase

#: Upstream's (D, H, W): slices towards the head, rows to the front, columns to the patient's right.
AXES = "SAR"


class SegVol(Adapter):
    """Asks SegVol for one finding after another."""

    def load(self, job: Job) -> None:
        """Build the network for the declared input size and fill it, from the checkpoint where there is one."""
        from groundbench_sdk.torch_training import load_checkpoint, settle
        from model import Network

        self.job, self.device = job, settle(job)
        self.size: Shape = (int(job.params["depth"]), int(job.params["side"]), int(job.params["side"]))
        self.network: Any = Network(self.size)
        self.network.freeze(projection=bool(job.params.get("train_projection", True)))
        if job.weights_mode != "random":
            self.network.load_published(job.weights / "SegVol_v1.pth")
        if job.checkpoint is not None:
            load_checkpoint(self.network, job.checkpoint)
        self.network.to(self.device).eval()

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``; a finding with boxes is the union of what each box gives."""
        turn = turn_to(AXES, case.affine)
        image, grid = self._view(turn.apply(case.volume(np.float32)))
        seen = self.network.see(image)
        for finding in case.findings:
            found = np.zeros(self.size, dtype=bool)
            for text, box in self._prompts(case, finding, turn, grid):
                found |= self.network.find(seen, text, box) > 0
            yield finding.id, turn.undo(grid.restore(found))

    def finetune(self, train: Sequence[TrainingCase], val: Sequence[TrainingCase], training: Training) -> None:
        """Train on whole volumes with texts alone."""
        import torch
        from groundbench_sdk.scratch import Scratch
        from groundbench_sdk.torch_text_training import fit_texts, pairs_of

        params, network = self.job.params, self.network
        pairs = pairs_of(train)
        scratch = Scratch(training.state / "samples", int(params["cache_mb"]) * 2**20)

        def sample(index: int, rng: np.random.Generator) -> tuple[np.ndarray, str, np.ndarray]:
            pair = pairs[index]
            kept = scratch.get(f"{pair.case.id} {self.size}", lambda: self._arrays(pair.case))
            image = kept["image"].astype(np.float32)
            # Upstream's jitter of brightness, a fifth of the time each; its mirroring would swap the sides.
            if rng.random() < 0.2:
                image = image * np.float32(1 + rng.uniform(-0.1, 0.1))
            if rng.random() < 0.2:
                image = image + np.float32(rng.uniform(-0.1, 0.1))
            text, _ = finding_text(pair.text, network.count)
            return image, text, kept["labels"][pair.number]

        def loss(module: Any, samples: list[tuple[np.ndarray, str, np.ndarray]]) -> dict[str, torch.Tensor]:
            images, texts, labels = zip(*samples, strict=True)
            where = next(network.parameters()).device
            logits = module(torch.from_numpy(np.stack(images))[:, None].to(where), list(texts))
            return dict(network.loss(logits, torch.from_numpy(np.stack(labels)).float()[:, None].to(where)))

        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        fit_texts(
            self,
            torch.optim.AdamW(trained, lr=float(params["rate"]), weight_decay=1e-5),
            n_train=len(pairs),
            sample=sample,
            loss=loss,
            val=val,
            training=training,
        )

    def _arrays(self, case: TrainingCase) -> dict[str, np.ndarray]:
        """Return a training case on the input grid: ``image`` (D, H, W) and ``labels`` (F, D, H, W)."""
        turn = turn_to(AXES, case.affine)
        image, grid = self._view(turn.apply(case.volume(np.float32)))
        labels = [grid.mark(turn.apply(finding > 0)) for finding in case.labels()]
        return {"image": image.astype(np.float16), "labels": np.stack(labels)}

    def _view(self, ct: NDArray[np.float32]) -> tuple[NDArray[np.float32], Grid]:
        """Return a turned CT (D, H, W) on the input grid, and that grid."""
        image = normalise(ct)
        grid = lay_grid(image, self.size)
        return grid.sample(image), grid

    def _prompts(
        self, case: Case, finding: Finding, turn: Turn, grid: Grid
    ) -> Iterator[tuple[str | None, list[int] | None]]:
        """Yield the prompts of a finding: its text, or each of its boxes without the text."""
        if self.job.params["prompt"] == "box":
            for box in finding.boxes or []:
                yield None, grid.box(turn.box(box, case.shape))
            return
        text, dropped = finding_text(finding.text, self.network.count)
        if dropped:
            case.warn(warning(finding.id, dropped, TOKENS, "CLIP"))
        yield text, None
