"""The true VoxTell network and its own predictor, without the predictor's constructor.

The constructor unpickles the checkpoint without limits and starts downloads. The rest of the predictor is upstream's:
crop, z-score, sliding window, weights of the overlap, threshold.
"""

from __future__ import annotations

import contextlib
import json
import pydoc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from groundbench_sdk.records import Rejected
from groundbench_sdk.torch_weights import load_state, read_state
from language import WIDTH
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's name
from voxtell.inference.predictor import VoxTellPredictor
from voxtell.model.voxtell_model import VoxTellModel

#: Channels of the six stages, in units of the first one's.
_WIDENING = (1, 2, 4, 8, 10, 10)


class Network(nn.Module):
    """VoxTell's image model, prompted with vectors of texts, with random weights from torch's seed.

    Parameters
    ----------
    plans
        The published ``plans.json``, from which the layers are built; they must have the patch and the features given
        here. None: the same layers without it.
    patch
        Side of the cubic patch in voxels, a multiple of 32, at least 64.
    features
        Channels of the first stage; 32 as published.
    queries
        Width of the queries; 2048 as published.
    device
        Device for prediction.
    """

    def __init__(self, plans: Path | None, patch: int, features: int, queries: int, device: str) -> None:
        super().__init__()
        if patch % 32 or patch < 64:
            raise ValueError(f"VoxTell's patch must be a multiple of 32, at least 64, not {patch}")
        self.patch = (patch, patch, patch)
        layers = _layers([features * factor for factor in _WIDENING])
        if plans is not None:
            layers = _published_layers(plans, list(self.patch), features)
        with _stages_of(layers["features_per_stage"], patch):
            self.net = VoxTellModel(
                input_channels=1,
                **layers,
                decoder_layer=4,
                text_embedding_dim=WIDTH,
                num_maskformer_stages=5,
                num_heads=32,
                query_dim=queries,
                project_to_decoder_hidden_dim=queries,
                deep_supervision=False,
            )
        self._predictor = _predictor(self.net, self.patch, device)
        # Upstream never uses these modules; they would receive no gradient.
        unused = [self.net.decoder.seg_layers[-1]]
        for layer in self.net.transformer_decoder.layers:
            unused += [layer.self_attn, layer.norm1]
        for parameter in (parameter for part in unused for parameter in part.parameters()):
            parameter.requires_grad = False

    def load_published(self, path: Path) -> None:
        """Load the published weights; every name must match."""
        load_state(self.net, read_state(path, "network_weights"))

    def prepare(self, ct: np.ndarray) -> tuple[np.ndarray, list[list[int]]]:
        """Crop a CT (S, A, R) to what is not 0 and standardise it; also return the box of the crop."""
        image, box, _ = self._predictor.preprocess(ct)
        return np.asarray(image[0].numpy()), box

    def segment(self, ct: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return one mask (S, A, R) per vector, from upstream's own pass over all patches."""
        self._predictor.network = self.net
        prompts = torch.from_numpy(vectors)[None].to(self._predictor.device)
        return np.asarray(self._predictor.predict_single_image(ct, text_embeddings=prompts))

    def forward(self, images: torch.Tensor, vectors: torch.Tensor) -> list[torch.Tensor]:
        """Return logits (B, P, X, Y, Z) of P vectors per image at five scales, the finest first."""
        self.net.deep_supervision = self.net.decoder.deep_supervision = True
        try:
            return list(self.net(images, vectors))
        finally:
            self.net.deep_supervision = self.net.decoder.deep_supervision = False

    def optimizer(self, *, rate: float, encoder_rate: float, momentum: float, decay: float) -> torch.optim.Optimizer:
        """Return SGD with Nesterov's momentum, the image encoder at `encoder_rate` times the rate."""
        encoder: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in self.net.named_parameters():
            if parameter.requires_grad:
                (encoder if name.startswith("encoder.") else others).append(parameter)
        groups = [{"params": others}, {"params": encoder, "lr": rate * encoder_rate}]
        return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=True, weight_decay=decay)


def losses(scales: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return Dice and cross-entropy of labels (B, P, X, Y, Z) at every scale, each scale with half the weight.

    A prompt without a voxel in the patch is learnt from cross-entropy alone.
    """
    weights = torch.tensor([0.5**scale for scale in range(len(scales))], device=labels.device)
    present = labels.flatten(2).any(2)
    dice, bce = [], []
    for logits in scales:
        truth = F.interpolate(labels.float(), size=logits.shape[2:], mode="nearest").flatten(2)
        found = logits.float().flatten(2)
        probability = torch.sigmoid(found)
        apart = 1 - (2 * (probability * truth).sum(2) + 1) / (probability.sum(2) + truth.sum(2) + 1)
        dice.append((apart * present).sum() / present.sum().clamp(min=1))
        bce.append(F.binary_cross_entropy_with_logits(found, truth))
    weights = weights / weights.sum()
    return {"dice": (torch.stack(dice) * weights).sum(), "bce": (torch.stack(bce) * weights).sum()}


def _layers(channels: list[int]) -> dict[str, Any]:
    """Return the arguments of the U-Net's layers."""
    return {
        "n_stages": 6,
        "features_per_stage": channels,
        "conv_op": nn.Conv3d,
        "kernel_sizes": [[3, 3, 3]] * 6,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * 5],
        "n_blocks_per_stage": [1, 3, 4, 6, 6, 6],
        "n_conv_per_stage_decoder": [1] * 5,
        "conv_bias": True,
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }


def _published_layers(plans: Path, patch: list[int], features: int) -> dict[str, Any]:
    """Return the arguments of the U-Net's layers from published plans; they may name classes of torch.nn only."""
    try:
        plan = json.loads(plans.read_text(encoding="utf-8"))["configurations"]["3d_fullres"]
        architecture = plan["architecture"]
        layers, classes = dict(architecture["arch_kwargs"]), architecture["_kw_requires_import"]
        found = [plan["patch_size"], layers["features_per_stage"][0]]
        for name in (name for name in classes if layers[name] is not None):
            if not layers[name].startswith("torch.nn."):
                raise Rejected(f"{plans.name} names {layers[name]} as {name}: only layers of torch.nn are built")
            layers[name] = pydoc.locate(layers[name])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, Rejected):
            raise
        raise Rejected(f"{plans.name} is not VoxTell's plans: {type(error).__name__}: {error}") from error
    if found != [patch, features]:
        raise Rejected(f"{plans.name} has patch and features {found}, the variant {[patch, features]}")
    return layers


@contextlib.contextmanager
def _stages_of(channels: list[int], patch: int) -> Iterator[None]:
    """Set the sizes of the stages while upstream's class is built, which knows only one size."""
    published = VoxTellModel.DECODER_CONFIGS
    VoxTellModel.DECODER_CONFIGS = {
        stage: {"channels": count, "shape": (patch >> stage,) * 3} for stage, count in enumerate(channels)
    }
    try:
        yield
    finally:
        VoxTellModel.DECODER_CONFIGS = published


def _predictor(net: nn.Module, patch: tuple[int, ...], device: str) -> Any:
    from nnunetv2.preprocessing.normalization.default_normalization_schemes import ZScoreNormalization

    predictor = VoxTellPredictor.__new__(VoxTellPredictor)
    predictor.device = torch.device(device)
    predictor.normalization = ZScoreNormalization(intensityproperties={})
    predictor.tile_step_size = 0.5
    predictor.perform_everything_on_device = True
    predictor.embedding_bank = None
    predictor.patch_size = list(patch)
    predictor.network = net
    return predictor
