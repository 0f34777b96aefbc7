"""MedSAM2 prompted with text: upstream's model with one more prompt token, and the loop over the frames.

The vector of a text becomes a token beside the points, of which there are none. Everything else is upstream's own:
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
from groundbench_sdk.torch_weights import load_state, read_state
from groundbench_sdk.video import MEAN, STD, Frames, computing, size_overrides
from language import WIDTH
from sam2.build_sam import build_sam2
from sam2.modeling.sam2_base import SAM2Base
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's name
from torch.utils.checkpoint import checkpoint

#: Modules that a text does not reach and that would receive no gradient: those of points, boxes and masks, and of the
#: three masks that SAM 2 offers for an ambiguous prompt.
UNREACHED = (
    *("sam_prompt_encoder.point_embeddings.", "sam_prompt_encoder.mask_downscaling.", "mask_downsample."),
    *(f"sam_mask_decoder.output_hypernetworks_mlps.{mask}." for mask in (1, 2, 3)),
    "no_mem_pos_enc",
)
#: Modules that are reached only through the memory of other frames.
MEMORY = (
    *("memory_attention.", "memory_encoder.", "maskmem_tpos_enc"),
    *("obj_ptr_proj.", "obj_ptr_tpos_proj.", "no_obj_ptr", "no_obj_embed_spatial"),
)
#: Pixels of the picture along one side of the image encoder's windows.
_WINDOW = 32
#: Pictures of one pass of the image encoder.
_AT_ONCE = 4
#: Upstream's weights of the parts of its loss.
_LOSSES = {"loss_mask": 20.0, "loss_dice": 1.0, "loss_iou": 1.0, "loss_class": 1.0}


class Heads(NamedTuple):
    """Outputs of upstream's heads for one frame and B texts, in upstream's order; S is the side of a picture."""

    low_masks: torch.Tensor  #: (B, M, S / 4, S / 4): logits of all masks; M is 1 here
    high_masks: torch.Tensor  #: (B, M, S, S)
    ious: torch.Tensor  #: (B, M): the IoU that the model predicts for each
    low_mask: torch.Tensor  #: (B, 1, S / 4, S / 4): logits of the best mask
    high_mask: torch.Tensor  #: (B, 1, S, S)
    pointer: torch.Tensor  #: (B, 256): the object pointer in the memory of later frames
    score: torch.Tensor  #: (B, 1): at 0 or below the object is absent, and all mask logits are -1024


class Network(SAM2Base):
    """SAM 2 that takes vectors of texts, with random weights from torch's seed. Made by :func:`build`."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.text_projection = nn.Linear(WIDTH, self.hidden_dim)
        # A vector has the length 1: so its token is as large as upstream's own tokens, not a fortieth of them.
        nn.init.normal_(self.text_projection.weight)
        self._tokens = torch.empty(0)
        self.sam_prompt_encoder.register_forward_hook(self._with_tokens)
        self._criterion = _criterion()

    def load_published(self, path: Path) -> None:
        """Load published weights of MedSAM2; every name must match, and only the projection may be missing."""
        load_state(self, read_state(path, "model"), absent=("text_projection.",))

    def expect_something(self) -> None:
        """Bias the head that predicts the presence of an object to yes: a random head would empty masks by chance."""
        nn.init.ones_(self.sam_mask_decoder.pred_obj_score_head.layers[-1].bias)

    def freeze(self, *, memory: bool) -> None:
        """Train only the parameters that a text reaches, with the memory of other frames or without it."""
        frozen = UNREACHED if memory else (*UNREACHED, *MEMORY)
        for name, parameter in self.named_parameters():
            parameter.requires_grad = not name.startswith(frozen)

    def groups(self, rate: float, image_rate: float, decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """Return the trained parameters as upstream groups them for its optimiser.

        Parameters
        ----------
        rate
            Learning rate of everything but the image encoder.
        image_rate
            Learning rate of the image encoder.
        decay
            Weight decay; biases and norms have none.
        layer_decay
            Factor of the rate from one block of the encoder's trunk to the block before it, positions excepted.
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
                own *= layer_decay ** (trunk.get_num_layers() + 1 - trunk.get_layer_id(name))
            groups[own, 0.0 if "bias" in name or name in norms else decay].append(parameter)
        return [{"params": group, "lr": own, "weight_decay": wd} for (own, wd), group in groups.items()]

    def segment(self, frames: Frames, vectors: np.ndarray, *, memory: bool, level: float) -> np.ndarray:
        """Segment the finding of each text on every slice.

        Parameters
        ----------
        frames
            D slices.
        vectors
            (B, 512), float32, one per text.
        memory
            Whether a slice attends to the memory of the slices before it.
        level
            A pixel is found where its logit is above this.

        Returns
        -------
        ndarray, shape (B, D, height, width)
            Boolean, at the size of the slices.
        """
        found = np.zeros((len(vectors), len(frames), frames.height, frames.width), dtype=bool)
        pictures = (torch.from_numpy(frames.picture(index))[None] for index in range(len(frames)))
        with torch.no_grad(), computing(str(self.device)):
            steps = self._track(pictures, len(frames), torch.from_numpy(vectors), memory=memory)
            for index, heads in enumerate(steps):
                logits = F.interpolate(heads.low_mask, found.shape[2:], mode="bilinear", align_corners=False)
                found[:, index] = (logits[:, 0] > level).cpu().numpy()
        return found

    def forward(
        self, pictures: Sequence[torch.Tensor], vectors: Sequence[torch.Tensor], *, memory: bool
    ) -> list[list[dict[str, Any]]]:
        """Return the inputs of upstream's loss for every frame of every sample.

        Parameters
        ----------
        pictures
            Per sample (T, S, S), uint8: consecutive slices.
        vectors
            Per sample (B, 512).
        memory
            Whether all frames but the first of a sample attend to the memory of the frames before.
        """
        samples = []
        for shown, texts in zip(pictures, vectors, strict=True):
            steps = self._track(shown.split(_AT_ONCE), len(shown), texts, memory=memory)
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
            Output of :meth:`forward`.
        truths
            Per sample (T, B, S, S), boolean.
        """
        sums: dict[str, Any] = dict.fromkeys(_LOSSES, 0.0)
        for frames, truth in zip(samples, truths, strict=True):
            parts = self._criterion(frames, truth.to(self.device))
            for name, weight in _LOSSES.items():
                sums[name] = sums[name] + weight * parts[name] / len(samples)
        return {name.removeprefix("loss_"): value for name, value in sums.items()}

    def _track(
        self, pictures: Iterable[torch.Tensor], number: int, vectors: torch.Tensor, *, memory: bool
    ) -> Iterator[Heads]:
        """Yield the outputs of one frame after another; without memory each is a conditioning frame."""
        tokens = self.text_projection(vectors.to(self.device))
        past: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        for index, (levels, places, sizes) in enumerate(self._encode_images(pictures)):
            alone = index == 0 or not memory
            features = [level.expand(-1, len(tokens), -1) for level in levels]
            self._tokens = tokens
            kept, outputs, _, _ = self._track_step(
                frame_idx=index,
                is_init_cond_frame=alone,
                current_vision_feats=features,
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
                    current_vision_feats=features,
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
                # The memory reaches no further back than this.
                past["non_cond_frame_outputs"].pop(index - max(self.num_maskmem, self.max_obj_ptrs_in_encoder), None)
            yield heads

    def _encode_images(
        self, pictures: Iterable[torch.Tensor]
    ) -> Iterator[tuple[list[torch.Tensor], list[torch.Tensor], Any]]:
        """Yield upstream's features of one frame after another, per level (pixels, 1, channels); batches come in.

        In training the encoder's activations are not kept but recomputed: those of 32 frames would not fit.
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
        """Append the tokens of the texts to the points that upstream's prompt encoder returns."""
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
        When the side is not a multiple of 32.
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

    Its module imports one name from upstream's trainer, which needs a dozen more packages; a stand-in provides it. It
    divides by the mean number of objects over all processes, for which they would have to be in the same pass at once;
    here each pass is one process's own, and its loss the same on any number of processes.
    """
    trainer = types.ModuleType("training.trainer")
    trainer.CORE_LOSS_KEY = "core_loss"  # type: ignore[attr-defined]
    sys.modules.setdefault(trainer.__name__, trainer)
    upstream: Any = importlib.import_module("training.loss_fns")
    upstream.is_dist_avail_and_initialized, upstream.get_world_size = lambda: False, lambda: 1
    loss: nn.Module = upstream.MultiStepMultiMasksAndIous(
        dict(_LOSSES),
        supervise_all_iou=True,
        iou_use_l1_loss=True,
        pred_obj_scores=True,
        focal_gamma_obj_score=0.0,
        focal_alpha_obj_score=-1.0,
    )
    return loss
