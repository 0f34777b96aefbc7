"""Runs inside an image: files made up in the layout of the published ones, and loaded as these are, twice at once.

``--weights random`` leaves out what only released files reach: linking a tokenizer's files, the tokenizer's own code,
upstream's names inside the checkpoint, weights that depend on the size of the input. Here a network with random weights
is saved as its authors save theirs, at the size that is declared, with what they keep beside it; then two processes
that start at the same moment load it through the adapter, and encode texts. Prints one JSON object.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from groundbench_sdk import Job

FILES = Path("/files")
TEXTS = ("Nodule in the right upper lobe, 6 mm", "Ground-glass opacities (both lower lobes).")
WORDS = [*"abcdefghijklmnopqrstuvwxyz0123456789", "nodule", "lobe", "right", "##e", "##s", ",", ".", "-", "(", ")"]
#: Published for one size of the input, and fitted to that of the variant when it is loaded.
SIZED = "segvol"
SCRATCH = Path("/tmp")  # noqa: S108 - a container's own


def _job(asked: dict, mode: str) -> Job:
    return Job("predict", asked["model"], asked["variant"], 0, ["cpu"], 1, asked["params"], FILES, mode)


def _adapter(asked: dict) -> Any:
    sys.path.insert(0, "/opt/plugin")
    module, _, name = asked["adapter"].partition(":")
    return getattr(importlib.import_module(module), name)()


# -- tokenizers, small but of the published kinds ---------------------------------------------------------------------


def _wordpiece(prefix: str) -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (FILES / f"{prefix}vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary))
    config = {"vocab_size": len(vocabulary), "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    (FILES / f"{prefix}config.json").write_text(json.dumps({"model_type": "bert", **config}))


def _mpnet(prefix: str) -> None:
    """BioLORD's: MPNet's tokenizer, whose marks the authors' file renames to BERT's."""
    from transformers import MPNetConfig, MPNetTokenizerFast

    vocabulary = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "<s>", "<pad>", "</s>", *WORDS, "<mask>"]
    (FILES / f"{prefix}vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary))
    marks = {"cls_token": "[CLS]", "bos_token": "[CLS]", "sep_token": "[SEP]", "eos_token": "[SEP]"}
    tokenizer = MPNetTokenizerFast(str(FILES / f"{prefix}vocab.txt"), **marks, pad_token="[PAD]", unk_token="[UNK]")  # noqa: S106
    folder = SCRATCH / "tokenizer"
    tokenizer.save_pretrained(str(folder))
    MPNetConfig(vocab_size=len(tokenizer), num_hidden_layers=12).save_pretrained(str(folder))
    _take(folder, prefix)


def _qwen(prefix: str) -> None:
    """Two layers of the published width in two files, as published, and a byte-level tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder = SCRATCH / "tokenizer"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|endoftext|>").save_pretrained(str(folder))  # noqa: S106
    config = Qwen3Config(
        vocab_size=512, hidden_size=2560, intermediate_size=512, num_hidden_layers=2, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128,
    )  # fmt: skip
    Qwen3Model(config).to(torch.bfloat16).save_pretrained(str(folder), max_shard_size="100MB")
    _take(folder, prefix)


def _plans(asked: dict) -> dict[str, Any]:
    """Return VoxTell's plans: the layers of its U-Net by name."""
    from model import _WIDENING, _layers

    layers = _layers([asked["params"]["features"] * factor for factor in _WIDENING])
    classes = [name for name, value in layers.items() if isinstance(value, type)]
    layers |= {name: f"{layers[name].__module__}.{layers[name].__qualname__}" for name in classes}
    layers |= {"dropout_op": None, "dropout_op_kwargs": None}
    architecture = {"arch_kwargs": layers, "_kw_requires_import": [*classes, "dropout_op"]}
    return {
        "configurations": {"3d_fullres": {"patch_size": [asked["params"]["patch"]] * 3, "architecture": architecture}}
    }


def _take(folder: Path, prefix: str) -> None:
    for path in folder.iterdir():
        shutil.move(str(path), str(FILES / f"{prefix}{path.name}"))


# -- files as their authors save them ---------------------------------------------------------------------------------


