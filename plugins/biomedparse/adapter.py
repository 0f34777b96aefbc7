"""BiomedParse: axial slices one by one, each seen once, then asked for one finding after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from groundbench_sdk import Adapter, Case, Job
from groundbench_sdk.grids import turn_to
from groundbench_sdk.slices import Square
from groundbench_sdk.texts import fit as fit_text
from groundbench_sdk.texts import one_line, warning
from picture import picture

if TYPE_CHECKING:
    from groundbench_sdk.finetuning import Training
    from groundbench_sdk.records import TrainingCase

#: After which ``[:, :, i].T`` is an axial picture as radiologists see it.
AXES = "LPS"
#: Upstream's shares of a training after which the rate falls to a tenth.
_DROPS = (8 / 9, 26 / 27)


class BiomedParse(Adapter):
    """Asks BiomedParse for every finding in every slice; there is no word on whether a slice holds it at all."""

    def load(self, job: Job) -> None:
        """Build the network and fill it, from the checkpoint where there is one."""
        from groundbench_sdk.torch_training import load_checkpoint, settle
        from groundbench_sdk.torch_weights import gather
        from network import TOKENS, Network

        self.job, self.limit, self.device = job, TOKENS, settle(job)
        self.size = int(job.params["image_size"])
        if self.size < 32 or self.size % 32:
            raise ValueError(f"image_size must be a multiple of 32, not {self.size}")
        random = job.weights_mode == "random"
        files = None if random else gather(job.weights, "clip--", Path("/tmp/clip"))  # noqa: S108 - own tmpfs
        self.network: Any = Network(str(job.params["network"]), files)
        if not random:
            self.network.load_published(job.weights / "biomedparse_v1.pt")
        if job.checkpoint is not None:
            load_checkpoint(self.network, job.checkpoint)
        self.network.to(self.device).eval()

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``; findings are asked for apart, so masks may overlap."""
        turn = turn_to(AXES, case.affine)
        volume = turn.apply(case.volume(np.int16))
        columns, rows, depth = volume.shape
        square = Square(rows, columns, self.size)
        words = [self.network.read(self._text(case, finding.id, finding.text)) for finding in case.findings]
        if not words:
            return
        masks = [np.zeros(volume.shape, bool) for _ in words]
        at_once = int(self.job.params["slices_at_once"])
        for first in range(0, depth, at_once):
            numbers = range(first, min(first + at_once, depth))
            seen = self.network.see(np.stack([self._picture(volume[:, :, i].T, square) for i in numbers]))
            for mask, word in zip(masks, words, strict=True):
                for i, logits in zip(numbers, self.network.find(seen, word), strict=True):
                    mask[:, :, i] = square.restore(logits).T > 0
        for finding, mask in zip(case.findings, masks, strict=True):
            yield finding.id, turn.undo(mask)

    def finetune(self, train: Sequence[TrainingCase], val: Sequence[TrainingCase], training: Training) -> None:
        """Train on single slices that hold the finding they are asked for."""
        import torch
        from groundbench_sdk.scratch import Scratch
        from groundbench_sdk.slices import slices_with_truth
        from groundbench_sdk.torch_text_training import fit_texts

        params, network = self.job.params, self.network
        listed = slices_with_truth(
            train, AXES, training.state, rank=training.rank, world=training.world, threads=max(1, self.job.threads // 2)
        )
        starts = np.searchsorted(listed[:, 0], np.arange(len(train) + 1))
        scratch = Scratch(training.state / "samples", int(params["cache_mb"]) * 2**20)

        def sample(index: int, _: np.random.Generator) -> tuple[np.ndarray, str, np.ndarray]:
            number, finding, place = (int(value) for value in listed[index])
            case, of_case = train[number], listed[starts[number] : starts[number + 1], 1:]
            names = [f"picture {place}", f"mask {place} {finding}"]
            kept = scratch.get(case.id, lambda: self._arrays(case, of_case), names)
            label = np.unpackbits(kept[names[1]], axis=-1, count=self.size)
            return kept[names[0]], self._text(case, str(finding), case.findings[finding].text), label

        def loss(module: Any, samples: list[tuple[np.ndarray, str, np.ndarray]]) -> dict[str, torch.Tensor]:
            pictures, texts, labels = zip(*samples, strict=True)
            where = next(network.parameters()).device
            images, truth = (torch.from_numpy(np.stack(part)).to(where) for part in (pictures, labels))
            return dict(module(images, list(texts), truth))

        fit_texts(
            self,
            torch.optim.AdamW(network.groups(*(float(params[name]) for name in ("rate", "decay", "encoder_rate")))),
            n_train=len(listed),
            sample=sample,
            loss=loss,
            val=val,
            training=training,
            schedule="constant",
            drops=_DROPS,
            clip_norm=5.0,
        )

    def _text(self, case: Any, finding: str, text: str) -> str:
        """Return what is read of a text, which upstream cuts without a word."""
        kept, dropped = fit_text(one_line(text), self.network.count, self.limit)
        if dropped:
            case.warn(warning(finding, dropped, self.limit, "the text encoder"))
        return kept

    def _picture(self, hu: np.ndarray, square: Square) -> np.ndarray:
        params = self.job.params
        return np.asarray(picture(hu, square, float(params["window_low"]), float(params["window_high"])))

    def _arrays(self, case: TrainingCase, listed: np.ndarray) -> dict[str, np.ndarray]:
        """Return the pictures and masks (in bits) of the (finding, slice) pairs of a case."""
        turn = turn_to(AXES, case.affine)
        volume, labels = turn.apply(case.volume(np.int16)), case.labels()
        square = Square(volume.shape[1], volume.shape[0], self.size)
        arrays = {
            f"picture {place}": self._picture(volume[:, :, place].T, square)
            for place in sorted({int(place) for _, place in listed})
        }
        for finding, place in listed.tolist():
            held = turn.apply(labels[finding])[:, :, place].T > 0
            arrays[f"mask {place} {finding}"] = np.packbits(square.mark(held), axis=-1)
        return arrays
