"""Load published weights without trusting their pickles, and require that every name matches the model."""

from __future__ import annotations

import argparse
import atexit
import shutil
import tempfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Iterable, Sequence

import numpy as np
import torch
from torch import nn

from groundbench_sdk.records import Rejected

#: Prefixes that wrappers such as DistributedDataParallel leave before every name.
_PREFIXES = ("module.", "model.")


def read_state(path: Path, *keys: str) -> dict[str, torch.Tensor]:
    """Read the weights of a checkpoint.

    Only tensors, plain containers, and what trainers keep beside them (scalars of numpy, paths, parsed arguments) are
    unpickled; any other object in the file is an error.

    Parameters
    ----------
    path
        A file that ``torch.save`` wrote.
    keys
        Where the weights may be inside it, first match; without a match the file itself is taken as the weights.

    Returns
    -------
    dict of str and Tensor
        By name, on the CPU, without the prefixes that wrappers leave.

    Raises
    ------
    Rejected
        When the file does not exist, contains objects other than data, or does not contain weights.
    """
    if not path.is_file():
        raise Rejected(f"the weights {path.name} do not exist")
    try:
        with torch.serialization.safe_globals(_plain_objects()):
            raw: Any = torch.load(str(path), map_location="cpu", weights_only=True)
    except Exception as error:
        raise Rejected(f"the weights {path.name} cannot be read as plain data: {_reason(error)}") from error
    for key in keys:
        if isinstance(raw, dict) and key in raw:
            raw = raw[key]
            break
    named = raw.items() if isinstance(raw, dict) else ()
    state = {name: value for name, value in named if isinstance(name, str) and isinstance(value, torch.Tensor)}
    if not state:
        raise Rejected(f"the file {path.name} does not contain named weights")
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name[len(prefix) :]: value for name, value in state.items()}
    return state


def load_state(
    module: nn.Module, state: dict[str, torch.Tensor], *, surplus: Iterable[str] = (), absent: Iterable[str] = ()
) -> None:
    """Load `state` into `module`; a name that does not match one to one is an error.

    Parameters
    ----------
    module
        The model.
    state
        Weights by name.
    surplus
        Suffixes of names that `state` may have and the model does not.
    absent
        Prefixes of names that the model may have and `state` does not; they keep their values.

    Raises
    ------
    Rejected
        When they do not match; the message states how many do, and names those that do not.
    """
    mine = module.state_dict()
    ends, beginnings = tuple(surplus), tuple(absent)
    unknown = [name for name in state if name not in mine and not name.endswith(ends or ("\0",))]
    missing = [name for name in mine if name not in state and not name.startswith(beginnings or ("\0",))]
    other = [name for name in state if name in mine and state[name].shape != mine[name].shape]
    if unknown or missing or other:
        matching = len(set(mine) & set(state)) - len(other)
        shown = _shown(unknown, missing, other)
        raise Rejected(f"the weights do not fit: of {len(mine)} names {matching} match; {shown}")
    module.load_state_dict({name: value for name, value in state.items() if name in mine}, strict=False)


def _shown(unknown: Sequence[str], missing: Sequence[str], other: Sequence[str]) -> str:
    parts = (("unknown", unknown), ("missing", missing), ("of another shape", other))
    return ", ".join("{} {}: {}".format(len(names), what, ", ".join(names[:3])) for what, names in parts if names)


def _plain_objects() -> list[Any]:
    """Return what may be unpickled beside tensors: it holds values and runs nothing.

    Scalars of numpy under their names in numpy 1 and 2; paths, of whatever system, as paths that touch no file; the
    arguments of a command.
    """
    scalar = np.float64(0).__reduce__()[0]
    kinds = (np.bool_, np.float16, np.float32, np.float64, np.int32, np.int64)
    scalars = [(scalar, module + ".multiarray.scalar") for module in ("numpy.core", "numpy._core")]
    paths = [
        (kind, f"{module}.{name}")
        for module in ("pathlib", "pathlib._local")
        for kind, name in ((PurePosixPath, "PosixPath"), (PureWindowsPath, "WindowsPath"))
    ]
    return [*scalars, np.dtype, *(type(np.dtype(kind)) for kind in kinds), *paths, argparse.Namespace]


def _reason(error: Exception) -> str:
    """Return what torch found, without its advice to trust the file all the same."""
    said = [line.strip() for line in str(error).partition("WeightsUnpickler error:")[2].splitlines()]
    found: str = next(filter(None, said or str(error).splitlines()), type(error).__name__)
    return found.partition(" by default. ")[0]


def link_files(weights: Path, prefix: str, folder: Path | None = None) -> Path:
    """Link the files of one published folder, under their own names, into a folder of their own.

    Parameters
    ----------
    weights
        Folder with files named ``<prefix><name>``.
    prefix
        Prefix of the files to link.
    folder
        A folder of this process alone. None: a new temporary one, which is removed when the process ends.

    Returns
    -------
    Path
        The folder, with links named ``<name>``.
    """
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="groundbench-"))
        atexit.register(shutil.rmtree, str(folder), ignore_errors=True)
    for path in sorted(weights.glob(prefix + "*")):
        (folder / path.name[len(prefix) :]).symlink_to(path)
    return folder