def _scalars() -> dict[str, Any]:
    """Return what trainers keep beside the weights."""
    return {"epoch": np.int64(3), "lr": np.float64(1e-4), "optimizer": {"state": {}, "param_groups": []}}


def _wrapped(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in state.items()}


def _biomedparse(network: Any) -> dict[str, Any]:
    unread = {"sem_seg_head.predictor.lang_encoder.biomed_encoder.x": torch.ones(2), "dilation_kernel": torch.ones(3)}
    return {"biomedparse_v1.pt": {**network.state_dict(), **unread, "criterion.empty_weight": torch.ones(2)}}


def _biomedparse_v2(network: Any) -> dict[str, Any]:
    buffers = dict(network.model.named_buffers())
    state = {**network.model.state_dict(), **buffers}
    return {"biomedparse_v2.ckpt": {"state_dict": {**_wrapped(state, "model."), "loss_function.x": torch.ones(1)}}}


def _sat(network: Any) -> dict[str, Any]:
    text = {**network.text.state_dict(), "atlas_tower.x": torch.ones(1), "temperature": torch.ones(1)}
    ids = {"text_tower.biolord.embeddings.position_ids": torch.arange(514)[None]}
    return {
        "SAT_Pro.pth": {"model_state_dict": _wrapped(network.vision.state_dict(), "module."), **_scalars()},
        "text_encoder.pth": {"model_state_dict": _wrapped({**text, **ids}, "module."), **_scalars()},
    }


def _segvol(network: Any) -> dict[str, Any]:
    ids = {"text_encoder.clip_text_model.text_model.embeddings.position_ids": torch.arange(77)[None]}
    return {"SegVol_v1.pth": {"model": _wrapped({**network.segvol.state_dict(), **ids}, "module."), **_scalars()}}


def _medsam2_text(network: Any) -> dict[str, Any]:
    state = {name: value for name, value in network.state_dict().items() if not name.startswith("text_projection.")}
    return {"MedSAM2_latest.pt": {"model": state}}


def _ct_clip() -> None:
    """CT-CLIP's own file, which is read while the network is built."""
    from transformers import BertConfig, BertModel

    bert = BertModel(BertConfig.from_pretrained(str(FILES / "cxr-bert--config.json")))
    state = {**_wrapped(bert.state_dict(), "text_transformer."), "to_text_latent.weight": torch.randn(512, 768)}
    state |= {"text_transformer.embeddings.position_ids": torch.arange(512)[None], "temperature": torch.ones(1)}
    torch.save({**state, "visual_transformer.x": torch.ones(2)}, str(FILES / "CT-CLIP_v2.pt"))


def _voxtell(network: Any) -> dict[str, Any]:
    return {"checkpoint_final.pth": {"network_weights": network.net.state_dict(), **_scalars()}}


MAKERS = {
    "biomedparse": _biomedparse,
    "biomedparse-v2": _biomedparse_v2,
    "sat": _sat,
    "segvol": _segvol,
    "medsam2-text": _medsam2_text,
    "voxtell": _voxtell,
}


def _build(asked: dict, adapter: Any) -> Any:
    """Write the tokenizer's files, and return the network that is built with them, random."""
    from groundbench_sdk.torch_weights import link_files

    adapter.job, adapter.params, adapter.device = _job(asked, "pinned"), asked["params"], "cpu"
    torch.manual_seed(0)
    prefix = adapter.tokenizer_files
    if asked["model"] == "sat":
        _mpnet(prefix)
    elif asked["model"] == "medsam2-text":
        _wordpiece(prefix)
        _ct_clip()
    elif asked["model"] == "voxtell":
        _qwen(prefix)
        (FILES / _named(asked, "plans.json")).write_text(json.dumps(_plans(asked)))
    elif prefix:  # CLIP's true tokenizer
        for name in ("vocab.json", "merges.txt"):
            shutil.copyfile(f"/clip/{name}", FILES / f"{prefix}{name}")
    return adapter.build(link_files(FILES, prefix) if prefix else None)


def _named(asked: dict, end: str) -> str:
    return next(name for name in asked["weights"] if name.endswith(end))


