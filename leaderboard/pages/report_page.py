"""The page of one report in its CT: each sentence with its findings and their masks, and nothing that was not measured.

Nobody has marked these findings, so the page has no reference and no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.pages.page import make_environment
from leaderboard.pages.vendor import VIEWER_SCRIPTS


@dataclass(frozen=True)
class ReportFinding:
    """One finding as it is shown.

    Attributes
    ----------
    id, text, category
        Its name, its text, and the code of its category.
    facts
        (name, value) of what was measured of its mask; empty without one.
    remarks
        What should be known of it: that its category is uncertain, that there is no mask and why.
    mask
        Address of its mask, seen from the page; empty without one.
    picture
        Input of the viewer; None without a mask.
    """

    id: str
    text: str
    category: str
    facts: Sequence[tuple[str, str]] = ()
    remarks: Sequence[str] = ()
    mask: str = ""
    picture: Any = None


@dataclass(frozen=True)
class ReportSentence:
    """One sentence of a report as it is shown.

    Attributes
    ----------
    text
        The sentence.
    findings
        Findings that are shown below it.
    elsewhere
        Names of its findings that are shown below an earlier sentence.
    aside
        (text, reason) of what of it is not drawn; an empty text is all of it.
    """

    text: str
    findings: Sequence[ReportFinding] = ()
    elsewhere: Sequence[str] = ()
    aside: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class ReportPage:
    """The input of the page.

    Attributes
    ----------
    model
        The model in one line.
    ct
        Name of the CT's file.
    lead
        What was found, in one sentence.
    notes
        What should be known before anything is read: what failed, what the model was run with.
    facts
        (name, value) of how it was made.
    sections
        (heading, sentences) in the order of the report.
    """

    model: str
    ct: str
    lead: str
    notes: Sequence[str]
    facts: Sequence[tuple[str, str]]
    sections: Sequence[tuple[str, Sequence[ReportSentence]]]


def render_report(page: ReportPage) -> str:
    """Return the page as HTML; it needs the style, the script and the viewer of the site below ``assets`` beside it."""
    pictures = any(finding.picture for _, said in page.sections for one in said for finding in one.findings)
    title = f"A report in its CT, by {page.model}"
    template = make_environment().get_template("report.html.j2")
    return template.render(root="", title=title, page=page, pictures=pictures, viewer_scripts=VIEWER_SCRIPTS)
