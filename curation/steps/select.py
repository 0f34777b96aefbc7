"""Step 5, ``select``: the findings that can be annotated (paper, section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from curation.records import CategorizedReport, Excluded, SelectedReport
from curation.schema import CODES, is_lung
from curation.steps.step import Step
from curation.text.assertion import is_absent_organ
from curation.text.lexicon import mentions
from curation.text.places import places

_DIFFUSE = re.compile(
    r"\b(?:mosaic|hyper-?inflat|air[- ]trapping|aeration difference|difference\w* in aeration)", re.IGNORECASE
)
_VARIANT = re.compile(
    r"\b(?:azygos (?:lobe|fissure)|accessory fissure|(?:normal|anatomic\w*) varia|"
    r"intra-?pulmonary lymph node|tracheal bronchus|"
    r"(?:sub-?centimeter|millimetric|small) (?:\w+ )?lymph node)",
    re.IGNORECASE,
)
_GONE = re.compile(r"\b(?:resected|lobectomy|pneumonectomy|operated|no longer|disappeared|resolved)\b", re.IGNORECASE)
_DIAGNOSIS = re.compile(
    r"\b(?:covid|pneumonia|tuberculosis|infection|disease|copd|bronchitis|bronchiolitis|edema|malignan|carcinoma|lymphoma|ca\b)",
    re.IGNORECASE,
)
#: A place that another sentence says.
_ELSEWHERE = re.compile(
    r"\b(?:(?:this|these|that|those|same|described|mentioned|defined|aforementioned)\s+"
    r"(?:localization|location|level|area|region|segment|site|place|lesion|nodule|mass|finding|appearance|opacit\w+|densit\w+)s?"
    r"|(?:around|beyond|beside|distal to|next to|adjacent to) (?:it|them)|"
    r"in (?:its|their|the) (?:neighbou?rhood|vicinity)(?! of)|described above)\b",
    re.IGNORECASE,
)
_PLACED = re.compile(
    r"\b(?:segments?|api(?:x|ces|cal)|basal\w*|\w+basal|fissure|hil(?:um|us|ar)|carina)\b", re.IGNORECASE
)
#: Places outside the lung that the words of a finding name, and those of lung and pleura.
_BEYOND = re.compile(
    r"\b(?:chest wall|thoracic wall|subcutan\w*|under the skin|bladder|mediastin(?:um|al)(?! pleura)|prevascular|"
    r"breast|axilla|peri-?ventricular|"
    r"(?:left|right) ventricle|atrium|latissimus|pectoral\w*|muscles?|cardiophrenic|pericardial cyst)\b",
    re.IGNORECASE,
)
_WITHIN = re.compile(
    r"lung|lobe|lobar|pleur|bronch|lingul|parenchym|segment|fissur|basal|\bap(?:ex|ic)|hemithorax|pulmon|"
    r"alveol|trache|emphysem",
    re.IGNORECASE,
)
_NOT_THERE = re.compile(r"\b(?:not|without)\b[^,;]*", re.IGNORECASE)  #: "a mediastinal mass, not invading the lung"
#: Phrases that begin so speak of something that another sentence names, or of what should be done.
_NO_OBJECT = re.compile(
    r"^(?:(?:in the (?:current|previous|prior) \w+, )?(?:it|they)|its|their|this|these|"
    r"similar (?:\w+ )?(?:appearance|finding|change|area|involvement|view)s?|"
    r"(?:in|around|within) which|in whom|although|if|when|because|first of all|follow-?up|"
    r"control|evaluation|apart from|around (?:the|this)|no significant|causing|obliterating|including|containing|"
    r"contains|"
    r"(?:the )?(?:findings?|appearances?)(?: \w+){0,2} (?:is|are|was|were|may)|"
    r"(?:the )?(?:long|short|largest|longest|widest)\w* (?:axis|diameter)|on the (?:right|left)|as well|"
    r"secondary to)\b",
    re.IGNORECASE,
)
#: A sign of something that another phrase names.
_SIGN = re.compile(r"^(?:\w+ ){0,2}air[- ]?bronchograms?\b", re.IGNORECASE)
#: Concepts that name a diagnosis or nothing by themselves: a finding of only these has no shape that could be drawn.
_SHAPELESS: Final = frozenset({"edema", "postoperative", "thickening", "calcification", "dilatation"})


def select(report: CategorizedReport) -> SelectedReport:
    """Keep what can be annotated; everything else is kept apart with its reason."""
    kept, excluded = [], []
    for finding in report.findings:
        reason = why_not(finding.text, finding.category)
        if reason:
            excluded.append(Excluded(text=finding.text, category=finding.category, reason=reason))
        else:
            kept.append(finding)
    return SelectedReport(id=report.id, findings=tuple(kept), excluded=tuple(excluded))


def why_not(text: str, category: str) -> str:  # noqa: PLR0911 - one return a reason
    """Return why a finding is not annotated; empty where it is."""
    if not is_lung(category):
        return f"outside the lung and the pleura ({category} {CODES[category]})"
    if _BEYOND.search(text) and not _WITHIN.search(_NOT_THERE.sub("", text)):
        return "outside the lung and the pleura, by its place"
    if _VARIANT.search(text):
        return "normal variant"
    if _DIFFUSE.search(text):
        return "too diffuse to segment"
    if _GONE.search(text) or is_absent_organ(text):
        return "not localizable: the named structure is no longer present"
    if _ELSEWHERE.search(text) and not places(text) and not _PLACED.search(text):
        return "not localizable: its place is said in another sentence"
    if _NO_OBJECT.match(text) or (_SIGN.match(text) and not places(text)):
        return "not localizable: it names no object of its own"
    findings = {mention.concept.name for mention in mentions(text) if mention.concept.finding}
    seen = {mention.concept.name for mention in mentions(_DIAGNOSIS.sub(" ", text)) if mention.concept.finding}
    thickened = "thickening" in seen and re.search(r"\b(?:pleura|fissure|bronch|septa|calcif)", text, re.IGNORECASE)
    if not seen - _SHAPELESS and not thickened and (findings or _DIAGNOSIS.search(text)):
        return "not localizable: it names a diagnosis, and nothing to be seen"
    return ""


def check(report: CategorizedReport, result: SelectedReport) -> list[str]:
    """Check that no finding is lost: each is kept or excluded with a reason, and the order is the report's."""
    texts = [finding.text for finding in report.findings]
    after = sorted([finding.text for finding in result.findings] + [item.text for item in result.excluded])
    kept = [finding for finding in report.findings if finding in result.findings]
    return [] if sorted(texts) == after and kept == list(result.findings) else ["findings were lost or reordered"]


def choose_scans(reports: Iterable[SelectedReport], limit: int | None = None) -> list[SelectedReport]:
    """Return the scans with a finding to annotate, by id in natural order, at most `limit` of them."""
    chosen = sorted((report for report in reports if report.findings), key=lambda report: natural(report.id))
    return chosen[:limit]


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts ``train_2_a`` before ``train_10_a``."""
    return tuple(
        (len(part.lstrip("0")), part.lstrip("0")) if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)
    )


STEP: Final = Step("select", CategorizedReport, SelectedReport, select, check)
