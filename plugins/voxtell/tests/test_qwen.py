"""The files of the language model are data: what they name as code, or as another model, is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from groundbench_sdk.records import Rejected

ROOT = Path(__file__).resolve().parents[1]
CONFIG = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_size": 2560, "rope_scaling": None}
TOKENIZER = {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {"151643": {"content": "<|endoftext|>"}}}


@pytest.fixture
def check(load_plugin: Any, tmp_path: Path) -> Any:
    """Return a function that writes the two files and has them checked."""
    module = load_plugin(ROOT, "qwen")

    def call(config: Any = CONFIG, tokenizer: Any = TOKENIZER) -> None:
        for name, content in (("config.json", config), ("tokenizer_config.json", tokenizer)):
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        module.check_configuration(tmp_path)

    return call


def test_the_published_kind_of_files_is_taken(check: Any) -> None:
    """Sizes, names of architectures and tokens are data; so is a note of older releases of the library."""
    check()
    check(CONFIG | {"_attn_implementation_autoset": True})


@pytest.mark.parametrize(
    "more",
    [
        {"auto_map": {"AutoModel": "modeling.Mine"}},
        {"_attn_implementation_internal": "owner/kernel"},
        {"attn_implementation": "owner/kernel"},
        {"_experts": [{"text_config": {"auto_map": {"AutoConfig": "owner/name--c.C"}}}]},
        {"keypoint_detector_config": {"trust_remote_code": True}},
        {"quantization_config": {"quant_method": "custom"}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_code_that_a_file_names_is_refused(check: Any, more: dict[str, Any]) -> None:
    """In either file, at any depth."""
    with pytest.raises(Rejected, match="names code to run"):
        check(CONFIG | more)
    with pytest.raises(Rejected, match=r"tokenizer_config\.json names code"):
        check(tokenizer=TOKENIZER | more)


@pytest.mark.parametrize("kind", ["lightglue", "qwen3_moe", "Qwen3", "", None, ["qwen3"]])
def test_another_architecture_is_refused(check: Any, kind: Any) -> None:
    """Also one of a similar name, or none."""
    with pytest.raises(Rejected, match="architecture"):
        check(CONFIG | {"model_type": kind})


@pytest.mark.parametrize("content", ["", "[]", "{", "null"])
def test_what_is_not_a_json_object_is_refused(check: Any, content: str) -> None:
    """With the file's name, not with a traceback of the library."""
    with pytest.raises(Rejected, match=r"^config\.json"):
        check(content)
    with pytest.raises(Rejected, match=r"^tokenizer_config\.json"):
        check(tokenizer=content)


def test_no_plugin_lets_a_file_choose_the_class() -> None:
    """The library's Auto classes read from a file which class to build: no adapter uses one."""
    for path in ROOT.parent.glob("*/*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import Auto" not in text, path
        assert ", Auto" not in text, path
