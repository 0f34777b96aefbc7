"""BiomedParse v2: each slice with its neighbours seen once, each finding asked by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from groundbench_sdk import Adapter, Case, Job
from groundbench_sdk.grids import turn_to
from groundbench_sdk.texts import fit as fit_text
from groundbench_sdk.texts import one_line, warning
from samples import Samples, pack, unpack
from volume import AXES, draw, neighbours, square_of, with_neighbours

if TYPE_CHECKING:
    from groundbench_sdk.finetuning import Training
    from groundbench_sdk.records import TrainingCase
    from groundbench_sdk.slices import Square


class BiomedParseV2(Adapter):
    """Asks BiomedParse v2 for one finding after another, a few slices at once."""

    def load(self, job: Job) -> None:
        """Build the network, and fill it from the published file or a checkpoint unless weights are random."""
        from groundbench_sdk.torch_training import load_checkpoint, settle
        from groundbench_sdk.torch_weights import gather
        from network import TOKENS, Network

        self.job, self.limit, self.device = job, TOKENS, settle(job)
        random = job.weights_mode == "random"
        files = None if random else gather(job.weights, "clip--", Path("/tmp/clip"))  # noqa: S108 - own tmpfs
        self.network: Any = Network(str(job.params["network"]), files)
        if not random:
            self.network.load_published(job.weights / "biomedparse_v2.ckpt")
        if job.checkpoint is not None:
            load_checkpoint(self.network, job.checkpoint)
        self.network.to(self.device).eval()

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``; findings do not know of each other, masks may overlap."""
        turn = turn_to(AXES, case.affine)
        ct = turn.apply(case.volume(np.int16))
        words = []
        for finding in case.findings:
            text, dropped = self._fitting(finding.text)
            if dropped:
                case.warn(warning(finding.id, dropped, self.limit, "CLIP's text encoder"))
            words.append(self.network.read(text))
        if not words:
            return
        pictures, square = self._pictures(ct)
        masks = np.zeros((len(words), *ct.shape), bool)
        at_once, existence = int(self.job.params["slices_at_once"]), float(self.job.params["existence"])
        for first in range(0, len(pictures), at_once):
            chosen = range(first, min(first + at_once, len(pictures)))
            seen = self.network.see(with_neighbours(pictures, chosen))
            for mask, text in zip(masks, words, strict=True):
                shares, exists = self.network.find(seen, text, seed=self.job.seed + first)
                for index, share, there in zip(chosen, shares, exists, strict=True):
                    if there >= existence:
                        mask[:, :, index] = (square.restore(share) > 0.5).T
        for finding, mask in zip(case.findings, masks, strict=True):
            yield finding.id, turn.undo(mask)

    def finetune(self, train: Sequence[TrainingCase], val: Sequence[TrainingCase], training: Training) -> None:
        """Train everything on single slices: those with truth, and a share of others of the same cases."""
        import torch
        from groundbench_sdk.scratch import Scratch
        from groundbench_sdk.slices import slices_with_truth
        from groundbench_sdk.torch_text_training import fit_texts

        params, network, side = self.job.params, self.network, int(self.job.params["image_size"])
        truth = slices_with_truth(
            train, AXES, training.state, rank=training.rank, world=training.world, threads=max(1, self.job.threads // 2)
        )
        depths = [turn_to(AXES, case.affine).values(case.shape)[2] for case in train]
        samples = Samples(truth, depths, float(params["negatives"]))
        scratch = Scratch(training.state / "samples", int(params["cache_mb"]) * 2**20)
        look = " ".join(str(params[name]) for name in ("image_size", "window_low", "window_high"))

        def sample(number: int, rng: np.random.Generator) -> tuple[np.ndarray, str, np.ndarray]:
            place, finding, index = samples.pick(number, rng)
            case = train[place]
            names = [f"picture {near}" for near in neighbours(index, depths[place])]
            kept = scratch.get(f"{case.id} {look}", lambda: self._arrays(case), only=[*names, f"labels {index}"])
            pictures = np.concatenate([unpack(kept[name], side) for name in names])
            text, _ = self._fitting(case.findings[finding].text)
            return pictures, text, unpack(kept[f"labels {index}"], side)[finding]

        def loss(module: Any, batch: list[tuple[np.ndarray, str, np.ndarray]]) -> dict[str, torch.Tensor]:
            pictures, texts, labels = zip(*batch, strict=True)
            where = next(network.parameters()).device
            found = module(torch.from_numpy(np.stack(pictures)).to(where), list(texts))
            return dict(network.loss(found, torch.from_numpy(np.stack(labels))[:, None].long().to(where)))

        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        fit_texts(
            self,
            torch.optim.AdamW(trained, lr=float(params["rate"]), weight_decay=0.01),
            n_train=len(samples),
            sample=sample,
            loss=loss,
            val=val,
            training=training,
            schedule="constant",
            clip_norm=5.0,
        )

    def _fitting(self, text: str) -> tuple[str, str]:
        """Return what is read of a text, which upstream cuts without a word, and what is not."""
        return fit_text(one_line(text), self.network.count, self.limit)

    def _pictures(self, ct: np.ndarray) -> tuple[np.ndarray, Square]:
        """Return the slices of a turned CT (X, Y, Z) as grey pictures (Z, side, side), and how they were fitted."""
        params = self.job.params
        square = square_of(ct, int(params["image_size"]))
        return draw(ct, square, float(params["window_low"]), float(params["window_high"])), square

    def _arrays(self, case: TrainingCase) -> dict[str, np.ndarray]:
        """Return a training case by slices, packed: ``picture i`` (1, side, side), ``labels i`` (F, side, side)."""
        turn = turn_to(AXES, case.affine)
        pictures, square = self._pictures(turn.apply(case.volume(np.int16)))
        labels = [turn.apply(finding) for finding in case.labels()]
        arrays = {}
        for index, picture in enumerate(pictures):
            arrays[f"picture {index}"] = pack(picture)
            arrays[f"labels {index}"] = pack(np.stack([square.mark(finding[:, :, index].T) for finding in labels]))
        return arrays
