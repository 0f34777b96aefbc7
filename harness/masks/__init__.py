"""Reading mask files: fast, bounded, without trust in their content.

A file passes four gates, each of which can refuse it with a cause and a fix: it is a regular file of a bounded size
(:mod:`~harness.masks.stream`), its header is valid (:mod:`~harness.masks.header`), its grid is the case's
(:mod:`~harness.masks.geometry`), and its values are those of a mask (:mod:`~harness.masks.bits`).
"""

from __future__ import annotations

from harness.masks.bits import Bits, TooDense, read_bits
from harness.masks.geometry import Expected, judge
from harness.masks.header import Affine, Header
from harness.masks.stream import Source, Volume, ZipMember, file_limit, open_volume
from harness.masks.verdict import Refused, refused, warning

__all__ = [
    "Affine",
    "Bits",
    "Expected",
    "Header",
    "Refused",
    "Source",
    "TooDense",
    "Volume",
    "ZipMember",
    "file_limit",
    "judge",
    "open_volume",
    "read_bits",
    "refused",
    "warning",
]
