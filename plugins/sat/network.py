"""The true SAT: its mask former and its text encoder, built for any window and trained together."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from groundbench_sdk.stand_in import word_ids
from groundbench_sdk.torch_weights import load_state, read_state
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's name
from volume import windows

SOURCE = Path("/opt/source/sat")
#: Tokens that upstream's tokenizer keeps of a text, begin and end included.
TOKENS = 256
#: Upstream's names of the sizes: Nano and Pro.
BACKBONES = {"UNET": 64, "UNET-L": 128}
_VOCABULARY = 2048
_CT = 0  #: upstream's number of the modality


class Network(nn.Module):
    """SAT's image and text encoder with random weights from torch's seed.

    Parameters
    ----------
    backbone
        ``"UNET-L"`` (Pro) or ``"UNET"`` (Nano).
    texts
        Folder with configuration and vocabulary of the language model; None for the stand-in: one layer of the same
        architecture, and hashed words for tokens.
    source
        Upstream's code.
    """

    max_tokens = TOKENS

    def __init__(self, backbone: str, texts: Path | None, source: Path = SOURCE) -> None:
        super().__init__()
        self._maskformer = _upstream(source)
        with _only_backbone(self._maskformer, BACKBONES[backbone]):
            self.vision = self._maskformer.Maskformer(backbone, [64, 64, 32], [32, 32, 32], deep_supervision=True)
        self.text = _text_encoder(texts)
        # Upstream's forward pass never uses these modules, so they would receive no gradient.
        unused = [
            self.text.text_tower.biolord.pooler,
            *(layer.norm1 for layer in self.vision.transformer_decoder.layers),
        ]
        for parameter in (parameter for part in unused for parameter in part.parameters()):
            parameter.requires_grad = False
        losses = importlib.import_module("train.loss")
        self._dice, self._segmentation_loss = losses.BinaryDiceLoss(reduction="none"), losses.segmentation_loss
        self._bce = nn.BCEWithLogitsLoss(reduction="none")
        self._size: tuple[int, ...] = ()

    def load_published(self, vision: Path, text: Path) -> None:
        """Load both published files; every name must match, apart from the other half of the pre-training."""
        load_state(self.vision, read_state(vision, "model_state_dict"))
        state = read_state(text, "model_state_dict")
        state = {
            name: value for name, value in state.items() if "atlas_tower" not in name and "temperature" not in name
        }
        load_state(self.text, state, surplus=("position_ids",))

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, begin and end included, before it is cut."""
        return len(self.text.text_tower.tokenizer.tokenizer.tokenize(text.lower())) + 2

    def train(self, mode: bool = True) -> Network:  # noqa: FBT001, FBT002 - torch's signature
        """Leave the language model without dropout also in training, as it is when upstream loads it."""
        super().train(mode)
        self.text.text_tower.biolord.eval()
        return self

    def segment(self, image: np.ndarray, texts: list[str], size: Sequence[int]) -> np.ndarray:
        """Return the probability of each text at each voxel, (N, X, Y, Z), by upstream's sliding window of `size`."""
        self._set_window(size)
        device = next(self.parameters()).device
        importance = torch.from_numpy(_importance(tuple(size)))
        volume = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        total, weight = torch.zeros((len(texts), *image.shape)), torch.zeros(image.shape)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            queries = self._queries(texts)
            for window in windows(image.shape, size):
                piece = volume[window]
                missing = [side - length for side, length in zip(size, piece.shape, strict=True)]
                padded = F.pad(piece, [0, missing[2], 0, missing[1], 0, missing[0]])
                shown = padded[None, None].repeat(1, 3, 1, 1, 1).to(device)
                probability = torch.sigmoid(self.vision([queries], shown))[0].float().cpu()
                inner = tuple(slice(0, length) for length in piece.shape)
                total[(slice(None), *window)] += probability[(slice(None), *inner)] * importance[inner]
                weight[window] += importance[inner]
        return np.asarray((total / weight).numpy())

    def forward(self, images: torch.Tensor, texts: list[str]) -> list[torch.Tensor]:
        """Return logits (1, N, X, Y, Z) of the texts of one image (1, X, Y, Z), at four scales, finest first."""
        self._set_window(images.shape[1:])
        return list(self.vision(self._queries(texts)[None], images[:, None].repeat(1, 3, 1, 1, 1)))

    def loss(self, scales: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return upstream's loss of labels (1, N, X, Y, Z): Dice and cross-entropy, half the weight a scale."""
        weights = np.array([0.5**scale for scale in range(len(scales))])
        total = torch.zeros((), device=labels.device)
        for logits, weight in zip(scales, weights / weights.sum(), strict=True):
            at_scale = F.interpolate(labels, size=logits.shape[2:], mode="nearest")
            valid = torch.ones(labels.shape[:2], device=labels.device)
            part, _, _ = self._segmentation_loss(logits.float(), at_scale, valid, self._dice, self._bce, float(weight))
            total = total + part
        return {"segmentation": total}

    def _queries(self, texts: list[str]) -> torch.Tensor:
        device = next(self.parameters()).device
        modality = torch.full((len(texts),), _CT, device=device)
        return self.text([text.lower() for text in texts], modality)

    def _set_window(self, size: Sequence[int]) -> None:
        """Set the positional encoding of another window; it is computed, not learnt."""
        if tuple(size) == self._size:
            return
        width = self.vision.pos_embedding.shape[-1]
        grid = [side // 32 for side in size]
        encoding = self._maskformer.PositionalEncoding3D(width)(torch.zeros(1, *grid, width))
        self.vision.pos_embedding = encoding.reshape(-1, 1, width)
        self._size = tuple(size)


class _Words:
    """Replaces the language model's tokenizer inside upstream's."""

    def tokenize(self, text: str) -> list[int]:
        return word_ids(text, _VOCABULARY)

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        fixed = {"[CLS]": 1, "[SEP]": 2}
        if isinstance(tokens, str):
            return fixed[tokens]
        return [fixed.get(token, token) for token in tokens]


@functools.lru_cache(maxsize=1)
def _importance(size: tuple[int, ...]) -> np.ndarray:
    """Return upstream's weights of a window: a Gaussian, sigma side / 8, scaled to 10, zeros replaced, in float16."""
    spike = np.zeros(size)
    spike[tuple(side // 2 for side in size)] = 1
    weights = gaussian_filter(spike, [side / 8 for side in size], mode="constant")
    weights = (weights / weights.max() * 10).astype(np.float16)
    weights[weights == 0] = weights[weights != 0].min()
    return np.asarray(weights, dtype=np.float32)


def _upstream(source: Path) -> Any:
    for folder in (source, source / "model" / "dynamic-network-architectures-main"):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))  # before any package of the same name
    os.environ.setdefault("RANK", "0")  # upstream reads the rank when it is imported
    return importlib.import_module("model.maskformer")


@contextlib.contextmanager
def _only_backbone(maskformer: Any, features: int) -> Iterator[None]:
    """Keep upstream from building all three sizes to use one of them."""
    original = maskformer.PlainConvUNet
    maskformer.PlainConvUNet = lambda **given: (
        original(**given) if given["features_per_stage"][0] == features else nn.Identity()
    )
    try:
        yield
    finally:
        maskformer.PlainConvUNet = original


def _text_encoder(folder: Path | None) -> Any:
    """Build upstream's text encoder around a language model with random weights from torch's seed."""
    from transformers import MPNetConfig, MPNetModel

    encoder: Any = importlib.import_module("model.knowledge_encoder")
    towers = importlib.import_module("model.text_tower")
    tower = towers.Text_Tower.__new__(towers.Text_Tower)
    nn.Module.__init__(tower)
    tokenizers = importlib.import_module("model.tokenizer")
    if folder is None:
        config = MPNetConfig(vocab_size=_VOCABULARY, num_hidden_layers=1)
        tower.tokenizer = tokenizers.MyTokenizer.__new__(tokenizers.MyTokenizer)
        tower.tokenizer.tokenizer, tower.tokenizer.max_length = _Words(), TOKENS
    else:
        config = MPNetConfig.from_pretrained(str(folder))
        tower.tokenizer = tokenizers.MyTokenizer(str(folder), TOKENS)
    tower.biolord = MPNetModel(config)
    tower.forward = types.MethodType(_encode, tower)
    original = encoder.Text_Tower
    encoder.Text_Tower = lambda _: tower
    try:
        return encoder.Knowledge_Encoder()
    finally:
        encoder.Text_Tower = original


def _encode(tower: Any, texts: list[str]) -> torch.Tensor:
    """Encode texts as upstream's tower does, on the device of the model instead of the first GPU."""
    device = next(tower.parameters()).device
    tokens = {name: value.to(device) for name, value in tower.tokenizer.tokenize(texts).items()}
    return tower.mean_pooling(tower.biolord(**tokens), tokens["attention_mask"])
