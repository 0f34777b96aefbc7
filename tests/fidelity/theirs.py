"""What experiments share: excerpts of upstream's files, a plugin's modules, and CTs that are made up."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = Path(sys.argv[1])
_TURN = np.radians(12)
GRIDS = {
    "RAS": np.diag([0.9, 1.2, 2.5]),
    "LPS": np.diag([-0.9, -1.2, 2.5]),
    "S first": np.array([[0, 0.9, 0], [0, 0, 1.2], [2.5, 0, 0]]),
    "tilted": np.array([[1, 0, 0], [0, np.cos(_TURN), -np.sin(_TURN)], [0, np.sin(_TURN), np.cos(_TURN)]])
    @ np.diag([0.9, 1.2, 2.5]),
}


def excerpt(repository: str, path: str, *names: str, **known: Any) -> SimpleNamespace:
    """Return functions and classes of a file of upstream's, executed without the rest of it."""
    tree = ast.parse((UPSTREAM / repository / path).read_text(encoding="utf-8"))
    wanted = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign) and _named(node, names)
    ]
    exec(compile(ast.Module(wanted, []), path, "exec"), known)  # noqa: S102 - the pinned file of upstream's
    return SimpleNamespace(**{name: known[name] for name in names})


def _named(node: Any, names: tuple[str, ...]) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node]
    return any(getattr(target, "id", getattr(target, "name", None)) in names for target in targets)


def plugin(name: str) -> None:
    """Put the modules of a plugin first on the path."""
    sys.path.insert(0, str(ROOT / "plugins" / name))


def ct(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return a chest-like volume, int16: air around a body with a dense lesion, and noise."""
    places = np.stack(np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij"))
    hu = np.where((places**2).sum(0) < 0.8, -820.0, -1000.0)
    hu[((places - 0.2) ** 2).sum(0) < 0.05] = 60
    hu[np.abs(places[1]) > 0.75] = 40
    return np.rint(hu + np.random.default_rng(seed).normal(0, 25, shape)).astype(np.int16)


def stored(folder: Path, matrix: np.ndarray, shape: tuple[int, ...]) -> tuple[Path, np.ndarray, np.ndarray]:
    affine = np.eye(4)
    affine[:3, :3] = matrix
    path, hu = folder / "ct.nii.gz", ct(shape)
    nib.save(nib.Nifti1Image(hu, affine), path)
    return path, hu, affine
