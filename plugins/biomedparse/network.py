"""The true BiomedParse (version 1), from its own modules: a picture encoded once, then segmented per text.

Upstream's model class is not used: building it requires a GPU, and all it adds to these modules is the normalisation
of the picture. Packages that import more than is used (``modeling``, ``detectron2.modeling``) are imported without
their ``__init__``; MPI is an empty module.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from groundbench_sdk.stand_in import word_ids
from groundbench_sdk.torch_weights import load_state, read_state
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's name

SOURCE = Path("/opt/source")
#: Tokens that upstream's tokenizer keeps of a text, begin and end included.
TOKENS = 77
#: Rows of CLIP's table of tokens; the last two are begin and end.
_VOCABULARY = 49408
#: Changes to the published configuration, by section, that let a CPU run it: few channels and layers.
_SMALL: dict[str, dict[str, Any]] = {
    "": {"DIM_PROJ": 64},
    "TEXT": {"WIDTH": 64, "LAYERS": 2},
    "BACKBONE.FOCAL": {"EMBED_DIM": 32, "DEPTHS": [1, 1, 1, 1]},
    "ENCODER": {"CONVS_DIM": 64, "MASK_DIM": 64, "TRANSFORMER_ENC_LAYERS": 1},
    "DECODER": {"HIDDEN_DIM": 64, "DIM_FEEDFORWARD": 128, "DEC_LAYERS": 4},
}
#: Modules for prompts drawn by hand, which a text does not use: they would receive no gradient.
_UNREACHED = tuple(
    f"sem_seg_head.predictor.{name}" for name in ("pn_indicator", "mask_sptial", "spatial_embed", "spatial_featured")
)
#: Modules that upstream trains at a tenth of the rate, by part of their names.
_ENCODERS = ("backbone", "lang_encoder")
_NORMS = (nn.LayerNorm, nn.GroupNorm)


class Features(NamedTuple):
    """Output of the image encoder for B pictures."""

    finest: torch.Tensor  #: (B, C, side / 4, side / 4)
    scales: list[torch.Tensor]  #: three more, from side / 32 to side / 8


class EncodedText(NamedTuple):
    """Output of the text encoder for B texts."""

    tokens: torch.Tensor  #: (B, 77, C)
    padding: torch.Tensor  #: (B, 77), True beyond the end of a text
    whole: torch.Tensor  #: (B, C): the vector of the whole text


class Network(nn.Module):
    """BiomedParse with random weights from torch's seed.

    Parameters
    ----------
    size
        ``"published"``, or ``"small"`` for a CPU.
    tokenizer
        Folder with CLIP's tokenizer; None for hashed words.
    source
        Upstream's code: the folders ``biomedparse`` and ``detectron2``, one per repository.
    """

    max_tokens = TOKENS

    def __init__(self, size: str, tokenizer: Path | None, source: Path = SOURCE) -> None:
        super().__init__()
        config = _config(source / "biomedparse" / "configs" / "biomedparse_inference.yaml", size)
        _import_upstream(source)
        self.backbone: Any = importlib.import_module("modeling.vision.backbone").build_backbone(config)
        with _language(config, tokenizer) as build:
            text = build(config)
        decoder = config["MODEL"]["DECODER"]
        switches = {"mask": True, "grounding": True, "spatial": True, "bbox": False, "visual": False, "audio": False}
        self.sem_seg_head: Any = importlib.import_module("modeling.body").build_xdecoder_head(
            config, self.backbone.output_shape(), text, extra={"task_switch": switches}
        )
        # The similarity to a list of class names, which upstream computes at every layer and no mask depends on.
        text.compute_similarity = lambda queries: queries[..., :0]
        for name, parameter in self.named_parameters():
            parameter.requires_grad = not name.startswith(_UNREACHED)
        for name, values in (("mean", config["INPUT"]["PIXEL_MEAN"]), ("deviation", config["INPUT"]["PIXEL_STD"])):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self._criterion, self._weights = _criterion(decoder, self.sem_seg_head.num_classes)

    def load_published(self, path: Path) -> None:
        """Load the published weights; every name must match, apart from modules that are not used."""
        state = read_state(path, "model", "state_dict")
        # A language model that upstream builds and saves but never uses, and what its training saves with the network.
        unread = ("sem_seg_head.predictor.lang_encoder.biomed_encoder.", "criterion.")
        state = {name: value for name, value in state.items() if not name.startswith(unread)}
        load_state(self, state, surplus=("dilation_kernel",))

    def groups(self, rate: float, decay: float, encoders: float) -> list[dict[str, Any]]:
        """Return the trained parameters as upstream groups them for its optimiser.

        Parameters
        ----------
        rate
            Learning rate of the pixel decoder and the predictor.
        decay
            Weight decay; norms and embeddings have none.
        encoders
            Fraction of the rate for the image and the text encoder.
        """
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for outer, module in self.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                slow = any(piece in f"{outer}.{name}" for piece in _ENCODERS)
                light = isinstance(module, (*_NORMS, nn.Embedding))
                if parameter.requires_grad:
                    key = (rate * encoders if slow else rate, 0.0 if light else decay)
                    groups.setdefault(key, []).append(parameter)
        return [{"params": found, "lr": lr, "weight_decay": wd} for (lr, wd), found in groups.items()]

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, begin and end included, before it is cut."""
        return len(self._text.tokenizer.tokenize(text)) + 2

    def encode_text(self, text: str) -> EncodedText:
        """Encode one text, once for any number of pictures."""
        with torch.no_grad():
            return self._encode_texts([text])

    def encode_image(self, pictures: np.ndarray) -> Features:
        """Encode pictures (B, 1, side, side), grey from 0 to 255, once for any number of texts."""
        with torch.no_grad():
            return self._encode_image(torch.from_numpy(pictures))

    def segment(self, features: Features, text: EncodedText) -> np.ndarray:
        """Return the logits (B, side, side) of one text in each of B pictures, from the query most similar to it."""
        with torch.no_grad():
            texts = EncodedText(*(part.expand(len(features.finest), *part.shape[1:]) for part in text))
            found = self._decode(features, texts)
            # Upstream multiplies by a positive temperature, which changes no maximum.
            queries = F.normalize(found["pred_captions"], dim=-1)
            best = (queries @ F.normalize(text.whole, dim=-1)[..., None])[..., 0].argmax(1)
            logits = found["pred_masks"][torch.arange(len(best), device=best.device), best]
            scaled = F.interpolate(logits[:, None].float(), scale_factor=4.0, mode="bilinear", align_corners=False)
        return np.asarray(scaled[:, 0].cpu().numpy())

    def forward(self, pictures: torch.Tensor, texts: list[str], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return upstream's grounding losses, weighted and summed over the layers of the predictor.

        Parameters
        ----------
        pictures
            (B, 1, side, side), grey from 0 to 255.
        texts
            One per picture.
        labels
            (B, side, side), 0 or 1.
        """
        encoded = self._encode_texts(texts)
        found = self._decode(self._encode_image(pictures), encoded)
        layers = [
            {"pred_gmasks": layer["pred_masks"].float(), "pred_gtexts": layer["pred_captions"].float()}
            for layer in (found, *found["aux_outputs"])
        ]
        targets = [
            {
                "grounding_masks": label[None].float(),
                "grounding_class_embs": whole[None].float(),
                "grounding_hash": [0],
                "grounding_task": "text",
            }
            for label, whole in zip(labels, encoded.whole, strict=True)
        ]
        # In bfloat16 the sampled points would be rounded to a few hundred positions.
        with torch.autocast(labels.device.type, enabled=False):
            losses = self._criterion(
                {**layers[0], "aux_outputs": layers[1:]}, targets, {"lang_logit": self._text.logit_scale}
            )
        return {
            part: torch.stack([losses[f"loss_grounding_{part}_{layer}"] for layer in range(len(layers))]).sum() * weight
            for part, weight in self._weights.items()
        }

    @property
    def _text(self) -> Any:
        return self.sem_seg_head.predictor.lang_encoder

    def _encode_texts(self, texts: list[str]) -> EncodedText:
        device = self.mean.device
        fed = self._text.tokenizer(texts, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt")
        ids, attention = fed["input_ids"].to(device), fed["attention_mask"].to(device)
        tokens, whole = self._text.forward_language_token((ids, attention))
        return EncodedText(tokens, attention == 0, whole)

    def _encode_image(self, pictures: torch.Tensor) -> Features:
        normalised = (pictures.to(self.mean.device).float() - self.mean) / self.deviation  # three equal channels
        finest, _, scales = self.sem_seg_head.pixel_decoder.forward_features(self.backbone(normalised))
        return Features(finest, scales)

    def _decode(self, features: Features, text: EncodedText) -> dict[str, Any]:
        # As upstream: padding is 0 and not attended to. One text per picture, since texts would attend to each other.
        tokens = text.tokens.masked_fill(text.padding[..., None], 0).transpose(0, 1)
        extra = {"grounding_tokens": tokens, "grounding_nonzero_mask": text.padding}
        found: dict[str, Any] = self.sem_seg_head.predictor(features.scales, features.finest, extra=extra, task="demo")
        return found


class _HashedWords:
    """Replaces CLIP's tokenizer."""

    vocab_size = _VOCABULARY

    def tokenize(self, text: str) -> list[int]:
        return word_ids(text, _VOCABULARY - 2)

    def __call__(self, texts: list[str], *, max_length: int, **_: Any) -> dict[str, torch.Tensor]:
        begin, end = _VOCABULARY - 2, _VOCABULARY - 1
        rows = [[begin, *self.tokenize(text)[: max_length - 2], end] for text in texts]
        ids = torch.tensor([row + [end] * (max_length - len(row)) for row in rows])
        attention = torch.tensor([[1] * len(row) + [0] * (max_length - len(row)) for row in rows])
        return {"input_ids": ids, "attention_mask": attention}


def _config(path: Path, size: str) -> dict[str, Any]:
    """Read upstream's configuration and give it a size."""
    if size not in ("published", "small"):
        raise ValueError(f"the network is published or small, not {size!r}")
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, values in _SMALL.items() if size == "small" else ():
        place = config["MODEL"]
        for name in filter(None, section.split(".")):
            place = place[name]
        place.update(values)
    return config


def _import_upstream(source: Path) -> None:
    """Make upstream's packages importable, without the ``__init__`` of those that import more than is used."""
    if "mpi4py" in sys.modules:
        return
    sys.path[:0] = [str(source / "biomedparse"), str(source / "detectron2")]
    sys.modules["mpi4py"] = types.ModuleType("mpi4py")
    sys.modules["mpi4py"].MPI = None  # type: ignore[attr-defined]
    modeling = types.ModuleType("modeling")
    modeling.__path__ = [str(source / "biomedparse" / "modeling")]
    detectron: Any = types.ModuleType("detectron2.modeling")
    detectron.__path__ = [str(source / "detectron2" / "detectron2" / "modeling")]
    sys.modules["modeling"], sys.modules["detectron2.modeling"] = modeling, detectron
    backbone = importlib.import_module("detectron2.modeling.backbone")
    detectron.Backbone, detectron.BACKBONE_REGISTRY = backbone.Backbone, backbone.BACKBONE_REGISTRY
    detectron.ShapeSpec = importlib.import_module("detectron2.layers").ShapeSpec


@contextlib.contextmanager
def _language(config: dict[str, Any], tokenizer: Path | None) -> Iterator[Any]:
    """Yield upstream's builder of the text encoder, without the download of a language model that is never used."""
    encoder: Any = importlib.import_module("modeling.language.vlpencoder")
    build: Any = importlib.import_module("modeling.language").build_language_encoder
    originals = encoder.AutoModel, encoder.build_tokenizer
    encoder.AutoModel = types.SimpleNamespace(from_pretrained=lambda _: nn.Identity())
    if tokenizer is None:
        encoder.build_tokenizer = lambda _: _HashedWords()
    config["MODEL"]["TEXT"]["PRETRAINED_TOKENIZER"] = str(tokenizer)
    try:
        yield build
    finally:
        encoder.AutoModel, encoder.build_tokenizer = originals


def _criterion(decoder: dict[str, Any], classes: int) -> tuple[Any, dict[str, float]]:
    """Return upstream's criterion for texts, (outputs, targets, extra) -> losses a layer, and the parts' weights.

    Raises
    ------
    RuntimeError
        Where torch reads a list of lists as one index array, which it says it will: the criterion indexes with them,
        and would then teach another query than the matched one without a word.
    """
    probe = torch.zeros(2, 1)
    probe[[[1], [0]]] = 1.0
    if probe.flatten().tolist() != [0.0, 1.0]:
        raise RuntimeError("this torch reads a list as an index array, upstream's criterion does not mean that")
    modules: Any = importlib.import_module("modeling.modules")
    matcher = modules.HungarianMatcher(
        cost_class=decoder["CLASS_WEIGHT"],
        cost_mask=decoder["MASK_WEIGHT"],
        cost_dice=decoder["DICE_WEIGHT"],
        num_points=decoder["TRAIN_NUM_POINTS"],
    )
    criterion = modules.SetCriterion(
        classes,
        matcher=matcher,
        weight_dict={},
        eos_coef=decoder["NO_OBJECT_WEIGHT"],
        top_x_layers={"grounding": decoder["TOP_GROUNDING_LAYERS"]},
        losses=["groundings"],
        num_points=decoder["TRAIN_NUM_POINTS"],
        oversample_ratio=decoder["OVERSAMPLE_RATIO"],
        importance_sample_ratio=decoder["IMPORTANCE_SAMPLE_RATIO"],
        grounding_weight={"text": decoder["GROUNDING"]["TEXT_WEIGHT"]},
    )
    weights = {"ce": decoder["GCLASS_WEIGHT"], "bce": decoder["GMASK_WEIGHT"], "dice": decoder["GDICE_WEIGHT"]}
    return criterion.forward_grounding, weights
