"""The class that a plugin author fills in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Sequence

if TYPE_CHECKING:
    import numpy as np

    from groundbench_sdk.finetuning import Training
    from groundbench_sdk.records import Case, Job, TrainingCase


class Adapter:
    """Wraps one model: loaded once a container, then asked for the masks of one case after another."""

    def load(self, job: Job) -> None:
        """Make the model ready; runs once, before the first case.

        Parameters
        ----------
        job
            Variant, parameters, seed, devices, and the folder of the weights.
        """

    def predict(self, case: Case) -> Iterable[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)`` for every finding of a case.

        Parameters
        ----------
        case
            The CT and its findings.

        Yields
        ------
        tuple of str and ndarray, shape (H, W, D)
            Boolean or 0/1, on the CT's own grid (``case.shape``). A finding that is never yielded counts as missing
            and scores 0. An exception fails this case and the next one goes on.
        """
        raise NotImplementedError(type(self).__name__ + " has no method predict(case)")

    def finetune(self, train: Sequence[TrainingCase], val: Sequence[TrainingCase], training: Training) -> None:
        """Train the loaded model and deliver a checkpoint, for variants that are declared ``fine_tuned``.

        `load` runs before, without a checkpoint. When the variant predicts, `load` finds what was delivered here in
        ``job.checkpoint``. A torch model leaves the loop to :func:`groundbench_sdk.torch_training.fit`.

        Parameters
        ----------
        train, val
            The cases with their masks. Those of the split that will be predicted are never among them.
        training
            Where to keep a state to go on from, to tell how training goes, and to leave the checkpoint.
        """
        raise NotImplementedError(
            type(self).__name__ + " has no method finetune(train, val, training), so no variant of it can be fine_tuned"
        )
