"""MedSAM2 asked by text: upstream's model with one more token among its prompts, and its way through the frames.

A text's vector becomes a token that stands beside the points, of which there are none. All else is upstream's own:
image encoder, memory, heads and, in training, the loss.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from groundbench_sdk.records import Rejected
from groundbench_sdk.torch_weights import fill, read_state
from groundbench_sdk.video import MEAN, STD, Frames, computing, size_overrides
from prompts import WIDTH
from sam2.build_sam import build_sam2
from sam2.modeling.sam2_base import SAM2Base
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's name
from torch.utils.checkpoint import checkpoint

#: Parts that no text reaches, which would therefore get no gradient: those of points, boxes and masks, and of the three
#: masks that SAM 2 offers where a prompt is ambiguous.
UNREACHED = (
    *("sam_prompt_encoder.point_embeddings.", "sam_prompt_encoder.mask_downscaling.", "mask_downsample."),
    *(f"sam_mask_decoder.output_hypernetworks_mlps.{mask}." for mask in (1, 2, 3)),
    "no_mem_pos_enc",
)
#: Parts that are reached through the memory of other frames only.
MEMORY = (
    *("memory_attention.", "memory_encoder.", "maskmem_tpos_enc"),
    *("obj_ptr_proj.", "obj_ptr_tpos_proj.", "no_obj_ptr", "no_obj_embed_spatial"),
)
#: Pixels of the picture along one side of the image encoder's windows.
_WINDOW = 32
#: Pictures of one pass of the image encoder.
_AT_ONCE = 4
#: Upstream's numbers of training: share of the rate from one block of the trunk to the one before it, and the decay of
#: all that is neither a bias nor a norm.
_LAYER_DECAY, _WEIGHT_DECAY = 0.9, 0.1
#: Upstream's weights of its losses.
_LOSSES = {"loss_mask": 20.0, "loss_dice": 1.0, "loss_iou": 1.0, "loss_class": 1.0}


class Heads(NamedTuple):
    """What upstream's heads say of one frame to each of B texts, in upstream's order; S is the side of a picture."""

    low_masks: torch.Tensor  #: (B, M, S / 4, S / 4): logits of all masks, of which there is one here
    high_masks: torch.Tensor  #: (B, M, S, S)
    ious: torch.Tensor  #: (B, M): how good each is, as the model thinks
    low_mask: torch.Tensor  #: (B, 1, S / 4, S / 4): logits of the best
    high_mask: torch.Tensor  #: (B, 1, S, S)
    pointer: torch.Tensor  #: (B, 256): what later frames remember of the object
    score: torch.Tensor  #: (B, 1): at 0 or below there is nothing, and all logits of the masks are -1024


class Network(SAM2Base):
    """SAM 2 that takes vectors of texts; weights as torch's seed gives them. Made by :func:`build`."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.text_projection = nn.Linear(WIDTH, self.hidden_dim)
        # A vector has the length 1: its token then is of the size of upstream's own tokens, not a fortieth of it.
        nn.init.normal_(self.text_projection.weight)
        self._tokens = torch.empty(0)
        self.sam_prompt_encoder.register_forward_hook(self._with_tokens)
        self._criterion = _criterion()

    def load_published(self, path: Path) -> None:
        """Load published weights of MedSAM2: every one must find its place, and only the projection may have none."""
        fill(self, read_state(path, "model"), absent=("text_projection.",))

    def expect_something(self) -> None:
        """Let the head that tells whether there is anything say yes: a random one would empty whole masks by chance."""
        nn.init.ones_(self.sam_mask_decoder.pred_obj_score_head.layers[-1].bias)

    def freeze(self, *, memory: bool) -> None:
        """Leave to training what a text reaches, with the memory of other frames or without it."""
        frozen = UNREACHED if memory else (*UNREACHED, *MEMORY)
        for name, parameter in self.named_parameters():
            parameter.requires_grad = not name.startswith(frozen)

    def groups(self, rate: float, image_rate: float) -> list[dict[str, Any]]:
        """Group what is trained as upstream does.

        Parameters
        ----------
        rate
            Of all but the image encoder.
        image_rate
            Of the image encoder; in its trunk less from block to block towards the picture, positions excepted.
        """
        trunk = self.image_encoder.trunk
        norms = {
            f"{path}.{name}"
            for path, module in self.named_modules()
            if isinstance(module, nn.LayerNorm)
            for name, _ in module.named_parameters()
        }
        groups = defaultdict(list)
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            own = image_rate if name.startswith("image_encoder.") else rate
            if name.startswith("image_encoder.trunk.") and "pos_embed" not in name:
                own *= _LAYER_DECAY ** (trunk.get_num_layers() + 1 - trunk.get_layer_id(name))
            groups[own, 0.0 if "bias" in name or name in norms else _WEIGHT_DECAY].append(parameter)
        return [{"params": group, "lr": own, "weight_decay": decay} for (own, decay), group in groups.items()]

    def find(self, frames: Frames, vectors: np.ndarray, *, memory: bool) -> np.ndarray:
        """Find what each text speaks of, on every slice.

        Parameters
        ----------
        frames
            D slices.
        vectors
            (B, 512), float32, one a text.
        memory
            Whether a slice is seen with what was found on those before it.

        Returns
        -------
        ndarray, shape (B, D, height, width)
            Boolean: where a logit is above 0, on the slices' own pixels.
        """
        found = np.zeros((len(vectors), len(frames), frames.height, frames.width), dtype=bool)
        pictures = (torch.from_numpy(frames.picture(index))[None] for index in range(len(frames)))
        with torch.no_grad(), computing(str(self.device)):
            steps = self._go_through(pictures, len(frames), torch.from_numpy(vectors), memory=memory)
            for index, heads in enumerate(steps):
                logits = F.interpolate(heads.low_mask, found.shape[2:], mode="bilinear", align_corners=False)
                found[:, index] = (logits[:, 0] > 0).cpu().numpy()
        return found

    def forward(
        self, pictures: Sequence[torch.Tensor], vectors: Sequence[torch.Tensor], *, memory: bool
    ) -> list[list[dict[str, Any]]]:
        """Return, of every frame of every sample, what upstream's loss takes.

        Parameters
        ----------
        pictures
            A sample each (T, S, S), uint8: consecutive slices.
        vectors
            A sample each (B, 512).
        memory
            Whether all frames but a sample's first are seen with what was found on those before.
        """
        samples = []
        for shown, texts in zip(pictures, vectors, strict=True):
            steps = self._go_through(shown.split(_AT_ONCE), len(shown), texts, memory=memory)
            samples.append([
                {
                    "multistep_pred_multimasks_high_res": [heads.high_masks],
                    "multistep_pred_ious": [heads.ious],
                    "multistep_object_score_logits": [heads.score],
                }
                for heads in steps
            ])  # fmt: skip
        return samples

    def loss(self, samples: list[list[dict[str, Any]]], truths: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return upstream's four losses in upstream's weights, means over the samples, each a sum over its frames.

        Parameters
        ----------
        samples
            What :meth:`forward` returned.
        truths
            A sample each (T, B, S, S), boolean.
        """
        sums: dict[str, Any] = dict.fromkeys(_LOSSES, 0.0)
        for frames, truth in zip(samples, truths, strict=True):
            parts = self._criterion(frames, truth.to(self.device))
            for name, weight in _LOSSES.items():
                sums[name] = sums[name] + weight * parts[name] / len(samples)
        return {name.removeprefix("loss_"): value for name, value in sums.items()}

    def _go_through(
        self, pictures: Iterable[torch.Tensor], number: int, vectors: torch.Tensor, *, memory: bool
    ) -> Iterator[Heads]:
        """Yield the heads of one frame after another; without the memory of others each is a conditioning frame."""
        tokens = self.text_projection(vectors.to(self.device))
        past: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        for index, (levels, places, sizes) in enumerate(self._see(pictures)):
            alone = index == 0 or not memory
            seen = [level.expand(-1, len(tokens), -1) for level in levels]
            self._tokens = tokens
            kept, outputs, _, _ = self._track_step(
                frame_idx=index,
                is_init_cond_frame=alone,
                current_vision_feats=seen,
                current_vision_pos_embeds=[place.expand(-1, len(tokens), -1) for place in places],
                feat_sizes=sizes,
                point_inputs=None,
                mask_inputs=None,
                output_dict=past,
                num_frames=number,
                track_in_reverse=False,
                prev_sam_mask_logits=None,
            )
            heads = Heads(*outputs)
            if memory:
                self._encode_memory_in_output(
                    current_vision_feats=seen,
                    feat_sizes=sizes,
                    point_inputs=None,
                    run_mem_encoder=True,
                    high_res_masks=heads.high_mask,
                    object_score_logits=heads.score,
                    current_out=kept,
                )
                past["cond_frame_outputs" if alone else "non_cond_frame_outputs"][index] = {
                    **kept, "obj_ptr": heads.pointer
                }  # fmt: skip
                # Nothing looks further back than this.
                past["non_cond_frame_outputs"].pop(index - max(self.num_maskmem, self.max_obj_ptrs_in_encoder), None)
            yield heads

    def _see(self, pictures: Iterable[torch.Tensor]) -> Iterator[tuple[list[torch.Tensor], list[torch.Tensor], Any]]:
        """Yield upstream's features of one frame after another, (pixels, 1, channels) a level, given some at a time.

        In training the encoder's activations are not kept but made again: those of 32 frames would not fit.
        """
        mean, deviation = (torch.from_numpy(values).to(self.device) for values in (MEAN, STD))
        for some in pictures:
            images = (some[:, None].to(self.device) / 255 - mean) / deviation
            if torch.is_grad_enabled():
                levels = checkpoint(self._encode, images, use_reentrant=False)
            else:
                levels = self._encode(images)
            places = [self.image_encoder.neck.position_encoding(level[:1]) for level in levels]
            found = {"backbone_fpn": levels, "vision_pos_enc": places}
            _, features, places, sizes = self._prepare_backbone_features(found)
            for number in range(len(some)):
                yield [level[:, number : number + 1] for level in features], places, sizes

    def _encode(self, images: torch.Tensor) -> list[torch.Tensor]:
        return list(self.forward_image(images)["backbone_fpn"])

    def _with_tokens(self, _: nn.Module, __: Any, prompts: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Put the texts' tokens behind the points that upstream's prompt encoder returns."""
        points, dense = prompts
        return torch.cat([points, self._tokens[:, None].to(points.dtype)], dim=1), dense


def build(config: str, image_size: int) -> Network:
    """Build the model on the CPU, ready to predict.

    Parameters
    ----------
    config
        Name of upstream's configuration.
    image_size
        Side of the pictures, a multiple of 32.

    Raises
    ------
    Rejected
        When the side is none.
    """
    if image_size % _WINDOW:
        raise Rejected(f"image_size must be a multiple of {_WINDOW}, not {image_size}")
    changes = [f"++model._target_={__name__}.Network", "++model.multimask_output_in_sam=false"]
    model: Network = build_sam2(
        config,
        device="cpu",
        hydra_overrides_extra=[*changes, *size_overrides(image_size)],
        apply_postprocessing=False,
    )
    return model


def _criterion() -> nn.Module:
    """Return upstream's loss with the numbers of upstream's configurations.

    Its module takes one name from upstream's trainer, which needs a dozen packages more; that name is given to it.
    """
    trainer = types.ModuleType("training.trainer")
    trainer.CORE_LOSS_KEY = "core_loss"  # type: ignore[attr-defined]
    sys.modules.setdefault(trainer.__name__, trainer)
    loss: nn.Module = importlib.import_module("training.loss_fns").MultiStepMultiMasksAndIous(
        dict(_LOSSES),
        supervise_all_iou=True,
        iou_use_l1_loss=True,
        pred_obj_scores=True,
        focal_gamma_obj_score=0.0,
        focal_alpha_obj_score=-1.0,
    )
    return loss
