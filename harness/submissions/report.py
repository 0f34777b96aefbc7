"""What a pull request shows of a text folder: Markdown that a stranger's text cannot leave, of a bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from harness.submissions.pull_request import PullRequest
from harness.submissions.text_files import shown
from harness.submissions.travelled import TextFolder
from harness.submissions.verify import SubmissionCheck

#: Characters of a cell, and of the whole: a comment has at most 65,536.
_CELL: Final = 600
_WHOLE: Final = 30_000

#: What Markdown, HTML, mentions, references and addresses begin with.
_TELLING: Final = "\\`*_{}[]()#+!|<>&@~:$^\"'="


def escaped(text: object, most: int = _CELL) -> str:
    """Return a text as one line that Markdown shows as it is: no link, mention, image, table or markup."""
    return "".join(f"&#{ord(one)};" if one in _TELLING else one for one in shown(text, most))


def markdown_of(checks: Sequence[SubmissionCheck], folder: TextFolder | None) -> str:
    """Return the report on a folder.

    Parameters
    ----------
    checks
        Its lines.
    folder
        What was read; None where it cannot be.
    """
    counted = Counter(one.outcome for one in checks)
    lines = [", ".join(f"{counted[outcome]} {outcome}" for outcome in ("pass", "FAIL", "note", "skip")), ""]
    if folder is not None:
        run, metrics = folder.record.run, folder.record.metrics
        who = escaped(folder.card.who) or "nobody stated"
        lines += [
            f"{escaped(run.title)}, {escaped(run.variant)}, {run.kind}; by {who}",
            "",
            "| profile | metric | all findings | 95 % interval | n |",
            "|---|---|---|---|---|",
        ]
        for profile, found in metrics.items():
            for metric, groups in found.items():
                lines.append(f"| {escaped(profile)} | {escaped(metric)} | {_numbers(groups.get('all'))} |")
        lines.append("")
    lines += ["| check | | found | what to do |", "|---|---|---|---|"]
    lines += [f"| {one.name} | {one.outcome} | {escaped(one.found)} | {escaped(one.fix)} |" for one in checks]
    return _bounded("\n".join(lines))


def markdown_of_request(found: PullRequest) -> str:
    """Return the report on a pull request: on the whole, then on each of its folders."""
    failed = len(found.failed)
    head = f"**{failed} checks failed.**" if failed else "Every check passed. What was skipped, nobody has looked at."
    parts = [head, "", markdown_of(found.checks, None)]
    for place, (checks, folder) in found.folders.items():
        parts += ["", f"### {escaped(place, 400)}", "", markdown_of(checks, folder)]
    return _bounded("\n".join(parts))


def _bounded(text: str) -> str:
    return text if len(text) <= _WHOLE else f"{text[:_WHOLE].rpartition(chr(10))[0]}\n\n(the rest is left out)"


def _numbers(cell: object) -> str:
    if not isinstance(cell, dict) or not isinstance(cell.get("value"), int | float):
        return "— | — | —"
    interval = cell.get("ci95")
    shown_interval = "—"
    if isinstance(interval, list) and len(interval) == 2 and all(isinstance(end, int | float) for end in interval):
        shown_interval = f"{interval[0]:.3f} to {interval[1]:.3f}"
    return f"{cell['value']:.3f} | {shown_interval} | {escaped(cell.get('n'), 20)}"
