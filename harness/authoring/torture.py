"""A data set of small CTs in every form that the contract allows: nothing beyond the contract is promised to a model.

All but a few hold the same voxels, those of one phantom, so that a model has to answer them alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import numpy.typing as npt

from harness.phantom.case import make_case

#: How the masks of a case are held against those of the plain one.
Held = Literal["same", "turned", "alone"]

_APART = ("Small right pleural effusion", "Centrilobular emphysema", "A nodule", "Ground-glass opacity", "Pneumothorax")
_ODD = ("Nodule\nin the right\r\nupper lobe", "عقيدة في الفص العلوي الأيمن", "nodule " * 1143, "Nodule", "Nodule")
_ODD_WORDS = "texts with line breaks, from right to left, of 8,000 letters, and twice the same"

#: Voxels of the phantom that are kept along each axis, so that a slow model takes seconds.
_KEPT = (96, 80, 48)


@dataclass(frozen=True)
class Form:
    """One CT, its findings, and the form in which it is stored.

    Attributes
    ----------
    words
        The form, for people.
    ct
        (H, W, D), Hounsfield units.
    truth
        (F, H, W, D), entities from 1.
    affine
        Voxel-to-world matrix.
    texts
        The findings.
    held
        Whether its masks have to be those of the plain case, the same after turning back, or any.
    steady
        Whether its prompts are the same under every name of the case: a box that does not fill the CT is drawn anew.
    back
        Turns a mask of this form into the plain one's array order.
    store
        Writes the CT.
    suffix
        Of the file.
    """

    words: str
    ct: npt.NDArray[np.int16]
    truth: npt.NDArray[np.uint8]
    affine: npt.NDArray[np.float64]
    texts: tuple[str, ...]
    held: Held = "same"
    steady: bool = True
    back: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] = lambda mask: mask
    store: Callable[[Form, Path], None] = field(default=lambda form, path: _save(form.ct, form.affine, path))
    suffix: str = ".nii.gz"


def _save(
    ct: npt.NDArray[Any],
    affine: npt.NDArray[np.float64],
    path: Path,
    *,
    slope: float = 1,
    inter: float = 0,
    **kind: Any,
) -> None:
    """Write voxels so that value x slope + inter is what they were."""
    stored = ct if (slope, inter) == (1, 0) else (ct - inter) / slope
    dtype = np.dtype(kind.get("dtype", np.int16))
    header = kind.get("header", nib.Nifti1Header)(endianness=kind.get("endian", "<"))
    image = kind.get("image", nib.Nifti1Image)(stored.astype(dtype), affine, header)
    image.set_data_dtype(dtype)
    image.header.set_slope_inter(slope, inter)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def forms(*, boxed: bool) -> Iterator[Form]:
    """Yield every form; the plain one first.

    Parameters
    ----------
    boxed
        For a model that is prompted with boxes: most findings fill the CT, so that their boxes are always the same.
    """
    drawn = make_case(0, 0, "small")
    part = tuple(slice((n - kept) // 2, (n - kept) // 2 + kept) if n > kept else slice(None)
                 for n, kept in zip(drawn.grid.shape, _KEPT, strict=True))  # fmt: skip
    ct = np.ascontiguousarray(drawn.ct[part])
    numbers = [n for n in range(len(drawn.texts)) if (drawn.finding[part] == n + 1).any()][:2]
    drawn_truth = np.stack(
        [np.where(drawn.finding[part] == n + 1, drawn.entity[part], 0).astype(np.uint8) for n in numbers]
    )
    truth = _corners(np.zeros_like(drawn_truth)) if boxed else drawn_truth
    affine = drawn.grid.affine.astype(np.float32).astype(np.float64)  # as NIfTI-1 keeps it, too
    plain = Form("16-bit integers", ct, truth, affine, tuple(drawn.texts[n] for n in numbers))
    yield plain

    def stored(words: str, suffix: str = ".nii.gz", **how: Any) -> Form:
        return replace(
            plain, words=words, suffix=suffix, store=lambda form, path: _save(form.ct, form.affine, path, **how)
        )

    yield stored("32-bit floats", dtype=np.float32)
    yield stored("16-bit integers with an intercept", inter=-1024)
    yield stored("64-bit floats with a slope", dtype=np.float64, slope=2)
    yield stored("32-bit integers, big-endian", dtype=np.int32, endian=">")
    yield stored("16-bit integers, big-endian", endian=">")
    yield stored("NIfTI-2", header=nib.Nifti2Header, image=nib.Nifti2Image)
    yield stored("an uncompressed file", suffix=".nii")
    yield _turned(plain, "two axes reversed", (0, 1, 2), (0, 2))
    yield _turned(plain, "the axes in another order", (2, 0, 1), ())
    yield replace(plain, words="an oblique grid", affine=_oblique(plain.affine), held="alone")
    middle = int(np.argmax(drawn_truth[0].any(axis=(0, 1))))
    one = slice(middle, middle + 1)
    slab = _corners(np.zeros_like(truth[:, :, :, one])) if boxed else _numbered(truth[:, :, :, one])
    yield replace(plain, words="a single slice", ct=ct[:, :, one], truth=slab, held="alone")
    column = (slice(24, 25), slice(40, 41))
    yield replace(
        plain,
        words="a column of single voxels",
        ct=ct[column],
        truth=_middle(truth[:, 24:25, 40:41]),
        held="alone",
        steady=not boxed,
    )
    tissue = np.random.default_rng(0).normal(40, 15, ct.shape)  # no CT is without noise, and none without air around
    tissue[: ct.shape[0] // 8] -= 1000
    yield replace(plain, words="no lungs", ct=tissue.round().astype(ct.dtype), held="alone")
    yield replace(plain, words="boxes at the border", truth=_at_the_border(truth), held="alone", steady=not boxed)
    yield replace(plain, words="seventy entities", truth=_many(truth), held="alone", steady=not boxed)
    for words, texts in (("texts about different things", _APART), (_ODD_WORDS, _ODD)):
        channels = np.stack([truth[number % len(truth)] for number in range(len(texts))])
        yield replace(plain, words=words, truth=channels, texts=texts, held="alone")


def _turned(plain: Form, words: str, order: tuple[int, int, int], reversed_axes: Sequence[int]) -> Form:
    """Return the same body on a grid whose axes run otherwise."""
    affine = plain.affine.copy()
    affine[:, :3] = plain.affine[:, list(order)]
    for axis in reversed_axes:
        affine[:3, 3] += affine[:3, axis] * (plain.ct.shape[order[axis]] - 1)
        affine[:3, axis] *= -1

    def turn(volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(np.flip(volume.transpose(order), tuple(reversed_axes)))

    def back(mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.flip(mask, tuple(reversed_axes)).transpose(np.argsort(order))

    truth = np.stack([turn(channel) for channel in plain.truth])
    return replace(plain, words=words, ct=turn(plain.ct), truth=truth, affine=affine, held="turned", back=back)


def _oblique(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    tilt = np.radians(12)
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    tilted = affine.copy()
    tilted[:3, :3] = turn @ affine[:3, :3]
    return tilted


def _corners(channels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Mark two opposite corners, whose box is everything: a mask that fills a CT would take long to validate."""
    channels[:, 0, 0, 0] = channels[:, -1, -1, -1] = 1
    return channels


