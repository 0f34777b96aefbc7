"""The true nnInteractive session, without its loader.

The loader unpickles the checkpoint without limits. The rest of the session is upstream's: how a CT is standardised, how
prompts are drawn, the network, zooming out where a mask reaches the border, refinement.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from groundbench_sdk.records import Rejected
from groundbench_sdk.torch_weights import load_state, read_state
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession
from nnInteractive.trainer.nnInteractiveTrainer import nnInteractiveTrainer_stub
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

PLANS, METADATA, CHECKPOINT = "plans.json", "inference_session_class.json", "checkpoint_final.pth"
#: Channels of the six stages, in units of the first one's (nnU-Net's preset ResEnc-L).
_WIDENING = (1, 2, 4, 8, 10, 10)


def open_session(folder: Path, params: dict[str, Any], *, device: str, threads: int) -> Any:
    """Return a session that is ready for a CT.

    Parameters
    ----------
    folder
        The model's plans and metadata, and its checkpoint, by their published names. Without a checkpoint the weights
        are random, from torch's seed.
    params
        Parameters of the variant.
    device, threads
        Where it computes, and CPU threads.

    Raises
    ------
    Rejected
        When the plans have another patch or width than `params`, or the checkpoint does not fit them.
    """
    session = nnInteractiveInferenceSession(
        torch.device(device), torch_n_threads=threads, do_autozoom=params["autozoom"], enable_undo=False
    )
    torch.backends.cudnn.benchmark = False  # upstream's choice of algorithms by the clock differs between runs
    # What upstream's loader reads beside the checkpoint; only it knows both forms of that file.
    capability, _, thickness, decay, padding = session._load_capability_and_runtime_defaults(str(folder))  # noqa: SLF001
    session._apply_capability(capability)  # noqa: SLF001
    plans = PlansManager(str(folder / PLANS))
    configuration = plans.get_configuration(params["configuration"])
    found = [configuration.patch_size, configuration.network_arch_init_kwargs["features_per_stage"][0]]
    if found != [[params["patch"]] * 3, params["features"]]:
        raise Rejected(f"{PLANS} has patch and features {found}, the variant {params['patch']}, {params['features']}")
    network = nnInteractiveTrainer_stub.build_network_architecture(
        plans, configuration, 1 + session.num_interaction_channels, 2, enable_deep_supervision=False
    )
    if (folder / CHECKPOINT).exists():
        load_state(network, read_state(folder / CHECKPOINT, "network_weights"))
    session.preferred_scribble_thickness, session.interaction_decay, session.pad_mode_data = thickness, decay, padding
    session.plans_manager, session.configuration_manager = plans, configuration
    session.network = network.to(session.device).eval()
    return session


def made_up_files(folder: Path, params: dict[str, Any]) -> None:
    """Write plans and metadata in the published layout, for a network of this patch and width."""
    features = [params["features"] * factor for factor in _WIDENING]
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
        "arch_kwargs": {
            "n_stages": 6,
            "features_per_stage": features,
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * 6,
            "strides": [[1, 1, 1], *[[2, 2, 2]] * 5],
            "n_blocks_per_stage": [1, 3, 4, 6, 6, 6],
            "n_conv_per_stage_decoder": [1] * 5,
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configuration = {"patch_size": [params["patch"]] * 3, "architecture": architecture}
    plans = {"configurations": {params["configuration"]: configuration}}
    metadata = {"inference_class": nnInteractiveInferenceSession.__name__, "point_radius": 4}
    for name, content in ((PLANS, plans), (METADATA, metadata)):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
