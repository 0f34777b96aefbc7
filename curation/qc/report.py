"""Check every mask of a data set, and write the report that a person looks through."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curation.pipeline import write_text
from curation.qc.anatomy import look
from curation.qc.checks import Drawn, check_finding, check_twins
from curation.qc.picture import data_uri, views
from curation.volumes import read_array
from harness.dataset.cases import Case, Dataset
from harness.dataset.problems import DataProblem, Level
from harness.dataset.voxels import labelled
from harness.errors import DataError

JSON: Final = "qc.json"
HTML: Final = "qc.html"


@dataclass(frozen=True)
class Checked:
    """One finding with its problems and, where there are any, its pictures."""

    case: str
    split: str
    finding: str
    text: str
    category: str | None
    problems: tuple[DataProblem, ...]
    pictures: tuple[str, ...]


def check_case(
    case: Case, anatomy: Path | None, *, flip: tuple[int, ...] = (), every: bool = False
) -> Iterator[Checked]:
    """Check the masks of one case; yields every finding, in order.

    Parameters
    ----------
    case
        With CT and mask.
    anatomy
        Folder of anatomy masks named as the CTs, or None.
    flip
        In-plane axes along which the masks must be reversed to lie on the CT.
    every
        Make pictures of findings without a problem too.

    Raises
    ------
    DataError
        A file is missing or cannot be read.
    """
    if case.ct is None or case.truth is None:
        missing = "CT" if case.ct is None else "mask"
        raise DataError(f"{case.id} has no {missing}", fix="put it back; `bench data validate` lists the expected path")
    stored, header = read_array(case.ct)
    values = stored * np.float32(header.slope) + np.float32(header.inter) if header.scaled else stored
    body = look(case, values, None if anatomy is None else anatomy / f"{case.id}.nii.gz")
    drawn = [replace(mine, hounsfield=values[tuple(mine.voxels.T)]) for mine in read_drawn(case, flip)]
    twins = check_twins(case, drawn)
    for finding in case.findings:
        where = f"{case.split}/{case.id} finding {finding.id}"
        mine = drawn[finding.index]
        problems = check_finding(finding, mine, body, case.spacing, where) + twins.get(finding.id, [])
        pictures: tuple[str, ...] = ()
        if problems or every:
            shown = views(values, mine.voxels, case.spacing or (1.0, 1.0, 1.0), case.affine)
            pictures = tuple(data_uri(pixels) for pixels in shown)
        yield Checked(case.id, case.split, finding.id, finding.text, finding.category, tuple(problems), pictures)


def read_drawn(case: Case, flip: tuple[int, ...] = ()) -> list[Drawn]:
    """Return the mask of every finding as voxels, read in one pass through the file."""
    assert case.truth is not None  # noqa: S101 - checked by the caller
    height, width, _ = case.shape
    parts: list[list[tuple[npt.NDArray[np.int64], npt.NDArray[Any]]]] = [[] for _ in case.findings]
    for part in labelled(case.truth, len(case.findings)):
        for channel in np.unique(part.channel):
            chosen = part.channel == channel
            parts[channel].append((part.voxel[chosen], part.label[chosen]))
    result = []
    for found in parts:
        flat = np.concatenate([voxel for voxel, _ in found]) if found else np.zeros(0, np.int64)
        labels = np.concatenate([label for _, label in found]) if found else np.zeros(0, np.int64)
        rest, x = np.divmod(flat, height)
        z, y = np.divmod(rest, width)
        x = height - 1 - x if 0 in flip else x
        y = width - 1 - y if 1 in flip else y
        result.append(Drawn(np.stack([x, y, z], axis=1), labels.astype(np.int64)))
    return result


def check_all(
    dataset: Dataset,
    *,
    split: str | None = None,
    anatomy: Path | None = None,
    every: bool = False,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> list[Checked]:
    """Check every case of a data set; one that cannot be read is a problem too."""
    cases = list(dataset.split(split)) if split else list(dataset)
    rows: list[Checked] = []
    for number, case in enumerate(cases, start=1):
        try:
            rows += check_case(case, anatomy, flip=dataset.mask_flip, every=every)
        except DataError as error:
            where = f"{case.split}/{case.id}"
            problem = DataProblem(Level.ERROR, "unreadable", where, error.message, error.fix)
            rows.append(Checked(case.id, case.split, "", "", None, (problem,), ()))
        progress(number, len(cases), case.id)
    return rows


def write_report(name: str, rows: list[Checked], out: Path) -> dict[str, Any]:
    """Write ``qc.json`` and ``qc.html`` of a data set into `out`; returns the document of ``qc.json``."""
    problems = [problem for row in rows for problem in row.problems]
    levels = Counter(problem.level for problem in problems)
    document: dict[str, Any] = {
        "schema": 1,
        "dataset": name,
        "cases": len({row.case for row in rows}),
        "findings": sum(bool(row.finding) for row in rows),
        "clean": sum(not row.problems for row in rows),
        "counts": {level: levels[level] for level in Level},
        "by_code": dict(sorted(Counter(problem.code for problem in problems).items())),
        "problems": [problem.as_dict() for problem in problems],
    }
    write_text(out / JSON, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    write_text(out / HTML, page(document, rows))
    return document


_STYLE: Final = (
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:1rem}"
    "details{border-bottom:1px solid #8886;padding:.4rem "
    "0}summary{cursor:pointer}img{max-width:48%;margin:.5rem 1% 0 0}"
    ".error{color:#c0392b}.warning{color:#b9770e}.info{color:#2874a6}b{font-weight:600}code{font-size:.9em}"
)


def page(document: dict[str, Any], rows: list[Checked]) -> str:
    """Return the report as one HTML file that opens from the disk; worst findings first, one click to the pictures."""
    order = list(Level)
    shown = sorted(
        (row for row in rows if row.problems or row.pictures),
        key=lambda row: min((order.index(problem.level) for problem in row.problems), default=len(order)),
    )
    counts = ", ".join(f"{count} {level}" for level, count in document["counts"].items())
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        (
            "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src "
            "'unsafe-inline'; img-src data:\">"
        ),
        f"<title>Masks of {html.escape(document['dataset'])}</title><style>{_STYLE}</style>",
        f"<h1>Masks of {html.escape(document['dataset'])}</h1>",
        (
            f"<p>{document['cases']} cases, {document['findings']} findings, {document['clean']} of "
            f"them clean; {counts}.</p>"
        ),
        *(_row(row) for row in shown),
        "</html>\n",
    ]
    return "\n".join(parts)


def _row(row: Checked) -> str:
    problems = "".join(
        f"<div class='{problem.level}'><b>{problem.level}</b> <code>{html.escape(problem.code)}</code> "
        f"{html.escape(problem.what)} <em>{html.escape(problem.fix)}</em></div>"
        for problem in row.problems
    )
    names = ("axial", "coronal")
    pictures = "".join(
        f"<img loading='lazy' alt='{name} slice of {html.escape(row.case)}' src='{uri}'>"
        for name, uri in zip(names, row.pictures, strict=False)
    )
    title = f"{html.escape(row.split)}/{html.escape(row.case)} {html.escape(row.finding)} "
    text = f"<b>{html.escape(row.category or '')}</b> {html.escape(row.text)}"
    return f"<details><summary>{title}{text}{problems}</summary>{pictures}</details>"
