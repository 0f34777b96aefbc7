"""Segmentations as 3D Slicer writes them."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from curation.annotation.nrrd import Segment, read_segmentation, write_segmentation
from harness.errors import DataError
from tests.curation.annotation.conftest import AFFINE, truth


def test_slicer_files(tmp_path: Path) -> None:
    """What we write we read, in raw and gzip; Slicer's single voxel means nothing; other files are refused."""
    layers = np.stack([truth(0), truth(1)])
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(path, layers, AFFINE, [Segment("a", 0, 1), Segment("b", 1, 2)])
    read = read_segmentation(path)
    assert np.array_equal(read.layers, layers)
    assert np.allclose(read.affine, AFFINE)
    assert np.array_equal(read.mask(read.segments[1]), truth(1) == 2)
    head = (
        "NRRD0004\n# a comment\ntype: unsigned char\ndimension: 3\nspace: right-anterior-superior\nsizes: 1 1 1\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\nSegment0_Name:=0: x\n\n"
    )
    path.write_bytes(head.encode() + b"\0")
    assert read_segmentation(path).is_empty
    for broken in (b"", b"NRRD0004\n\n", head.encode(), head.replace("raw", "bzip2").encode() + b"\0", b"PNG\n\n"):
        path.write_bytes(broken)
        with pytest.raises(DataError):
            read_segmentation(path)


def header(sizes: str, *lines: str, kind: str = "unsigned char", encoding: str = "gzip") -> bytes:
    """Return the header of a segmentation without layers."""
    fields = [
        *("NRRD0004", f"type: {kind}", "dimension: 3", "space: left-posterior-superior", f"sizes: {sizes}"),
        *("space directions: (1,0,0) (0,1,0) (0,0,1)", "space origin: (0,0,0)", f"encoding: {encoding}"),
        *lines,
    ]
    return "\n".join(fields).encode() + b"\n\n"


def refusal(path: Path, content: bytes) -> str:
    """Write a file and return why it is refused."""
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_segmentation(path)
    return refused.value.message


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """Nothing of the time or of the place gets into a file, and a name keeps its letters."""
    for name in ("a", "b"):
        write_segmentation(tmp_path / name, truth(0)[None], AFFINE, [Segment("0: Verschattung, 5 µm ≤ ø", 0, 1)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_segmentation(tmp_path / "a").segments[0].name == "0: Verschattung, 5 µm ≤ ø"


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_a_header_that_lies_is_refused(tmp_path: Path, encoding: str) -> None:
    """A voxel too many or too few is refused, the declared number is read."""
    voxels = bytes(range(24))
    body = gzip.compress(voxels) if encoding == "gzip" else voxels
    path = tmp_path / "x.seg.nrrd"
    path.write_bytes(header("4 3 2", encoding=encoding) + body)
    assert read_segmentation(path).layers.ravel(order="F").tolist() == list(voxels)
    assert "more than the 12 bytes" in refusal(path, header("2 3 2", encoding=encoding) + body)
    assert "of" in refusal(path, header("4 3 3", encoding=encoding) + body)
    assert "sizes" in refusal(path, header("4 3 0", encoding=encoding) + body)


@pytest.mark.costly
def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    """No more is inflated than the header declares, and nothing at all where it declares more than the bound."""
    bomb = gzip.compress(bytes(2**28), 9)
    path = tmp_path / "x.seg.nrrd"
    tracemalloc.start()
    try:
        small = refusal(path, header("10 10 10") + bomb)
        large = refusal(path, header("2048 2048 2049") + bomb)
        never = refusal(path, header("2048 2048 1024") + bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "more than the 1000 bytes" in small
    assert "more than any chest CT" in large
    assert "at most" in never
    assert peak < 2**24


@pytest.mark.parametrize("field", ["data file: {}", "datafile: {}", "Data File: {}", "data file: LIST\n{}"])
def test_voxels_in_another_file_are_refused(tmp_path: Path, field: str) -> None:
    """A header does not lead to other files of this machine."""
    other = tmp_path / "other.raw"
    other.write_bytes(bytes(8))
    why = refusal(tmp_path / "x.seg.nrrd", header("2 2 2", field.format(other), encoding="raw"))
    assert "another file" in why


@pytest.mark.parametrize("field", ["line skip: 1", "byte skip: 4", "byte skip: -1"])
def test_voxels_that_do_not_follow_the_header_are_refused(tmp_path: Path, field: str) -> None:
    """A file that asks for lines or bytes to be skipped is refused rather than read from the wrong place."""
    why = refusal(tmp_path / "x.seg.nrrd", header("2 2 2", field, encoding="raw") + bytes(8))
    assert "do not follow the header" in why


def test_byte_order_is_never_guessed(tmp_path: Path) -> None:
    """Voxels of two bytes are read in the order that is declared; without one they are refused."""
    path = tmp_path / "x.seg.nrrd"
    path.write_bytes(header("2 1 1", "endian: big", kind="short", encoding="raw") + b"\0\1\1\0")
    assert read_segmentation(path).layers.ravel().tolist() == [1, 256]
    assert "endian" in refusal(path, header("2 1 1", kind="short", encoding="raw") + b"\0\1\1\0")
