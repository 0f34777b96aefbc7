"""The published configuration of the language model, read as data: no file of it chooses what code runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from groundbench_sdk.records import Rejected

#: The only architecture that is built, whatever the files name.
MODEL_TYPE = "qwen3"
#: Entries by which transformers takes classes or kernels from elsewhere, or changes how weights are read.
_CHOOSE_CODE = ("auto_map", "attn_implementation", "trust_remote_code", "quantization_config", "custom_pipelines")
#: Written by older releases of transformers: whether the kernel was chosen by the library.
_HARMLESS = ("_attn_implementation_autoset",)


def check_configuration(folder: Path) -> None:
    """Refuse files of a language model that name code, or another architecture than Qwen3.

    Parameters
    ----------
    folder
        Holds ``config.json`` and ``tokenizer_config.json``.

    Raises
    ------
    Rejected
        When a file is missing, is not a JSON object, or names what must not be chosen by a file.
    """
    stated = _read(folder / "config.json")
    if stated.get("model_type") != MODEL_TYPE:
        raise Rejected(f"config.json is of the architecture {stated.get('model_type')!r}, not {MODEL_TYPE!r}")
    for name, content in (("config.json", stated), ("tokenizer_config.json", _read(folder / "tokenizer_config.json"))):
        for key in _keys(content):
            if any(word in key for word in _CHOOSE_CODE) and key not in _HARMLESS:
                raise Rejected(f"{name} names code to run ({key}): this model is built from transformers' own classes")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Rejected(f"{path.name} of the language model cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise Rejected(f"{path.name} of the language model is not a JSON object")
    return content


def _keys(value: Any) -> list[str]:
    """Return the keys of all objects inside a value, however deep."""
    found, left = [], [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            found += list(item)
            left += item.values()
        elif isinstance(item, list):
            left += item
    return found
