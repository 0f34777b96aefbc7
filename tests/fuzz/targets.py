"""Readers of what strangers deliver, each as a function of bytes that ends well or by an error that it may raise.

``test_mutations.py`` hands them what hypothesis and a seeded mutation make; ``run.py`` hands them what a fuzzer that
watches the code finds.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from curation.annotation.nrrd import Segment, read_segmentation, write_segmentation
from curation.offline import Rules
from curation.reports import read_reports
from curation.steps import categorize, extract, rewrite, select, split
from curation.work import Work
from harness.cli.streams import shown
from harness.dataset.index import read_index
from harness.errors import BenchError
from harness.masks import open_volume
from harness.masks.verdict import Refused
from harness.registry.card import read_card
from harness.registry.constraints import DeclarationError
from harness.registry.plugin_toml import read_plugin_toml
from harness.rows import CaseRow, FindingRow, RunRow
from harness.sandbox.contract import parse_event
from harness.scoring.submission import open_submission
from harness.store.database import Store
from harness.submissions.strict_json import read_json, write_json
from harness.submissions.tables import read_table, write_table
from harness.submissions.text_files import CASES
from harness.upstream.sources import _from_archive

#: Bytes that a target may be handed.
LONGEST = 2**20


@dataclass(frozen=True)
class Target:
    """A reader, what it may raise, and valid examples of what it reads."""

    read: Callable[[bytes, Path], object]
    seeds: Callable[[], list[bytes]]
    raises: tuple[type[Exception], ...] = (BenchError,)

    def __call__(self, content: bytes, folder: Path | None = None) -> bool:
        """Read some bytes; return whether they were accepted. What may not be raised is raised."""
        if folder is None:
            with tempfile.TemporaryDirectory() as own:
                return self(content, Path(own))
        try:
            self.read(content[:LONGEST], folder)
        except self.raises:
            return False
        return True


def _put(content: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _read_header(content: bytes, folder: Path) -> None:
    with open_volume(_put(content, folder, "mask.nii.gz"), limit=LONGEST) as volume:
        if volume.header.nbytes <= 2**24:
            for _ in volume.blocks(1):
                pass


def _headers() -> list[bytes]:
    image = nib.Nifti1Image(np.ones((4, 3, 2), np.uint8), np.eye(4))
    raw = image.to_bytes()
    nrrd = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n\n" + bytes(24)
    meta = (
        b"ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
        + bytes(24)
    )
    return [
        raw,
        gzip.compress(raw, mtime=0),
        nib.Nifti2Image(np.ones((2, 2, 2), np.int16), np.eye(4)).to_bytes(),
        nrrd,
        meta,
    ]


def _read_events(content: bytes, folder: Path) -> None:
    for line in content.split(b"\n"):
        parse_event(line)


def _read_text(content: bytes, folder: Path) -> None:
    text = content.decode("utf-8", "replace")
    rows = [f'r1,"{text.replace(chr(34), "")}",', 'r2,"There is a nodule of 5 mm in the right upper lobe.",']
    path = _put("\n".join(["id,findings,impressions", *rows]).encode("utf-8", "replace"), folder, "reports.csv")
    records: list[Any] = list(read_reports(path).reports)
    with Work(folder / "work.db") as work:
        for module in (split, rewrite, extract, categorize, select):
            step: Any = module.STEP
            outcomes = list(Rules().do(step, [(one.id, one) for one in records], work, lambda _: None))
            if bad := [one.reason for one in outcomes if "the rules fail" in one.reason]:
                raise AssertionError(bad[0])
            records = [step.result.model_validate(one.record) for one in outcomes if one.record is not None]
    (folder / "work.db").unlink()
    assert "r2" in {record.id for record in records}, "a report took its neighbour along"


def _read_reports(content: bytes, folder: Path) -> None:
    read_reports(_put(content, folder, "reports.csv"))


def _read_index(content: bytes, folder: Path) -> None:
    read_index(_put(content, folder, "dataset.json"))


def _read_zip(content: bytes, folder: Path) -> None:
    open_submission(_put(content, folder, "masks.zip"), ())


def _read_tar(content: bytes, folder: Path) -> None:
    list(_from_archive(_put(content, folder, "source.tar")))


def _read_database(content: bytes, folder: Path) -> None:
    with Store(_put(content, folder, "results.db"), readonly=True) as store:
        for run in store.runs():
            store.cases(run.id)
            store.findings(run.id)
            store.metrics(run.id, run.profile)


def _read_segmentation(content: bytes, folder: Path) -> None:
    read_segmentation(_put(content, folder, "task.seg.nrrd"))


def _show(content: bytes, folder: Path) -> None:
    text = content.decode("utf-8", "surrogateescape")
    for terminal in (False, True):
        assert "\x1b]" not in shown(text, terminal=terminal)
        assert "\x9d" not in shown(text, terminal=terminal)


def _read_plugin(content: bytes, folder: Path) -> None:
    _put(content, folder, "plugin.toml")
    read_plugin_toml(folder)


def _read_card(content: bytes, folder: Path) -> None:
    read_card(_put(content, folder, "card.toml"))


@cache
def _database() -> bytes:
    run: dict[str, Any] = dict.fromkeys(
        ("plan_key", "plugin", "title", "plugin_version", "variant", "dataset", "fingerprint", "engine", "image_id"),
        "a",
    )
    run |= {"id": "r", "attempt": 1, "kind": "measured", "prompt": "text", "fine_tuned": False, "profile": "mlhc2025"}
    run |= {"split": "test", "rankable": True, "unrankable": ["why"], "state": "done", "created": "2026"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.db")
        with Store(path) as store:
            store.save_run(RunRow(**run))
            finding = FindingRow("c", "0", 0, "1a", "a nodule", "ok", dice=0.5)
            store.save_case("r", CaseRow("c", 0, "ok"), [finding])
            store.save_metrics("r", "mlhc2025", {"dice": {"all": {"value": 0.5, "ci95": None, "n": 1, "cases": 1}}})
        return path.read_bytes()


def _archives() -> list[bytes]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("case_1/0.nii.gz", b"mask")
        archive.writestr("README", b"text")
    return [packed.getvalue()]


def _tars() -> list[bytes]:
    found = []
    for kind in ("", "gz", "bz2", "xz"):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode=f"w:{kind}", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
            for name in ("a/ü.py", "b" * 150):
                info = tarfile.TarInfo(name)
                info.size = 4
                tar.addfile(info, io.BytesIO(b"code"))
        found.append(packed.getvalue())
    return found + _archives()


def _segmentations() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.seg.nrrd")
        write_segmentation(path, np.ones((1, 2, 2, 2), np.uint8), np.eye(4), [Segment("one", 0, 1)])
        return [path.read_bytes()]


_INDEX = {
    "test": [{"name": "a_1.nii.gz", "findings": {"0": "a nodule"}, "shape": [4, 4, 4], "categories": {"0": "1a"}}]
}
_CSV = 'id,findings,impressions\na,There is a nodule of 5 mm.,None\nb,"No pleural effusion, or mass.",\n'

_PLUGIN = """
name = "whole"
title = "Whole"
summary = "Says much."
version = "1.2"
adapter = "adapter:Whole"
sees = { value = "slices with memory", origin = "upstream, predict.py:3" }

