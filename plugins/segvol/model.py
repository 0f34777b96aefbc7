"""The true SegVol, built from its own modules at any input size, and its published weights fitted to that size.

Upstream's package of SAM modules is imported without its ``__init__``, which imports a 2-D predictor and torchvision's
compiled operators; neither is used here.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from groundbench_sdk.torch_weights import load_state, read_state
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's name

SOURCE = Path("/opt/source/segvol")
#: Tokens that CLIP's text model accepts, begin and end included; one more is an error in upstream code.
TOKENS = 77
#: The sentence around a finding.
TEMPLATE = "A computerized tomography of a {}."
#: Voxels along (D, H, W) that one token of the image encoder covers.
PATCH = (4, 16, 16)
#: Tokens along (D, H, W) at which the weights were published.
PUBLISHED = (8, 16, 16)
#: Modules that a text does not reach: they would receive no gradient. Only the first of four masks is used.
UNREACHED = (
    "prompt_encoder.point_embeddings",
    "prompt_encoder.not_a_point_embed",
    "prompt_encoder.mask_downscaling",
    "mask_decoder.iou_prediction_head",
    *(f"mask_decoder.output_hypernetworks_mlps.{unread}" for unread in (1, 2, 3)),
)


class Network(nn.Module):
    """SegVol for one input size, prompted with text or boxes, with random weights from torch's seed.

    Parameters
    ----------
    size
        (D, H, W) of the input; multiples of :data:`PATCH`.
    source
        Upstream's code.
    """

    max_tokens = TOKENS

    def __init__(self, size: tuple[int, int, int], source: Path = SOURCE) -> None:
        super().__init__()
        if any(length % patch for length, patch in zip(size, PATCH, strict=True)):
            raise ValueError(f"SegVol's input {size} must be a multiple of its patch {PATCH} along (D, H, W)")
        self.size = size
        self.segvol = _upstream(size, source)
        self.segvol.text_encoder.organ2tokens = types.MethodType(_tokens, self.segvol.text_encoder)

    def load_published(self, path: Path) -> None:
        """Load the published weights, resampled where they depend on the number of tokens."""
        state = read_state(path, "model")
        grid = tuple(length // patch for length, patch in zip(self.size, PATCH, strict=True))
        load_state(self.segvol, fit_to_grid(state, grid), surplus=("embeddings.position_ids",))

    def count_tokens(self, text: str) -> int:
        """Return the number of CLIP's tokens of a text in the template, begin and end included."""
        return len(self.segvol.text_encoder.tokenizer(TEMPLATE.format(text)).input_ids)

    def encode_image(self, image: np.ndarray) -> torch.Tensor:
        """Encode an image (D, H, W) once, for any number of prompts."""
        device = next(self.parameters()).device
        with torch.no_grad():
            return self._encode(torch.from_numpy(np.ascontiguousarray(image, np.float32)).to(device)[None, None])

    def segment(self, features: torch.Tensor, text: str | None, box: Sequence[int] | None) -> np.ndarray:
        """Return the logits (D, H, W) for a text, a box or both, from upstream's own decoder."""
        boxes = None if box is None else torch.tensor([list(box)], dtype=torch.float32, device=features.device)
        with torch.no_grad():
            logits = self.segvol.forward_decoder(
                features, self.size, text=None if text is None else [text], boxes=boxes, points=None
            )
        return np.asarray(logits[0, 0].float().cpu().numpy())

    def forward(self, images: torch.Tensor, texts: list[str]) -> torch.Tensor:
        """Return logits (B, 1, D, H, W) of one text per image, with gradients up to the text's projection.

        Upstream computes the projection without gradients; CLIP itself stays frozen, as there.
        """
        segvol = self.segvol
        features = self._encode(images)
        encoder = segvol.text_encoder
        with torch.no_grad():
            pooled = encoder.clip_text_model(**encoder.organ2tokens(texts)).pooler_output
        text = encoder.dim_align(pooled)
        sparse, dense = segvol.prompt_encoder(points=None, boxes=None, masks=None, text_embedding=text)
        low, _ = segvol.mask_decoder(
            image_embeddings=features,
            text_embedding=text,
            image_pe=segvol.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return F.interpolate(low, size=self.size, mode="trilinear", align_corners=False)

    def freeze(self, *, projection: bool) -> None:
        """Train only what a text reaches; without `projection` the text projection stays frozen, as upstream."""
        for name, parameter in self.segvol.named_parameters():
            frozen = name.startswith((*UNREACHED, "text_encoder.clip_text_model"))
            frozen |= not projection and name.startswith("text_encoder.dim_align")
            parameter.requires_grad = not frozen

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return upstream's two losses; the batch axis is kept, or Dice would be computed slice by slice."""
        return {
            "dice": self.segvol.dice_loss(logits.float(), labels),
            "bce": self.segvol.bce_loss(logits.float(), labels),
        }

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        features, _ = self.segvol.image_encoder(images)
        grid = [int(length) for length in self.segvol.feat_shape]
        return features.transpose(1, 2).reshape(images.shape[0], -1, *grid)


def fit_to_grid(state: dict[str, torch.Tensor], grid: Sequence[int]) -> dict[str, torch.Tensor]:
    """Resample the published weights that depend on the token grid.

    Parameters
    ----------
    state
        Published weights by name.
    grid
        Tokens along (D, H, W) of the input.
    """
    if tuple(grid) == PUBLISHED:
        return state
    fitted = dict(state)
    name = "image_encoder.patch_embedding.position_embeddings"
    positions = state[name].reshape(1, *PUBLISHED, -1).permute(0, 4, 1, 2, 3)
    fitted[name] = _resample(positions, grid).permute(0, 2, 3, 4, 1).reshape(1, -1, state[name].shape[-1])
    for name in ("mask_decoder.output_upscaling.1.weight", "mask_decoder.output_upscaling.1.bias"):
        fitted[name] = _resample(state[name][None], [2 * tokens for tokens in grid])[0]
    return fitted


def _resample(field: torch.Tensor, grid: Sequence[int]) -> torch.Tensor:
    return F.interpolate(field, size=list(grid), mode="trilinear", align_corners=False)


def _upstream(size: tuple[int, int, int], source: Path) -> Any:
    if str(source) not in sys.path:
        sys.path.append(str(source))
    if "segment_anything_volumetric" not in sys.modules:
        package = types.ModuleType("segment_anything_volumetric")
        package.__path__ = [str(source / "segment_anything_volumetric")]
        sys.modules["segment_anything_volumetric"] = package
    build = importlib.import_module("segment_anything_volumetric.build_sam").sam_model_registry["vit"]
    parts = build(types.SimpleNamespace(spatial_size=size, patch_size=PATCH))
    return importlib.import_module("network.model").SegVol(
        image_encoder=parts.image_encoder,
        mask_decoder=parts.mask_decoder,
        prompt_encoder=parts.prompt_encoder,
        clip_ckpt=str(source / "config" / "clip"),
        roi_size=size,
        patch_size=PATCH,
        test_mode=True,
    )


def _tokens(encoder: Any, texts: list[str]) -> Any:
    """Tokenise as upstream does, on the device of the model instead of the first GPU."""
    sentences = [TEMPLATE.format(text) for text in texts]
    return encoder.tokenizer(sentences, padding=True, return_tensors="pt").to(encoder.dim_align.weight.device)
