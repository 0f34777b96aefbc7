"""MedSAM2 Text: the slices of a CT, a vector a finding, and a mask of each finding on every slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from groundbench_sdk import Adapter, Case, Job
from groundbench_sdk.grids import Turn, turn_to
from groundbench_sdk.patches import place
from groundbench_sdk.records import Rejected
from groundbench_sdk.texts import warning
from groundbench_sdk.video import Frames, resized
from prompts import TOKENS, finding_text

if TYPE_CHECKING:
    from groundbench_sdk.finetuning import Training
    from groundbench_sdk.records import TrainingCase

#: Columns to the patient's left, rows to the back, slices to the head: pictures as radiologists see them.
AXES = "LPS"


class MedSam2Text(Adapter):
    """Asks for all findings of a case, slice by slice."""

    def load(self, job: Job) -> None:
        """Build model and text encoder, and fill them unless weights are random."""
        from groundbench_sdk.torch_training import load_checkpoint, settle
        from groundbench_sdk.torch_weights import gather
        from language import Language
        from network import build

        self.job, self.device = job, settle(job)
        self.network: Any = build(str(job.params["config"]), int(job.params["image_size"]))
        self.network.freeze(memory=bool(job.params["train_memory"]))
        if job.weights_mode == "random":
            self.network.expect_something()
            self.language: Any = Language(None, None, self.device)
        else:
            self.network.load_published(job.weights / str(job.params["checkpoint"]))
            files = gather(job.weights, "cxr-bert--", Path("/tmp/cxr-bert"))  # noqa: S108 - the container's own
            self.language = Language(files, job.weights / "CT-CLIP_v2.pt", self.device)
        if job.checkpoint is not None:
            load_checkpoint(self.network, job.checkpoint)
        self.network.to(self.device).eval()

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``; the findings share what was seen of each slice, and masks may overlap."""
        if not case.findings:
            return
        turn = turn_to(AXES, case.affine)
        memory = bool(self.job.params["predict_memory"])
        found = self.network.find(self._frames(case, turn), self._vectors(case), memory=memory)
        for finding, mask in zip(case.findings, found, strict=True):
            yield finding.id, turn.undo(mask.transpose(2, 1, 0))

    def finetune(self, train: Sequence[TrainingCase], val: Sequence[TrainingCase], training: Training) -> None:
        """Train on consecutive slices of a case; the texts' vectors are made before, their encoder stays as it is."""
        import torch
        from groundbench_sdk.scratch import Scratch
        from groundbench_sdk.torch_text_training import fit_texts

        params, network, size = self.job.params, self.network, int(self.job.params["image_size"])
        memory, frames = bool(params["train_memory"]), int(params["frames"])
        if memory and frames < 2:
            raise Rejected(f"with train_memory, frames must be at least 2, not {frames}: one alone remembers nothing")
        cases = [case for case in train if case.findings]
        vectors = [self._vectors(case) for case in cases]
        scratch = Scratch(training.state / "samples", int(params["cache_mb"]) * 2**20)

        def sample(index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            case = cases[index]
            asked = rng.permutation(len(case.findings))[: int(params["objects"])]
            names = [str(number) for number in asked]
            kept = scratch.get(case.id, lambda: self._arrays(case), only=("pictures", *names))
            first = kept[names[0]]
            target = np.any(first, axis=(1, 2)) if rng.random() < float(params["foreground"]) else None
            chosen = consecutive(len(first), frames, target, rng)
            truth = np.stack([np.unpackbits(kept[name][chosen], axis=-1, count=size) for name in names], axis=1)
            return kept["pictures"][chosen], vectors[index][asked], truth.astype(bool)

        def loss(module: Any, samples: list[tuple[np.ndarray, ...]]) -> dict[str, torch.Tensor]:
            pictures, words, truths = (
                [torch.from_numpy(part) for part in parts] for parts in zip(*samples, strict=True)
            )
            return dict(network.loss(module(pictures, words, memory=memory), truths))

        fit_texts(
            self,
            torch.optim.AdamW(network.groups(float(params["rate"]), float(params["image_rate"]))),
            n_train=len(cases),
            sample=sample,
            loss=loss,
            val=val,
            training=training,
            final_rate=0.1,
            clip_norm=0.1,
        )

    def _vectors(self, case: Case) -> np.ndarray:
        """Return the vectors of a case's texts, (findings, 512), each text cut to what is read where it has to be."""
        vectors = []
        for finding in case.findings:
            kept, dropped = finding_text(finding.text, self.language.count)
            if dropped:
                case.warn(warning(finding.id, dropped, TOKENS, "CT-CLIP's text encoder"))
            vectors.append(np.asarray(self.language.vector(kept)))
        return np.stack(vectors)

    def _frames(self, case: Case, turn: Turn) -> Frames:
        params = self.job.params
        volume = turn.apply(case.volume(np.float32))
        return Frames(volume, int(params["image_size"]), params["window_low"], params["window_high"])

    def _arrays(self, case: TrainingCase) -> dict[str, np.ndarray]:
        """Return a training case as the model sees it: ``pictures`` (D, S, S), and by number the masks of findings."""
        turn = turn_to(AXES, case.affine)
        frames = self._frames(case, turn)
        size = int(self.job.params["image_size"])
        found = {str(number): marks(turn.apply(finding > 0), size) for number, finding in enumerate(case.labels())}
        return {"pictures": np.stack([frames.picture(index) for index in range(len(frames))]), **found}


def consecutive(slices: int, count: int, target: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Choose slices to train with.

    Parameters
    ----------
    slices
        How many there are.
    count
        How many are wanted, at least 2.
    target
        Boolean, (slices,): one of these is among them. None or empty: any.
    rng
        Draws.

    Returns
    -------
    ndarray of int
        Ascending without a gap; all of them where there are no more. A single slice comes twice, since without a
        second frame the memory would get no gradient.
    """
    (first,) = place((slices,), (count,), target, rng)
    last = min(first + count, slices)
    return np.minimum(np.arange(max(first, 0), max(last, 2)), slices - 1)


def marks(finding: np.ndarray, size: int) -> np.ndarray:
    """Return a mask (L, P, S) slice by slice at the pictures' size, (S, size, size / 8) in bits; nearest pixels."""
    found = np.zeros((finding.shape[2], size, size // 8), dtype=np.uint8)
    for index in np.flatnonzero(finding.any(axis=(0, 1))):
        found[index] = np.packbits(resized(finding[:, :, index].T.astype(np.uint8), size, nearest=True), axis=-1)
    return found
