"""The true SAT: its mask former and its text encoder, built at any window size and trained as one."""

from __future__ import annotations

import contextlib
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
from groundbench_sdk.torch_weights import fill, read_state
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
    """SAT's image and text side.

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

    def __init__(self, backbone: str, texts: Path | None, source: Path = SOURCE) -> None:
        super().__init__()
        self._maskformer = _upstream(source)
        with _only(self._maskformer, BACKBONES[backbone]):
            self.vision = self._maskformer.Maskformer(backbone, [64, 64, 32], [32, 32, 32], deep_supervision=True)
        self.text = _text_encoder(texts)
        # Upstream's passes never come by these, which would therefore get no gradient.
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
        """Load both published files; every weight must find its place but those of the pre-training's other half."""
        fill(self.vision, read_state(vision, "model_state_dict"))
        state = read_state(text, "model_state_dict")
        state = {
            name: value for name, value in state.items() if "atlas_tower" not in name and "temperature" not in name
        }
        fill(self.text, state, surplus=("position_ids",))

    def count(self, text: str) -> int:
        """Return how many tokens a text becomes, begin and end included, before any is cut."""
        return len(self.text.text_tower.tokenizer.tokenizer.tokenize(text.lower())) + 2

    def find(self, image: np.ndarray, texts: list[str], size: Sequence[int]) -> np.ndarray:
        """Return each text's probability at each voxel, (N, X, Y, Z), by windows of `size` with upstream's weights."""
        self._see_at(size)
        device = next(self.parameters()).device
        bell = torch.from_numpy(_bell(tuple(size)))
        volume = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        total, weight = torch.zeros((len(texts), *image.shape)), torch.zeros(image.shape)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            queries = self._queries(texts)
            for window in windows(image.shape, size):
                piece = volume[window]
                missing = [side - length for side, length in zip(size, piece.shape, strict=True)]
                padded = F.pad(piece, [0, missing[2], 0, missing[1], 0, missing[0]])
                seen = padded[None, None].repeat(1, 3, 1, 1, 1).to(device)
                shares = torch.sigmoid(self.vision([queries], seen))[0].float().cpu()
                inner = tuple(slice(0, length) for length in piece.shape)
                total[(slice(None), *window)] += shares[(slice(None), *inner)] * bell[inner]
                weight[window] += bell[inner]
        return np.asarray((total / weight).numpy())

    def forward(self, images: torch.Tensor, texts: list[str]) -> list[torch.Tensor]:
        """Return logits (1, N, X, Y, Z) of the texts of one image (1, X, Y, Z), at four scales, finest first."""
        self._see_at(images.shape[1:])
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

    def _see_at(self, size: Sequence[int]) -> None:
        """Give upstream's network the positions of another window; they are computed, not learnt."""
        if tuple(size) == self._size:
            return
        width = self.vision.pos_embedding.shape[-1]
        grid = [side // 32 for side in size]
        encoding = self._maskformer.PositionalEncoding3D(width)(torch.zeros(1, *grid, width))
        self.vision.pos_embedding = encoding.reshape(-1, 1, width)
        self._size = tuple(size)


class _Words:
    """Stands where upstream's tokenizer has the language model's own one."""

    def tokenize(self, text: str) -> list[int]:
        return word_ids(text, _VOCABULARY)

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        fixed = {"[CLS]": 1, "[SEP]": 2}
        if isinstance(tokens, str):
            return fixed[tokens]
        return [fixed.get(token, token) for token in tokens]


def _bell(size: tuple[int, ...]) -> np.ndarray:
    """Return upstream's weights of a window: a bell of an eighth of the side, at most 10, nowhere 0, halves."""
    spike = np.zeros(size)
    spike[tuple(side // 2 for side in size)] = 1
    bell = gaussian_filter(spike, [side / 8 for side in size], mode="constant")
    bell = (bell / bell.max() * 10).astype(np.float16)
    bell[bell == 0] = bell[bell != 0].min()
    return np.asarray(bell, dtype=np.float32)


def _upstream(source: Path) -> Any:
    for folder in (source, source / "model" / "dynamic-network-architectures-main"):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))  # before any package of the same name
    os.environ.setdefault("RANK", "0")  # upstream asks who is first of all processes
    return importlib.import_module("model.maskformer")


@contextlib.contextmanager
def _only(maskformer: Any, features: int) -> Iterator[None]:
    """Keep upstream from building all three sizes to use one of them."""
    true = maskformer.PlainConvUNet
    maskformer.PlainConvUNet = lambda **given: (
        true(**given) if given["features_per_stage"][0] == features else nn.Identity()
    )
    try:
        yield
    finally:
        maskformer.PlainConvUNet = true


def _text_encoder(folder: Path | None) -> Any:
    """Build upstream's text encoder around a language model whose weights are those of torch's seed."""
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
    tower.forward = types.MethodType(_read, tower)
    true = encoder.Text_Tower
    encoder.Text_Tower = lambda _: tower
    try:
        return encoder.Knowledge_Encoder()
    finally:
        encoder.Text_Tower = true


def _read(tower: Any, texts: list[str]) -> torch.Tensor:
    """Do what upstream's tower does, on the device where it is instead of the first GPU."""
    device = next(tower.parameters()).device
    tokens = {name: value.to(device) for name, value in tower.tokenizer.tokenize(texts).items()}
    return tower.mean_pooling(tower.biolord(**tokens), tokens["attention_mask"])
