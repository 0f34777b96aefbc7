"""The frozen text encoder of CT-CLIP: one vector a text, from the published files or from a small random stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from groundbench_sdk.stand_in import word_ids
from groundbench_sdk.torch_weights import load_state, read_state
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's name
from transformers import BertConfig, BertModel, BertTokenizer

#: Tokens that the encoder accepts, begin and end included.
TOKENS = 512
#: Length of the vector of a text.
WIDTH = 512
#: Size of the stand-in's vocabulary, and its tokens for begin and end.
_VOCABULARY = 2048
_BEGIN, _END = 1, 2


class Language:
    """Encodes texts as CT-CLIP does: first token, projection, length 1. Each text is encoded once.

    Parameters
    ----------
    folder
        Configuration and vocabulary of the language model; None for the stand-in: one layer of the same architecture
        with weights from torch's seed, and hashed words for tokens.
    weights
        CT-CLIP's file; None with the stand-in.
    device
        Device of the encoder.
    """

    max_tokens = TOKENS

    def __init__(self, folder: Path | None, weights: Path | None, device: str) -> None:
        self._device = torch.device(device)
        self._known: dict[str, torch.Tensor] = {}
        if folder is None:
            config = BertConfig(vocab_size=_VOCABULARY, num_hidden_layers=1)
            self._tokenizer: Any = None
        else:
            config = BertConfig.from_pretrained(str(folder))
            self._tokenizer = BertTokenizer.from_pretrained(str(folder), do_lower_case=True)
        self._bert = BertModel(config)
        self._projection = nn.Linear(config.hidden_size, WIDTH, bias=False)
        if weights is not None:
            state = read_state(weights)
            load_state(self._bert, _part(state, "text_transformer."), surplus=("embeddings.position_ids",))
            load_state(self._projection, _part(state, "to_text_latent."))
        for part in (self._bert, self._projection):
            part.to(self._device).eval().requires_grad_(requires_grad=False)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, begin and end included."""
        return len(self._ids(text))

    def encode_text(self, text: str) -> torch.Tensor:
        """Return the vector of a text, (512,), float32, on the CPU."""
        if text not in self._known:
            ids = torch.tensor([self._ids(text)], device=self._device)
            with torch.no_grad():
                first = self._bert(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
                self._known[text] = F.normalize(self._projection(first), dim=-1)[0].cpu()
        return self._known[text]

    def _ids(self, text: str) -> list[int]:
        if self._tokenizer is None:
            return [_BEGIN, *word_ids(text, _VOCABULARY), _END]
        return list(self._tokenizer(text).input_ids)


def _part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the weights whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
