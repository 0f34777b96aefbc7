"""An archive is what its record says, whoever wrote either; what is cut, forged or of others is refused by name."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, PrerequisiteError
from harness.images import archive
from harness.images.archive import ImageRecord, archive_of, check_archive, one_on_this_host, records, write_archive
from harness.images.archive import written as written_before
from harness.images.identity import CONTEXT_LABEL, PLUGIN_LABEL, TORCH_LABEL

ID = f"sha256:{'a' * 64}"
CONTEXT = "c" * 64


def _config(**changes: Any) -> dict[str, Any]:
    labels = {PLUGIN_LABEL: "model", CONTEXT_LABEL: CONTEXT, TORCH_LABEL: "cuda-1234", **changes.pop("labels", {})}
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05Z",
        "config": {
            "Labels": labels,
            "Entrypoint": ["python"],
            "Cmd": ["-m", "x"],
            "WorkingDir": "/opt",
            "Env": ["A=b"],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'1' * 64}"]},
        **changes,
    }


def _saved(config: Any = None, *, place: str = "config.json", images: int = 1) -> bytes:
    """Return what an engine saves; the configuration lies where one kind of store or the other puts it."""
    raw = json.dumps(_config() if config is None else config).encode()
    listed = json.dumps([{"Config": place, "RepoTags": ["groundbench/model:1"], "Layers": []}] * images).encode()
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in ((place, raw), ("manifest.json", listed)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("place", [f"{'d' * 64}.json", f"blobs/sha256/{'d' * 64}"], ids=["classic", "containerd"])
def test_identity_is_read_from_the_archive(place: str, tmp_path: Path) -> None:
    """The digest of the configuration, from either layout, and not the id that the engine shows."""
    record = write_archive([_saved(place=place)], tmp_path, image_id=ID)
    assert record.config == f"sha256:{hashlib.sha256(json.dumps(_config()).encode()).hexdigest()}"
    assert (record.image_id, record.context, record.device) == (ID, CONTEXT, "cuda")
    assert (record.entrypoint, record.command, record.folder) == (("python",), ("-m", "x"), "/opt")
    assert records(tmp_path) == [record]
    assert check_archive(record, tmp_path) == archive_of(record, tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".tar"], "nothing half-written is left"


def test_an_archive_that_is_there_is_known(tmp_path: Path) -> None:
    """The same image is not written again; one whose archive was cut short is."""
    record = write_archive([_saved()], tmp_path, image_id=ID)
    assert written_before(ID, tmp_path) == record
    assert written_before(f"sha256:{'b' * 64}", tmp_path) is None
    with archive_of(record, tmp_path).open("r+b") as file:
        file.truncate(100)
    assert written_before(ID, tmp_path) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not the archive of an image"),
        (b"x" * 10_000, "not the archive of an image"),
        (_saved(images=2), "holds 2 images"),
        (_saved(images=0), "holds 0 images"),
        (_saved(_config(labels={PLUGIN_LABEL: "../up"})), "plugin"),
        (_saved(_config(labels={CONTEXT_LABEL: None})), "context"),
        (_saved(_config(rootfs={})), "diff_ids"),
        (_saved([]), "not the archive of an image"),
        (_saved(_config(created="x" * (9 * 2**20))), "at most 8 MB"),
    ],
    ids=["empty", "noise", "two", "none", "name", "unlabelled", "no-layers", "a-list", "huge"],
)
def test_what_is_no_image_of_ours_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    """Nothing is left of it, and the message says what is wrong."""
    with pytest.raises(DataError, match=words):
        write_archive([content], tmp_path, image_id=ID)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """The engine is lost in the middle: no archive, no record."""

    def breaks() -> Any:
        yield _saved()[:100]
        raise OSError("the connection was reset")

    with pytest.raises(OSError, match="reset"):
        write_archive(breaks(), tmp_path, image_id=ID)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_another_image_is_refused(tmp_path: Path) -> None:
    """A record that names one image beside an archive that holds another, of the same size."""
    record = write_archive([_saved()], tmp_path, image_id=ID)
    other = _saved(_config(created="2027-01-02T03:04:05Z"))
    assert len(other) == record.size
    archive_of(record, tmp_path).write_bytes(other)
    with pytest.raises(DataError, match="another image than its record says: config, created"):
        check_archive(record, tmp_path)
    archive_of(record, tmp_path).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        check_archive(record, tmp_path)


@pytest.mark.parametrize(
    "change", [{"schema": 2}, {"more": 1}, {"config": "sha256:1"}, {"size": -1}, {"plugin": "A/b"}]
)
def test_a_record_that_is_none_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    """Another version, a key that nobody knows, a digest that is none: the file is named."""
    record = write_archive([_saved()], tmp_path, image_id=ID)
    path = tmp_path / f"{record.stem}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=r"is not the record of an image") as refused:
        records(tmp_path)
    assert refused.value.path == path


def test_other_files_beside_records_are_left_alone(tmp_path: Path) -> None:
    """A folder may hold more; the newest image comes first."""
    old = write_archive([_saved()], tmp_path, image_id=ID)
    new = write_archive([_saved(_config(created="2027-01-01T00:00:00Z"))], tmp_path, image_id=ID)
    (tmp_path / "notes.json").write_text("{}")
    for name in ("model.json", "known-answer.json", "model-abc.json"):
        (tmp_path / name).write_text("not json")
    assert records(tmp_path) == [new, old]


def test_one_process_of_a_host_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one waits, and says so; a folder of locks that others may write to is refused."""
    monkeypatch.setattr(archive.tempfile, "tempdir", str(tmp_path))
    record = write_archive([_saved()], tmp_path / "images", image_id=ID)
    order: list[str] = []

    def second() -> None:
        with one_on_this_host(record, order.append):
            order.append("second")

    with one_on_this_host(record, order.append):
        other = threading.Thread(target=second)
        other.start()
        while not order:
            other.join(0.01)
        order.append("first ends")
    other.join(10)
    assert order == ["waiting for another process that makes the image of model available", "first ends", "second"]
    (folder,) = tmp_path.glob("groundbench-images-*")
    folder.chmod(0o777)
    with pytest.raises(PrerequisiteError, match="only this user"), one_on_this_host(record, order.append):
        pass


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    """What is read is what was written, the environment included."""
    record = write_archive([_saved()], tmp_path, image_id=ID)
    assert ImageRecord.model_validate_json((tmp_path / f"{record.stem}.json").read_bytes()) == record
    assert record.environment == ("A=b",)