[resources]
memory_gb = 2
cpus = 1.5

[[variants]]
name = "zero-shot"
exposure = { value = "train", origin = "upstream, issue 1" }
summary = "Out of the box."
params = { size = { value = 64, origin = "paper, section 3" }, soft = false }
reduced = { size = 8 }
origins = { soft = "ours: because" }
"""
_CARD = 'who = "A. Person"\nauthors = ["A. Person"]\nlicence = "MIT"\nprompt = "text"\n'

TARGETS: dict[str, Target] = {
    "headers": Target(_read_header, _headers, (Refused, FileNotFoundError)),
    "events": Target(
        _read_events,
        lambda: [b'{"event":"finished","case":"a","seconds":1.5}\n{"event":"failed","case":"a","reason":"x"}', b"{}"],
        (),
    ),
    "text": Target(
        _read_text,
        lambda: [
            b"There are 3x4 mm nodules in both lungs, the largest 2.5 cm in the right upper lobe. No effusion?",
            b"Sequela fibrotic changes; apart from these, ground glass density, suspicious for covid-19 pneumonia.",
        ],
    ),
    "reports": Target(_read_reports, lambda: [_CSV.encode(), gzip.compress(_CSV.encode()), _CSV.encode("utf-16")]),
    "index": Target(_read_index, lambda: [json.dumps(_INDEX).encode()], ()),
    "record": Target(lambda content, _: read_json(content, "record.json"), lambda: [write_json(_INDEX)]),
    "table": Target(lambda content, _: read_table(CASES, content), lambda: [write_table(CASES, [])]),
    "zip": Target(_read_zip, _archives),
    "tar": Target(_read_tar, _tars),
    "database": Target(_read_database, lambda: [_database()]),
    "names": Target(_show, lambda: ["a\x1b]0;title\x07b\x9d\u202e".encode()], ()),
    "plugin": Target(_read_plugin, lambda: [_PLUGIN.encode()], (DeclarationError,)),
    "card": Target(_read_card, lambda: [_CARD.encode()]),
    "segmentation": Target(_read_segmentation, _segmentations),
}
