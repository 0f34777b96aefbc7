"""``bench curate``: from radiology reports to an annotated data set, one module a command."""

from __future__ import annotations

from harness.cli.lazy import LazyGroup

_STEPS = "curation.commands.steps"

curate = LazyGroup(
    name="curate",
    help="From radiology reports to an annotated data set (docs/curation.md walks through it).",
    no_args_is_help=True,
    lazy={
        "run": ("curation.commands.run:run", "Take reports through all steps: split to select."),
        "split": (f"{_STEPS}:split", "Cut reports into sentences with codes."),
        "rewrite": (f"{_STEPS}:rewrite", "Rewrite sentences in US radiology English, by region."),
        "extract": (f"{_STEPS}:extract", "Extract the distinct findings."),
        "categorize": (f"{_STEPS}:categorize", "Give every finding one of the schema's categories."),
        "select": (f"{_STEPS}:select", "Keep the findings that can be annotated."),
        "annotate": ("curation.commands.annotate:annotate", "Export tasks for annotators, and import their masks."),
        "finalize": ("curation.commands.finalize:finalize", "Make a data set in the benchmark's layout."),
        "review": ("curation.commands.review:review", "Draw a sample for reviewers, and evaluate their reviews."),
        "intake": ("curation.commands.intake:intake", "Make volumes in HU of DICOM series and CT-RATE files."),
        "sizes": ("curation.commands.sizes:sizes", "Measure findings after isotropic resampling, as the paper does."),
        "statistics": (
            "curation.commands.statistics:statistics",
            "Age, sex, scanner and depth, as in the paper's 3.5.",
        ),
        "qc": ("curation.commands.qc:qc", "Check masks against texts and anatomy."),
    },
)
