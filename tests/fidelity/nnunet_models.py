"""Experiments with VoxTell and nnInteractive, which stand on nnU-Net; ``experiments.py`` runs them."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import numpy as np
import torch
from theirs import ct, plugin, stored

# -- VoxTell -----------------------------------------------------------------------------------------------------------


def voxtell_axes(folder: Path) -> float:
    """Orientations, of 48, whose array from upstream's reader is another than ours."""
    from groundbench_sdk.grids import reorient_to
    from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient

    differ = 0
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[list(axes), range(3)] = np.array(signs) * [0.7, 0.8, 2.0]
            path, hu, affine = stored(folder, matrix, (5, 6, 7))
            theirs, _ = NibabelIOWithReorient().read_images([str(path)])
            differ += not np.array_equal(theirs[0], reorient_to("SAR", affine).apply(hu))
    return differ


def voxtell_plans(folder: Path) -> float:
    """Weights that differ between upstream's constructor and ours, from one made-up folder in the published layout."""
    plugin("voxtell")
    from model import Network, _layers
    from voxtell.inference.predictor import VoxTellPredictor

    names = ("conv_op", "norm_op", "nonlin")
    layers = _layers([32, 64, 128, 256, 320, 320])
    layers |= {name: f"{layers[name].__module__}.{layers[name].__name__}" for name in names}
    plan = {"architecture": {"arch_kwargs": layers, "_kw_requires_import": names}, "patch_size": [192] * 3}
    (folder / "plans.json").write_text(json.dumps({"configurations": {"3d_fullres": plan}}))
    ours = Network(folder / "plans.json", 192, 32, 2048, "cpu")
    (folder / "fold_0").mkdir()
    checkpoint = folder / "fold_0" / "checkpoint_final.pth"
    torch.save({"network_weights": ours.net.state_dict()}, checkpoint)
    theirs = VoxTellPredictor(str(folder), torch.device("cpu"), use_precomputed_embeddings=False)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.zero_()
    ours.load_published(checkpoint)
    mine, other = ours.net.state_dict(), theirs.network.state_dict()
    return len(mine.keys() ^ other.keys()) + sum(not torch.equal(mine[name], other[name]) for name in mine)


def voxtell_prompts(_: Path) -> float:
    """How far the logits of a text depend on which texts are asked together, in a random network."""
    plugin("voxtell")
    from model import Network

    torch.manual_seed(0)
    net = Network(None, 64, 4, 64, "cpu").eval().net
    image, vectors = torch.randn(1, 1, 64, 64, 64), torch.randn(1, 3, 2560)
    with torch.no_grad():
        together = net(image, vectors)
        alone = torch.cat([net(image, vectors[:, number : number + 1]) for number in range(3)], dim=1)
    assert together.std() > 0
    return float((together - alone).abs().max())


def voxtell_text(folder: Path) -> float:
    """Upstream's vectors of three texts, padded together, and ours, from one made-up language model of two layers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model
    from voxtell.inference.predictor import VoxTellPredictor

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|endoftext|>").save_pretrained(str(folder))  # noqa: S106
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32}
    Qwen3Model(Qwen3Config(vocab_size=512, hidden_size=2560, intermediate_size=256, **sizes)).save_pretrained(
        str(folder)
    )
    plugin("voxtell")
    from language import Language

    theirs = VoxTellPredictor.__new__(VoxTellPredictor)
    theirs.device, theirs.embedding_bank, theirs.max_text_length = torch.device("cpu"), None, 8192
    theirs._text_encoding_model = str(folder)
    theirs.text_backbone = None
    texts = ["Nodule, 5 mm, in the left lower lobe", "effusion", "Ground glass in BOTH upper lobes"]
    found = theirs.embed_text_prompts(texts)[0]
    ours = Language(folder, "cpu")
    return float((torch.stack([ours.encode_text(text) for text in texts]) - found).abs().max())


# -- nnInteractive -----------------------------------------------------------------------------------------------------


def nninteractive_session(folder: Path) -> float:
    """Voxels that differ between upstream's loader and ours, on one made-up folder in the published layout."""
    from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

    plugin("nninteractive")
    from session import made_up_files, open_session

    params = {"configuration": "3d_fullres_ps192_bs24", "patch": 64, "features": 2, "autozoom": False}
    torch.manual_seed(0)
    made_up_files(folder, params)
    ours = open_session(folder, params, device="cpu", threads=2)
    (folder / "fold_0").mkdir()
    saved = {"network_weights": ours.network.state_dict(), "trainer_name": "nnInteractiveTrainer_stub"}
    torch.save(saved | {"init_args": {"configuration": params["configuration"]}}, folder / "checkpoint_final.pth")
    os.link(folder / "checkpoint_final.pth", folder / "fold_0" / "checkpoint_final.pth")
    (folder / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}})
    )
    ours = open_session(folder, params, device="cpu", threads=2)
    theirs = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=2, do_autozoom=False)
    theirs.initialize_from_trained_model_folder(str(folder))
    masks = []
    for session in (ours, theirs):
        found = np.zeros((12, 60, 64), np.uint8)
        np.random.seed(0)  # noqa: NPY002 - the generator that upstream draws from
        session.set_image(ct(found.shape).astype(np.float32)[None])
        session.set_target_buffer(found)
        session.add_bbox_interaction([[5, 6], [2, 58], [4, 60]], include_interaction=True)  # larger than a patch allows
        masks.append(found > 0)
    assert masks[0].any()
    return int((masks[0] != masks[1]).sum())
