"""DICOM files within bounds: the one place that hands one to its parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

#: The transfer syntax whose whole file is packed: the parser unpacks all of it, however much that is, for one tag.
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"


def read_dicom(path: Path, **options: Any) -> Any:
    """Read a DICOM file as ``pydicom.dcmread`` does, with its options.

    Raises
    ------
    InvalidDicomError
        It is not DICOM.
    ValueError
        It is packed as a whole, so that its size says nothing; or the parser fails on it in whichever way.
    OSError
        It cannot be read.
    """
    try:
        _refuse_deflated(path)
        return pydicom.dcmread(path, **options)  # noqa: TID251 - the one place
    except (OSError, InvalidDicomError, ValueError):
        raise
    except Exception as error:  # the parser raises what it meets: KeyError, TypeError, struct.error, RecursionError
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _refuse_deflated(path: Path) -> None:
    syntax = str(read_file_meta_info(path).get("TransferSyntaxUID", ""))
    if syntax.strip("\0 ") == _DEFLATED:
        raise ValueError("it is deflated as a whole, which is not read; export it uncompressed")
