"""The frozen language model of VoxTell: one vector a text, from the published files or from a small random stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from groundbench_sdk.stand_in import word_ids
from qwen import check_configuration
from voxtell.utils.text_embedding import last_token_pool, wrap_with_instruction

#: Length of the vector of a text, as VoxTell's projection expects it.
WIDTH = 2560
#: Tokens that upstream reads of a prompt, instruction included.
TOKENS = 8192
#: Size of the stand-in's vocabulary.
_VOCABULARY = 2048


class Language:
    """Encodes texts as upstream does: instruction before, lower case, last token, no normalisation.

    Upstream keeps vectors in half precision after the first use, so that the second answer to a text differs from the
    first; here each is computed once and kept in full precision.

    Parameters
    ----------
    folder
        The files of the language model; None for the stand-in: one layer of the same architecture with weights from
        torch's seed, and hashed words for tokens.
    device
        Device of the language model.
    """

    max_tokens = TOKENS

    def __init__(self, folder: Path | None, device: str) -> None:
        from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3Model

        self.device = torch.device(device)
        self._known: dict[str, torch.Tensor] = {}
        self._tokenizer: Any = None
        if folder is None:
            self._backbone: Any = _stand_in()
        else:
            check_configuration(folder)
            self._tokenizer = Qwen2TokenizerFast.from_pretrained(str(folder), padding_side="left")
            config = Qwen3Config.from_pretrained(str(folder))
            dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
            self._backbone = Qwen3Model.from_pretrained(str(folder), config=config, dtype=dtype, use_safetensors=True)
        self._backbone.eval()

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, instruction included."""
        return len(self._ids(text))

    def encode_text(self, text: str) -> torch.Tensor:
        """Return the vector of a text, (2560,), float32, on the CPU."""
        key = text.lower()
        if key not in self._known:
            self._backbone.to(self.device)
            with torch.inference_mode():
                ids = torch.tensor([self._ids(key)], device=self.device)
                attention = torch.ones_like(ids)
                last = self._backbone(input_ids=ids, attention_mask=attention).last_hidden_state
                found = last_token_pool(last, attention)[0].float().cpu()
            self._known[key] = found.clone()
        return self._known[key]

    def offload(self) -> None:
        """Move the language model off the GPU; the next new text moves it back."""
        if self.device.type == "cuda":
            self._backbone.to("cpu")
            torch.cuda.empty_cache()

    def _ids(self, text: str) -> list[int]:
        (wrapped,) = wrap_with_instruction([text.lower()])
        if self._tokenizer is None:
            return word_ids(wrapped, _VOCABULARY)
        return list(self._tokenizer(wrapped).input_ids)


def _stand_in() -> Any:
    from transformers import Qwen3Config, Qwen3Model

    return Qwen3Model(
        Qwen3Config(
            vocab_size=_VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=256,
            num_hidden_layers=1,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
        )
    )
