"""``bench data``: validate, describe, make and fetch data sets."""

from __future__ import annotations

from harness.cli.lazy import LazyGroup

data = LazyGroup(
    name="data",
    help="Validate, describe, make and fetch data sets.",
    no_args_is_help=True,
    lazy={
        "validate": ("harness.cli.data_validate:validate", "Report every problem of a data set, each with a fix."),
        "info": ("harness.cli.data_info:info", "Describe a data set in the manner of the paper's Table 3."),
        "phantom": (
            "harness.phantom.command:phantom",
            "Make a deterministic chest-CT data set with exact ground truth.",
        ),
        "scorable": (
            "harness.cli.data_scorable:scorable",
            "Put the cases of a split that have a truth into a split of their own.",
        ),
        "fetch": ("harness.cli.data_fetch:fetch", "Make the samples, or link a gated data set once downloaded."),
    },
)
