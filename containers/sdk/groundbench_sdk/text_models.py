"""The base of adapters around a torch network that is prompted with text.

A plugin states only what is particular to its model: the axes, how the network is built, where its published weights
are, what the network is shown and what it learns from. The base does the rest: device, seed, weights and checkpoint,
texts cut to the encoder's limit with a warning, and the training loop with validation by Dice. Plugins derive from one
of the shapes: :class:`~groundbench_sdk.slice_models.SliceModel` (one axial slice at a time),
:class:`~groundbench_sdk.volume_models.VolumeModel` (the whole CT) or
:class:`~groundbench_sdk.volume_models.PatchModel` (trained on patches of it).

torch is imported when a model is loaded, so that an adapter can be imported and tested without it.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Sequence

import numpy as np

from groundbench_sdk import texts
from groundbench_sdk.adapter import Adapter
from groundbench_sdk.finetuning import Training
from groundbench_sdk.records import Case, Finding, Job, TrainingCase
from groundbench_sdk.sample_cache import SampleCache

if TYPE_CHECKING:
    import torch

#: What a training with AdamW writes beside the cache, in multiples of what it trains: two states of three, two sets of
#: best weights, the checkpoint.
_STATES = 9

#: Share of empty masks in a validation above which a warning tells of it.
_MOSTLY_EMPTY = 0.5


class TextModel(Adapter):
    """Loads and trains a network; the shapes built on it predict, and prepare its training samples.

    Parameters of the variant that this class reads: those of
    :meth:`Recipe.from_params <groundbench_sdk.recipe.Recipe.from_params>`, ``rate`` and ``decay`` of the optimiser,
    and ``cache_mb``, the bound on the sample cache in MiB.

    Attributes
    ----------
    axes : str
        Where the axes of the reoriented CT run to, as in :func:`~groundbench_sdk.grids.reorient_to`.
    weights_files : tuple of str
        Names of the published files, which the network's ``load_published`` is given, one argument each.
    tokenizer_files : str
        Prefix of the tokenizer's files among the weights; empty if the network needs none.
    encoder_name : str
        The text encoder's name in warnings.
    language : object
        A frozen text encoder outside of the network, set by :meth:`build`; None if the network reads the texts itself.
    job, params, device
        The job, its parameters, and ``"cpu"`` or ``"cuda:0"`` and so on; set by :meth:`load`.
    network : torch.nn.Module
        What :meth:`build` returned; in evaluation mode on the device.
    """

    axes: str
    weights_files: tuple[str, ...] = ()
    tokenizer_files = ""
    encoder_name = "the text encoder"
    language: Any = None

    job: Job
    params: dict[str, Any]
    device: str
    network: Any

    def __init__(self) -> None:
        self._shortened: dict[str, tuple[str, str]] = {}

    # -- a plugin writes these ----------------------------------------------------------------------------------------

    def build(self, tokenizer: Path | None) -> torch.nn.Module:
        """Build the network on the CPU, with random weights.

        Parameters
        ----------
        tokenizer
            Folder with the files named by `tokenizer_files`, without the prefix. None with ``--weights random``: use
            the hashed words of :mod:`groundbench_sdk.stand_in`.
        """
        raise NotImplementedError

    def load_weights(self, folder: Path) -> None:
        """Load the published weights of `folder` into ``self.network``; not called with ``--weights random``."""
        if self.weights_files:
            self.network.load_published(*(folder / name for name in self.weights_files))

    def clean_text(self, text: str) -> str:
        """Return a finding's text as it is tokenized, before it is cut; by default on one line."""
        return texts.one_line(text)

    @property
    def text_encoder(self) -> Any:
        """The object that knows ``max_tokens`` and ``count_tokens(text)``: `language` or the network."""
        return self.network if self.language is None else self.language

    def samples(
        self, train: Sequence[TrainingCase], training: Training
    ) -> tuple[int, Callable[[int, np.random.Generator], Any]]:
        """Return the number of training samples, and the function ``sample(index, rng)`` that prepares one."""
        raise NotImplementedError

    def loss(self, module: torch.nn.Module, samples: list[Any]) -> dict[str, torch.Tensor]:
        """Return the named parts of the loss of some samples; call `module`, not ``self.network``, for gradients."""
        raise NotImplementedError

    def parameter_groups(self) -> list[Any]:
        """Return the parameters for the optimiser; by default all with a gradient, at one rate."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def optimizer(self) -> torch.optim.Optimizer:
        """Return the optimiser of :meth:`parameter_groups`; by default AdamW."""
        import torch

        rate, decay = float(self.params["rate"]), float(self.params["decay"])
        return torch.optim.AdamW(self.parameter_groups(), lr=rate, weight_decay=decay)

    # -- the base does these ------------------------------------------------------------------------------------------

    def load(self, job: Job) -> None:
        """Build the network on its device, with published or random weights and the checkpoint, if there is one."""
        from groundbench_sdk.torch_training import load_checkpoint, setup_device
        from groundbench_sdk.torch_weights import link_files

        self.job, self.params, self.device = job, job.params, setup_device(job)
        published, prefix = job.weights_mode != "random", self.tokenizer_files
        self.network = self.build(link_files(job.weights, prefix) if published and prefix else None)
        if published:
            self.load_weights(job.weights)
        if job.checkpoint is not None:
            load_checkpoint(self.network, job.checkpoint)
        self.network.to(self.device).eval()

    def without_gradients(self) -> AbstractContextManager[Any]:
        """Return the context in which a container predicts, where torch keeps no account of tensors at all.

        In a training a model may keep what it made in a validation, which then must be fit for gradients.
        """
        torch = sys.modules.get("torch")
        return nullcontext() if torch is None or self.job.verb != "predict" else torch.inference_mode()

    def fit_text(self, case: Case, finding: Finding) -> str:
        """Return the text of a finding, cut to the encoder's limit; a warning reports the dropped part."""
        kept, dropped = self.shorten(finding.text)
        if dropped:
            case.warn(texts.warning(finding.id, dropped, self.text_encoder.max_tokens, self.encoder_name))
        return kept

    def shorten(self, text: str) -> tuple[str, str]:
        """Return the part of a text that fits the encoder, cleaned, and the part that was cut; computed once a text."""
        if text not in self._shortened:
            encoder = self.text_encoder
            self._shortened[text] = texts.fit(self.clean_text(text), encoder.count_tokens, encoder.max_tokens)
        return self._shortened[text]

    def finetune(self, train: Sequence[TrainingCase], val: Sequence[TrainingCase], training: Training) -> None:
        """Train the network; the checkpoint with the best mean Dice over the findings of `val` is delivered."""
        from groundbench_sdk.recipe import Recipe
        from groundbench_sdk.torch_training import fit

        count, sample = self.samples(train, training)
        fit(
            self.network,
            self.optimizer(),
            recipe=Recipe.from_params(self.params, count),
            n_train=count,
            sample=sample,
            loss=self.loss,
            training=training,
            seed=self.job.seed,
            device=self.device,
            n_val=len(val),
            validate=lambda _, numbers: self.validate([val[number] for number in numbers], training),
        )

    def validate(self, cases: Sequence[TrainingCase], training: Training) -> list[float]:
        """Return the Dice of each finding of some cases; a warning tells when most of the masks are empty.

        A model that has learnt that nothing is there is seen at its first validation, not in a mean Dice that is low
        for many reasons.
        """
        empty = 0

        def predicted(case: TrainingCase) -> Iterator[tuple[str, np.ndarray]]:
            nonlocal empty
            for finding, mask in self.predict(case):
                empty += not mask.any()
                yield finding, mask

        dices = [dice for case in cases for dice in dice_of_findings(case, predicted(case))]
        if empty > _MOSTLY_EMPTY * len(dices):
            training.warn(
                f"{empty} of {len(dices)} masks predicted in a validation are empty ({empty / len(dices):.0%}): the "
                "model may have learnt that nothing is there"
            )
        return dices

    def sample_cache(self, training: Training) -> SampleCache:
        """Return the cache of decoded cases, which all processes of a training share; it leaves room for the state."""
        trained = sum(one.numel() * one.element_size() for one in self.network.parameters() if one.requires_grad)
        return SampleCache(training.state / "samples", int(self.params["cache_mb"]) * 2**20, _STATES * trained)

    def tensor(self, arrays: Sequence[np.ndarray]) -> torch.Tensor:
        """Return arrays of one shape, stacked along a new first axis, on the device."""
        import torch

        return torch.from_numpy(np.stack(arrays)).to(self.device)


def dice_of_findings(case: TrainingCase, masks: Iterable[tuple[str, np.ndarray]]) -> list[float]:
    """Return the Dice of each finding of a case, from the masks of an adapter's ``predict``; both masks empty is 1."""
    truth = {finding.id: labels > 0 for finding, labels in zip(case.findings, case.labels())}
    dices = []
    for finding, mask in masks:
        total = float(mask.sum()) + float(truth[finding].sum())
        dices.append(2 * float((mask & truth[finding]).sum()) / total if total else 1.0)
    return dices


def logit(probability: float) -> float:
    """Return the logit of a probability between 0 and 1, for networks whose outputs are compared as logits."""
    return float(np.log(probability / (1 - probability)))
