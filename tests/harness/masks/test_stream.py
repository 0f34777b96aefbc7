"""A header is the same whether a file's beginning is read or the file opened as a volume, and so is what is refused."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import nibabel as nib
import nrrd
import numpy as np
import pytest

from harness.masks import Refused, open_volume, stream
from harness.masks.stream import header_of

_NO_LIMIT = 2**40


def _nifti(extension: bytes = b"") -> bytes:
    image = nib.Nifti1Image(np.random.default_rng(0).integers(0, 2**15, (64, 64, 40)).astype(np.int16), np.eye(4))
    if extension:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", extension))
    return bytes(image.to_bytes())


def _nrrd(folder: Path) -> bytes:
    path = folder / "made.nrrd"
    nrrd.write(str(path), np.zeros((4, 5, 6), np.uint8), {"space": "left-posterior-superior"})
    return path.read_bytes()


LONG = np.random.default_rng(1).bytes(200_000)
FILES = {
    "plain": lambda _: _nifti(),
    "compressed": lambda _: gzip.compress(_nifti()),
    "nrrd": _nrrd,
    "a long header": lambda _: _nifti(LONG),
    "a long header, compressed": lambda _: gzip.compress(_nifti(LONG)),
    "a header that ends": lambda _: _nifti()[:300],
    "a compressed header that ends": lambda _: gzip.compress(_nifti())[:100],
    "a long header that ends": lambda _: _nifti(LONG)[:150_000],
    "nothing": lambda _: b"",
    "nonsense": lambda _: LONG,
    "a damaged stream": lambda _: gzip.compress(_nifti())[:20] + LONG,
}


def _said(read: Any) -> Any:
    try:
        return read()
    except Refused as refusal:
        return refusal.problem


@pytest.mark.parametrize("name", FILES)
def test_a_header_read_alone_is_that_of_the_volume(tmp_path: Path, name: str) -> None:
    """Or it is refused in the same words."""
    path = tmp_path / "volume"
    path.write_bytes(FILES[name](tmp_path))

    def opened() -> Any:
        with open_volume(path, limit=_NO_LIMIT) as volume:
            return volume.header

    assert _said(lambda: header_of(path, limit=_NO_LIMIT)) == _said(opened)


def test_no_more_than_the_beginning_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a CT of 300 KB, 64 KiB."""
    path, read = tmp_path / "ct.nii.gz", io.BytesIO()
    path.write_bytes(gzip.compress(_nifti()))

    @contextmanager
    def opened(*_: object) -> Iterator[IO[bytes]]:
        read.write(path.read_bytes())
        read.seek(0)
        yield read

    monkeypatch.setattr(stream, "_open", opened)
    assert header_of(path, limit=_NO_LIMIT).shape == (64, 64, 40)
    assert read.tell() == 64 * 1024 < path.stat().st_size
