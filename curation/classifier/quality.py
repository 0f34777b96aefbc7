"""How good categories are: precision and recall by category, and their macro means (paper, section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from curation.schema import CODES

#: What the paper reports for its language model over its categories.
PAPER: Final = (0.87, 0.83)


@dataclass(frozen=True)
class Row:
    """One category."""

    code: str
    truth: int  #: findings that belong to it
    predicted: int  #: findings that were put into it
    hits: int  #: both

    @property
    def precision(self) -> float | None:
        """Hits among the predicted; None where nothing was predicted."""
        return self.hits / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """Hits among the true; None where nothing is true."""
        return self.hits / self.truth if self.truth else None


@dataclass(frozen=True)
class Quality:
    """Of a set of findings.

    The macro means are over the categories that occur in the truth. One that nothing was put into has no precision;
    it counts 0 there, so that leaving a category out is never better than getting it wrong.
    """

    rows: tuple[Row, ...]
    precision: float
    recall: float
    accuracy: float

    def as_dict(self) -> dict[str, Any]:
        """Return it for a JSON document."""
        return {
            "macro_precision": self.precision,
            "macro_recall": self.recall,
            "accuracy": self.accuracy,
            "paper": {"macro_precision": PAPER[0], "macro_recall": PAPER[1]},
            "by_category": {
                row.code: {"n": row.truth, "predicted": row.predicted, "precision": row.precision, "recall": row.recall}
                for row in self.rows
            },
        }


def measure(truth: Sequence[str], predicted: Sequence[str]) -> Quality:
    """Compare codes pairwise; raises ValueError where there is nothing to compare."""
    if not truth:
        raise ValueError("no finding to compare")
    pairs = list(zip(truth, predicted, strict=True))
    rows = [
        Row(code, truth.count(code), predicted.count(code), sum(a == b == code for a, b in pairs))
        for code in CODES
        if code in truth or code in predicted
    ]
    present = [row for row in rows if row.truth]
    return Quality(
        rows=tuple(rows),
        precision=fmean(row.precision or 0.0 for row in present),
        recall=fmean(row.recall or 0.0 for row in present),
        accuracy=sum(a == b for a, b in pairs) / len(pairs),
    )


def table(quality: Quality) -> str:
    """Draw it as plain text, with the paper's figures beside the macro means."""
    lines = [f"{'category':<46}{'n':>5}{'precision':>11}{'recall':>8}"]
    for row in quality.rows:
        precision, recall = (f"{v:.2f}" if v is not None else "—" for v in (row.precision, row.recall))
        lines.append(f"{row.code + ' ' + CODES[row.code][:42]:<46}{row.truth:>5}{precision:>11}{recall:>8}")
    findings = sum(row.truth for row in quality.rows)
    lines += [
        f"{'macro mean':<46}{findings:>5}{quality.precision:>11.2f}{quality.recall:>8.2f}",
        f"{'the paper (GPT-4o-mini, all categories)':<51}{PAPER[0]:>11.2f}{PAPER[1]:>8.2f}",
        f"accuracy {quality.accuracy:.3f}",
    ]
    return "\n".join(lines)