def _middle(truth: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    found = np.zeros_like(truth)
    found[:, :, :, 20:24] = 1
    return found


def _numbered(truth: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the labels with the entities of each finding numbered without gaps."""
    return np.stack([np.searchsorted(np.unique([0, *channel.flat]), channel).astype(np.uint8) for channel in truth])


def _at_the_border(truth: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    found = np.zeros_like(truth)
    _corners(found[:1, :48])
    _corners(found[1:, :, 45:])
    return found


def _many(truth: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    found = np.zeros_like(truth)
    for number in range(70):
        x, y, z = 8 * (number % 10) + 4, 8 * (number // 10 % 7) + 8, 10 + 4 * (number % 5)
        found[:, x : x + 3, y : y + 3, z : z + 2] = number + 1
    return found


def write_torture(folder: Path, chosen: Sequence[Form], *, last_first: bool = False) -> list[str]:
    """Write a data set of these forms, and return the cases' names in the forms' order.

    All are in its split ``test``; ``train`` and ``val`` hold the first one, four times and once, a little brighter.

    Parameters
    ----------
    folder
        Where; it must not exist.
    chosen
        The forms.
    last_first
        Whether the names, and so the order in which the cases are run, are those of the reversed order.
    """
    for name in ("ct", "seg"):
        (folder / name).mkdir(parents=True)
    names = []
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for place, form in enumerate(chosen):
        number = len(chosen) - place if last_first else place + 1
        names.append(f"torture_{number}_a_1")
        splits["test"].append(_write(form, names[-1], folder))
    for number, split in enumerate(("train", "train", "train", "train", "val"), 1):
        brighter = replace(chosen[0], ct=chosen[0].ct + np.int16(number))
        splits[split].append(_write(brighter, f"{split}_{number}_a_1", folder))
    (folder / "dataset.json").write_text(json.dumps(splits), encoding="utf-8")
    return names


def _write(form: Form, name: str, folder: Path) -> dict[str, Any]:
    """Write the CT and the masks of a case, and return its entry in the index."""
    form.store(form, folder / "ct" / f"{name}{form.suffix}")
    labels = nib.Nifti1Image(form.truth, np.eye(4))  # type: ignore[no-untyped-call]
    nib.save(labels, folder / "seg" / f"{name}.nii.gz")
    keys = [str(channel) for channel in range(len(form.texts))]
    return {
        "name": f"{name}.nii.gz",
        "findings": dict(zip(keys, form.texts, strict=True)),
        "entity_counts": {key: len(np.unique(c[c > 0])) for key, c in zip(keys, form.truth, strict=True)},
        "pixels": {key: int((c > 0).sum()) for key, c in zip(keys, form.truth, strict=True)},
        "categories": dict.fromkeys(keys, "2d"),
        "shape": list(form.ct.shape),
    }