def _make(asked: dict) -> None:
    """Write every file of a variant, and the digest of what the network in them has."""
    adapter = _adapter(asked)
    if asked["model"] in MAKERS:
        made = dict(asked, params={**asked["params"], **({"depth": 32} if asked["model"] == SIZED else {})})
        network = _build(made, adapter)
        files = MAKERS[asked["model"]](network)
        if asked["model"] == "voxtell":
            files = {_named(asked, name): content for name, content in files.items()}
    elif asked["model"] == "nninteractive":
        from session import CHECKPOINT, made_up_files

        adapter.load(_job(asked, "random"))
        network = adapter.session.network
        (SCRATCH / "plans").mkdir()
        made_up_files(SCRATCH / "plans", asked["params"])
        _take(SCRATCH / "plans", "nninteractive--")
        files = {f"nninteractive--{CHECKPOINT}": {"network_weights": network.state_dict(), **_scalars()}}
    else:  # a predictor of films
        adapter.load(_job(asked, "random"))
        network = adapter.predictor
        files = {asked["params"]["checkpoint"]: {"model": network.state_dict()}}
    for name, content in files.items():
        torch.save(content, str(FILES / name))
    for path in FILES.iterdir():
        if path.name not in asked["weights"]:  # transformers writes more than is published, or read
            path.unlink()
    (SCRATCH / "digest").write_text(_digest(network))


# -- loading ----------------------------------------------------------------------------------------------------------


def _digest(module: Any) -> str:
    """Return the SHA-256 of all weights that are in the published files: MedSAM2 Text adds a layer of its own."""
    found = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if name.startswith("text_projection."):
            continue
        found.update(name.encode() + value.detach().float().numpy().tobytes())
    return found.hexdigest()


def _load(asked: dict) -> dict[str, Any]:
    """Load the files when the other process is ready, too."""
    adapter = _adapter(asked)
    (SCRATCH / f"ready-{os.environ['RANK']}").touch()
    while not all((SCRATCH / f"ready-{rank}").exists() for rank in range(2)):
        time.sleep(0.001)
    began = time.monotonic()
    adapter.load(_job(asked, "pinned"))
    holders = (adapter, "network"), (adapter, "predictor"), (getattr(adapter, "session", None), "network")
    network = next(getattr(holder, name) for holder, name in holders if hasattr(holder, name))
    found = {"seconds": time.monotonic() - began, "digest": _digest(network), "tokens": []}
    found["parameters"] = sum(value.numel() for value in network.parameters())
    encoder = adapter.text_encoder if hasattr(adapter, "text_encoder") else None
    for text in TEXTS if encoder is not None else ():
        kept, _ = adapter.shorten(text)
        found["tokens"].append(encoder.count_tokens(kept))
    return found


def check(asked: dict) -> dict[str, Any]:
    """Make the files, load them in two processes at once, and return what these found."""
    script = [sys.executable, __file__]
    subprocess.run([*script, "make", json.dumps(asked)], check=True)
    sizes = {path.name: path.stat().st_size for path in sorted(FILES.iterdir())}
    ranks = [
        subprocess.Popen(
            [*script, "load", json.dumps(asked)],
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [rank.communicate()[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        return {"failed": [f"rank {number} ended with {rank.returncode}" for number, rank in enumerate(ranks)]}
    first, second = (json.loads(text.splitlines()[-1]) for text in said)
    made = (SCRATCH / "digest").read_text()
    same = first["digest"] == second["digest"] and (asked["model"] == SIZED or first["digest"] == made)
    if set(sizes) != set(asked["weights"]):
        return {"failed": [f"made {sorted(sizes)}, declared are {sorted(asked['weights'])}"]}
    return {**first, "files": sizes, "same": same, "seconds": max(first["seconds"], second["seconds"])}


if __name__ == "__main__":
    if sys.argv[1] == "make":
        _make(json.loads(sys.argv[2]))
    elif sys.argv[1] == "load":
        sys.stdout.write(json.dumps(_load(json.loads(sys.argv[2]))) + "\n")
    else:
        sys.stdout.write(json.dumps(check(json.loads(sys.argv[1]))) + "\n")
