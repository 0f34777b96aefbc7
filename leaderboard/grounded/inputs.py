"""One report and its CT as a data set of one case without ground truth; the steps from the one to its findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from curation.commands.options import Progress, methods_of
from curation.pipeline import MEMORY, run_all
from curation.records import CategorizedFinding, Report
from curation.traced import Traced, read_traced
from curation.work import Work
from harness.dataset import Case, Dataset, Finding
from harness.errors import DataError, UsageError
from harness.runs.predict import require_cts

#: Names of the case and of its split: those of the files may name a person.
CASE: Final = "case"
SPLIT: Final = "report"


def data_set_of(ct: Path, findings: Sequence[CategorizedFinding], *, root: Path, cache: Path) -> Dataset:
    """Return the data set of one case, whose CT stays where it is; no file of it is written.

    Parameters
    ----------
    ct
        The CT, as :func:`require_ct` accepts it.
    findings
        Those of the report, in their order.
    root
        A folder that holds nothing of a data set.
    cache
        Folder in which digests and counts of files are cached.
    """
    named = tuple(Finding(n, str(n), finding.text, finding.category) for n, finding in enumerate(findings))
    case = Case(CASE, SPLIT, named, ct=ct.resolve())
    return Dataset(root=root, index=root, name=SPLIT, splits={SPLIT: (case,)}, cache=cache)


def require_ct(ct: Path) -> None:
    """Refuse what is not a NIfTI file by its name.

    Raises
    ------
    UsageError
        It does not exist.
    DataError
        It is a folder, or a file of another format.
    """
    if not ct.exists():
        raise UsageError(f"the CT {ct} does not exist", fix="give a NIfTI file (.nii.gz or .nii)")
    if not ct.is_file() or not ct.name.lower().endswith((".nii.gz", ".nii")):
        raise DataError(
            f"the CT {ct} is not a NIfTI file (.nii.gz or .nii)",
            fix="convert it: a DICOM series with `dcm2niix -z y FOLDER`, .nrrd or .mha with SimpleITK",
        )


def require_oriented(dataset: Dataset) -> None:
    """Judge the CT as every run does, and refuse one that does not say where its left and right are.

    Raises
    ------
    DataError
        A rule is broken, or the CT does not state its orientation: a run warns of that, but here a mask would be shown
        on a side that nobody knows.
    """
    for warning in require_cts(dataset, SPLIT):
        if warning.code == "ct-affine":
            raise DataError(f"sides cannot be told: {warning.what}", fix=warning.fix)


def curate(report: Report, folder: Path, method_of: Callable[[Any, str], Any]) -> tuple[Traced, dict[str, str]]:
    """Take a report through the steps of curation, going on where an earlier call was stopped.

    Parameters
    ----------
    report
        The report.
    folder
        Where the files of the steps lie.
    method_of
        Returns what performs the steps, as :func:`curation.commands.options.llm_options` makes it.

    Returns
    -------
    tuple
        What became of each sentence, and who did the steps: ``{"steps": "rules"}``, or the models and their host.

    Raises
    ------
    BenchError
        A language model may not be asked, or its answers break the rules of a step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with Work(folder / MEMORY) as work:
        work.forget_set_aside()
        methods = methods_of(method_of, work, [report])
        hosts = [method.settings.host for method in methods.values() if hasattr(method, "settings")]
        progress = Progress() if hosts else lambda *_: None  # rules take no time
        summary = run_all(
            [report], folder, method_of=lambda step: method_of(work, step.name), work=work, progress=progress
        )
    if summary.set_aside:
        item = summary.set_aside[0]
        raise DataError(
            f"the step {item.step} has no valid result for this report: {item.reason}",
            fix="run the same command again, or with another --llm; --llm none uses rules",
        )
    models = dict.fromkeys("rules" if model == "none" else model for model in summary.models.values())
    return read_traced(folder), {"steps": ", ".join(models), **({"host": hosts[0]} if hosts else {})}
