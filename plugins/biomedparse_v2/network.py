"""The true BiomedParse v2, from its own modules: slices are encoded once, and segmented for one text at a time."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from groundbench_sdk.records import Rejected
from groundbench_sdk.stand_in import word_ids
from groundbench_sdk.torch_weights import load_state, read_state
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's name

SOURCE = Path("/opt/source/biomedparse")
#: Tokens that the text encoder accepts, begin and end included.
TOKENS = 77
#: Number of the 16 queries whose mean is the outline; the mean of the others is the mask.
EDGES = 4
#: Weights that no output depends on: they compared queries with texts in v1.
UNREACHED = ("sem_seg_head.predictor.class_embed", "sem_seg_head.predictor.language_encoder.logit_scale")


class Size(NamedTuple):
    """The dimensions that are smaller in the network for a CPU; all others are as published."""

    embed: int  #: channels of the backbone's first stage
    depths: tuple[int, int, int, int]  #: blocks of its stages
    drop_path: float  #: highest share of blocks that training leaves out
    width: int  #: channels of pixel decoder, text encoder and queries
    feedforward: int
    encoder_layers: int  #: of the pixel decoder
    decoder_layers: int  #: of the queries
    text_layers: int
    vocabulary: int


SIZES = {
    "published": Size(192, (2, 2, 18, 2), 0.3, 512, 2048, 6, 9, 12, 49408),
    "small": Size(48, (1, 1, 1, 1), 0.0, 64, 128, 1, 3, 2, 2048),
}


class Features(NamedTuple):
    """Output of the image encoder for B slices."""

    finest: torch.Tensor  #: (B, C, side / 4, side / 4)
    scales: list[torch.Tensor]  #: coarsest first


class Network(nn.Module):
    """BiomedParse v2 with random weights from torch's seed.

    Parameters
    ----------
    size
        ``"published"`` or ``"small"``.
    texts
        Folder with the files of CLIP's tokenizer; None for hashed words.
    source
        Upstream's code.
    """

    max_tokens = TOKENS

    def __init__(self, size: str, texts: Path | None, source: Path = SOURCE) -> None:
        super().__init__()
        if size not in SIZES:
            raise Rejected(f"the parameter network must be one of {', '.join(SIZES)}, not {size!r}")
        tokenizer = _Words(SIZES[size].vocabulary) if texts is None else _clip(texts)
        self.model, criterion = _upstream(SIZES[size], tokenizer, source)
        self._criterion = [criterion]  # in a list: its constants are not part of the model
        for name in ("pixel_mean", "pixel_std"):  # constants, which no checkpoint needs
            self.model.register_buffer(name, getattr(self.model, name), persistent=False)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad = name not in UNREACHED

    def load_published(self, path: Path) -> None:
        """Load the published file, constants of the normalisation included; every weight must find its place."""
        state = read_state(path, "state_dict")
        state = {name: value for name, value in state.items() if not name.startswith("loss_function.")}
        state = {name.removeprefix("model."): value for name, value in state.items()}
        for name, mine in self.model.named_buffers():
            if name in state:
                mine.copy_(state.pop(name).reshape(mine.shape))
        load_state(self.model, state)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, begin and end included, before it is cut."""
        return len(self._language.tokenizer.tokenize(text)) + 2

    def encode_text(self, text: str) -> torch.Tensor:
        """Encode a text once, for any number of slices."""
        with torch.no_grad():
            return self._encode_text(text)

    def encode_image(self, pictures: np.ndarray) -> Features:
        """Encode slices (B, 3, side, side) of grey values from 0 to 255 once, for any number of texts."""
        with torch.no_grad():
            return self._encode_image(torch.from_numpy(np.ascontiguousarray(pictures)).to(self.model.pixel_mean.device))

    def segment(self, features: Features, text: torch.Tensor, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability of a text's object at each pixel, (B, side, side), and of its existence, (B,).

        The decoder attends to positions that it samples at random, also when predicting; `seed` fixes them.
        """
        torch.manual_seed(seed)
        with torch.no_grad():
            found = self._decode(features, text)
            side = 4 * features.finest.shape[-1]
            masks = F.interpolate(found["pred_gmasks"].float(), size=(side, side), mode="bicubic", antialias=True)
            probabilities, existence = masks[:, 0].sigmoid(), found["object_existence"][:, 0].float().sigmoid()
        return np.asarray(probabilities.cpu().numpy()), np.asarray(existence.cpu().numpy())

    def forward(self, pictures: torch.Tensor, texts: list[str]) -> dict[str, torch.Tensor]:
        """Return the inputs of upstream's loss, for one text per slice, with gradients.

        Each text is decoded by itself. Together they would be padded to one length with vectors of 0, which upstream's
        attention would treat as tokens.
        """
        features = self._encode_image(pictures)
        found = []
        for number, text in enumerate(texts):
            one = slice(number, number + 1)
            alone = Features(features.finest[one], [scale[one] for scale in features.scales])
            found.append(self._decode(alone, self._encode_text(text)))
        return {name: torch.cat([part[name] for part in found]) for name in found[0]}

    def loss(self, found: dict[str, torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return upstream's loss of labels (B, 1, side, side): existence, and mask and outline where there is one."""
        (criterion,) = self._criterion
        values = {name: value.float() for name, value in found.items()}
        return {"total": criterion.to(labels.device)(values, labels)}

    @property
    def _language(self) -> Any:
        return self.model.sem_seg_head.predictor.language_encoder

    def _encode_text(self, text: str) -> torch.Tensor:
        """Return a vector for each token of a text, (L, 1, C)."""
        encoded = self._language.get_text_token_embeddings([text], name="grounding", token=False, norm=False)
        return encoded["token_emb"][0][encoded["tokens"]["attention_mask"][0].bool()][:, None]

    def _encode_image(self, pictures: torch.Tensor) -> Features:
        grey = (pictures.float() - self.model.pixel_mean.mean()) / self.model.pixel_std.mean()
        finest, _, scales = self.model.sem_seg_head.pixel_decoder.forward_features(self.model.backbone(grey))
        return Features(finest, scales)

    def _decode(self, features: Features, text: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return logits of mask and outline, (B, 1, side / 4, side / 4), and of existence, (B, 1), for one text."""
        extra = {"grounding_tokens": text.repeat(1, len(features.finest), 1)}
        found = self.model.sem_seg_head.predictor(x=features.scales, mask_features=features.finest, extra=extra)
        masks = found["pred_gmasks"]
        return {
            "pred_gmasks": masks[:, :-EDGES].mean(dim=1, keepdim=True),
            "edge_masks": masks[:, -EDGES:].mean(dim=1, keepdim=True),
            "object_existence": found["object_existence"],
        }


class _Words:
    """Replaces CLIP's tokenizer by hashed words."""

    eos_token = "end"  # noqa: S105 - no password

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary

    def add_special_tokens(self, tokens: dict[str, str]) -> None:
        """Do nothing: begin and end are fixed numbers here."""

    def tokenize(self, text: str) -> list[int]:
        return word_ids(text, self._vocabulary)

    def __call__(self, texts: list[str], *, max_length: int, **_: Any) -> dict[str, torch.Tensor]:
        ids, attention = torch.zeros((2, len(texts), max_length), dtype=torch.long)
        for row, text in enumerate(texts):
            tokens = [1, *self.tokenize(text)[: max_length - 2], 2]
            ids[row, : len(tokens)], attention[row, : len(tokens)] = torch.tensor(tokens), 1
        return {"input_ids": ids, "attention_mask": attention}


def _clip(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(folder))


def _upstream(size: Size, tokenizer: Any, source: Path) -> tuple[Any, Any]:
    """Build upstream's model and loss; numbers are those of ``configs/model/biomedparse_3D.yaml`` and what it names."""
    _stand_in()
    if str(source) not in sys.path:
        sys.path.append(str(source))
    part = importlib.import_module
    backbone = part("src.model.backbone.focal").D2FocalNet(
        pretrain_img_size=224,
        patch_size=4,
        embed_dim=size.embed,
        depths=list(size.depths),
        focal_levels=[4, 4, 4, 4],
        focal_windows=[3, 3, 3, 3],
        drop_path_rate=size.drop_path,
        use_conv_embed=True,
        scaling_modulator=True,
        use_layerscale=True,
        use_postln=True,
    )
    pixel_decoder = part("src.model.pixel_decoder.transformer_encoder_fpn").TransformerEncoderPixelDecoder(
        transformer_dropout=0.0,
        transformer_nheads=8,
        transformer_dim_feedforward=size.feedforward,
        transformer_enc_layers=size.encoder_layers,
        conv_dim=size.width,
        mask_dim=size.width,
        norm="GN",
        mask_on=True,
    )
    languages = "src.model.transformer_decoder.language_encoders"
    language = part(f"{languages}.seem_language_encoder").SEEMLanguageEncoder(
        tokenizer,
        "clip",
        part(f"{languages}.language_transformer").Transformer(
            context_length=TOKENS,
            vocab_size=size.vocabulary,
            width=size.width,
            layers=size.text_layers,
            heads=8,
            autogressive=True,
        ),
        nn.Parameter(torch.randn(size.width, size.width)),
        TOKENS,
    )
    decoder = part("src.model.transformer_decoder.boltzformer_cls_decoder").BoltzFormerTextDecoder(
        language,
        in_channels=size.width,
        hidden_dim=size.width,
        dim_proj=size.width,
        num_queries=16,
        nheads=8,
        dim_feedforward=size.feedforward,
        dec_layers=size.decoder_layers,
        mask_dim=size.width,
        boltzmann_sampling={"mask_threshold": 1.1, "do_boltzmann": True, "sample_ratio": 0.1, "base_temp": 1},
        pre_self_attention=True,
    )
    whole = part("src.model.biomedparse_3D")
    head = whole.MaskFormerHead(pixel_decoder, decoder)
    model = whole.BiomedParseModel(backbone, head, convolute_outputs=False, edge_queries=EDGES)
    each = part("src.losses.medsam_loss").MedSamLoss(reduction="none")
    criterion = part("src.losses.biomedparse_loss").BiomedParseLossCLS(loss=each, cls_coeff=1.0, edge_coeff=1.0)
    return model, criterion


class _Conv2d(nn.Conv2d):
    """A convolution followed by its norm and its activation."""

    def __init__(self, *given: Any, norm: Any = None, activation: Any = None, **named: Any) -> None:
        super().__init__(*given, **named)
        self.norm, self.activation = norm, activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = super().forward(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)


def _xavier(layer: nn.Conv2d) -> None:
    nn.init.kaiming_uniform_(layer.weight, a=1)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _stand_in() -> None:
    """Provide the few names that upstream imports from detectron2 and fvcore, as later upstream code does itself."""
    layers = {
        "Conv2d": _Conv2d,
        "ShapeSpec": dict,
        "DeformConv": None,
        "get_norm": lambda _, channels: nn.GroupNorm(32, channels),
    }
    names: dict[str, dict[str, Any]] = {
        "detectron2": {},
        "detectron2.layers": layers,
        "detectron2.modeling": {"Backbone": nn.Module},
        "fvcore": {},
        "fvcore.nn": {},
        "fvcore.nn.weight_init": {"c2_xavier_fill": _xavier},
    }
    for name, contents in names.items():
        module = types.ModuleType(name)
        vars(module).update(contents)
        sys.modules.setdefault(name, module)
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], own, sys.modules[name])
