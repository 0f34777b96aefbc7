"""The class that a plugin author derives from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Sequence

if TYPE_CHECKING:
    import numpy as np

    from groundbench_sdk.finetuning import Training
    from groundbench_sdk.records import Case, Job, TrainingCase


class Adapter:
    """Wraps one model: loaded once per container, then run on one case after another."""

    def load(self, job: Job) -> None:
        """Load the model; called once, before the first case.

        Parameters
        ----------
        job
            Variant, parameters, seed, devices, and the folder of the weights.
        """

    def preview(self, cases: Sequence[Case]) -> None:
        """See all cases of the container before the first of them, in order to encode their texts once; optional.

        It is part of loading. A mask must be the same with it and without: cases are dealt to containers in any way.

        Parameters
        ----------
        cases
            In the order in which they will be predicted. An exception ends the container.
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
            and scores 0. An exception fails this case only.
        """
        raise NotImplementedError(type(self).__name__ + " has no method predict(case)")

    def finetune(self, train: Sequence[TrainingCase], val: Sequence[TrainingCase], training: Training) -> None:
        """Train the loaded model and deliver a checkpoint, for variants that are declared ``fine_tuned``.

        `load` runs first, without a checkpoint. When the variant predicts, ``job.checkpoint`` is the folder that was
        delivered here. A torch model uses the loop :func:`groundbench_sdk.torch_training.fit`, and one that is prompted
        with text a base that calls it (:mod:`groundbench_sdk.text_models`).

        Parameters
        ----------
        train, val
            Cases with their masks; never those of the split that will be predicted.
        training
            Keeps a state to resume from, logs the progress, and delivers the checkpoint.
        """
        raise NotImplementedError(
            type(self).__name__ + " has no method finetune(train, val, training), so no variant of it can be fine_tuned"
        )
