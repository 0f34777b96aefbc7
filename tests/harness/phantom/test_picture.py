"""The picture of the phantom's page."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from harness.phantom.picture import picture, png

pytestmark = pytest.mark.costly


def test_png_holds_the_pixels() -> None:
    """The chunks carry the size, the pixels and right checksums."""
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    data = png(image)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    position, chunks = 8, {}
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[position + 8 + length : position + 12 + length])[0]
        chunks[kind] = body
        position += 12 + length
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (3, 2)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(2, 10)
    assert (lines[:, 0] == 0).all()
    assert np.array_equal(lines[:, 1:].reshape(2, 3, 3), image)


def test_every_category_has_a_panel() -> None:
    """Fifteen panels, each of the first fourteen with an outline, the last without."""
    image = picture("small")
    assert image.shape == (720, 1500, 3)
    outlined = (image == (255, 90, 60)).all(axis=2).reshape(3, 240, 5, 300).any(axis=(1, 3)).ravel()
    assert outlined.tolist() == [True] * 14 + [False]
