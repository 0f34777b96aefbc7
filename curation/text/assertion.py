"""Whether a phrase says that something is there, and whether it speaks of an earlier examination.

After NegEx (Chapman et al., J Biomed Inform 2001): a list of triggers, each with a direction; the phrases here are
clauses already, so that a trigger's scope is its clause. Uncertainty is not negation: "may be" stays positive.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from curation.text.bounded import bounded
from curation.text.lexicon import mentions, subject
from curation.text.places import places
from curation.text.unseen import is_former, is_history, is_only_thought_of, own_statement, without_advice
from curation.text.vocabulary import EXISTS, GONE, SEEN, THE_EARLIER

#: What may have become of a part of the body: "esophagus not dilated"; of a finding it says what it is not like.
_ALTERED: Final = r"(?:dilat|enlarg|thicken|widen|displac|deviat|narrow|elevat|calcif)\w*"
_NEGATION = re.compile(
    rf"""\b(?:
      no(?!\s+(?:significant\s+|obvious\s+)?(?:change|difference|increase(?!d)|interval))|
      not\s+(?:\w+\s+){{0,2}}(?:{SEEN}|distinguish\w*|pointed\s+out|selected|shown|apparent|appreciated|revealed|determined|
        (?:demonstr|discern|recogni[sz]|identifi|detect|percept|appreci|deline)\w*[ai]ble)|
      not\s+(?=(?:\w+ly\s+)?{_ALTERED})|
      (?:was|were|is|are|has|have)\s+not\b|(?:does|do|did)\s+not\s+(?:\w+ly\s+)?(?:carry|contain|include|have|show|
        reveal|demonstrate|display|suggest|indicate|see|find|identify|appear|think|believe|{EXISTS})\b|not\s+accompanied|not\s+any\b|cannot|could\s+not|
      can\s+not|without(?!\s+(?:contrast|iv\b))|not\s+much\b|nothing\s+to\s+suggest|fails?\s+to\s+(?:show|demonstrate)|
      absent|lacking|(?:absence|exclusion|disappearance)\s+of|by\s+(?:its|their)\s+absence|resolution\s+of|out\s+of\s+(?:the\s+)?question|\w+-free|negative(?=\s+for\b|\W*$)|free\s+(?:of|from)|
      neither|nor|none|nil|never|n[o']t\s+given|excluded(?!\s+from)|
      {GONE}|resolved|vanished|disappeared|unremarkable|ruled\s+out|unlikely|non-?visuali[sz]ed
    )\b|\([-0]\)|:\s*(?:\[\s*\]|(?:n|0)\W*$)|\bnot\W*$|^not\s+(?!only\b)""",
    re.IGNORECASE | re.VERBOSE,
)
#: Negation that reaches forward only: what stands before it is there ("opacities without consolidation"). After a dash
#: it is shared ("effusion - no thickening was detected").
_FORWARD = re.compile(
    r"(?<![-\u2013])(?<![-\u2013] )(?:without|no|free\s+(?:of|from)|negative\s+for|neither|not\s+accompanied|"
    r"(?:does|do|did)\s+not|(?:absence|exclusion|disappearance|resolution)\s+of)\b"
    rf"(?!\s+(?:longer|{SEEN}|{EXISTS})\b)(?=\s+\w)|\bnot\s+(?=(?:\w+ly\s+)?{_ALTERED})",
    re.IGNORECASE,
)
#: What a finding goes without, however general its name: "opacities without consolidation".
_BESIDE = re.compile(
    r"(?<!\bis )(?<!\bare )(?<!\bwas )(?<!\bwere )\b(?:without|not\s+accompanied|(?:does|do|did)\s+not\s+\w+)$",
    re.IGNORECASE,
)
#: Negation that says nothing of the finding itself: "not measured", "nodules that cannot be characterised", "has not
#: resolved", "in part resolved", "not seen in the previous examination".
_PSEUDO = re.compile(
    r"\b(?:(?:whose|(?:some|most|one)\s+of\s+which)\s[^,;]{0,80}?\b(?:cannot|could\s+not|can\s+not|not)\b[^,;]{0,160}?"
    r"(?=\s(?:is|are|was|were)\s+(?:observed|seen|detected|noted|present)|[,;.]|$)|not\s+only|no\s+more\s+than|no\s+aeration|"
    r"not?\s+(?:(?:significant(?:ly)?|obvious|interval|further)\s+){0,2}(?:change[sd]?|differences?|increases?|decreases?|resolution|"
    r"clearing|regression|progression|improvement)\b|neither\s+(?:grown|changed|increased|decreased|progressed)(?:\s+nor\s+\w+(?:\s+in\s+\w+)?)?|"
    r"(?:has|have|is|are)\s+not\s+(?:\w+\s+)?(?:resolv|disappear|cleared|regress|progress|improv|healed|grow)\w*|not\s+(?:in|de)creased\s+in\s+(?:size|number|extent)|"
    r"not\s+(?:specific|typical|differ\w*)|"
    r"(?:cannot|could\s+not|can\s+not|not)\s+(?:be\s+)?(?:\w+\s+)?(?:characteri[sz]ed|"
    r"excluded?|(?:distinguished|separated)\s+from|differentiated|ruled?\s+out|(?:distinguished|decided)\s+whether)|"
    r"(?:does|do|did)\s+not\s+\w+\s+(?:[\w,]+\s+){0,6}?(?:chang|differ|increas|decreas|progress|regress|growth|enhanc)\w*|"
    r"without\s+(?:significant\s+)?(?:change|difference|interval|contrast|iv|(?:prior|previous|comparison)\s)|"
    r"(?:in\s+part|part(?:ial)?ly|partial|mostly|largely|incomplete(?:ly)?)[\s-]+"
    r"(?:complete(?:ly)?\s+)?(?:regress|resol|disappear|clear)\w*(?:\s+of)?|"
    rf"not\s+(?:\w+ly\s+)?{SEEN}\s+(?:earlier\b|before\b|previously|(?:on|in)\s+{THE_EARLIER})|"
    rf"not\s+previously\s+{SEEN}|(?:was|were)\s+(?:not\s+(?:\w+\s+)?\w+|absent|missing)\s+(?:earlier\b|before\b|previously|formerly|(?:on|in|at)\s+{THE_EARLIER})|"
    rf"{GONE}(?=[^;,]{{0,60}}\s+and\s+(?:now\s+)?(?:has|have|shows?)\s+(?!not\b)))",
    re.IGNORECASE,
)
_NORMAL = re.compile(
    r"\b(?:normal(?!\s+(?:limits?\s+)?(?:is|are)\s+exceed)|natural|preserved|patent|unremarkable|open|"
    r"within\s+(?:normal|physiologic\w*)\s+limits|physiologic(?:al)?|intact|maintained|"
    r"age-appropriate|ordinary)\b",
    re.IGNORECASE,
)
#: Words that call an organ normal, and describe a finding: "symmetrical lungs", "symmetrical consolidations".
_NORMAL_ORGAN = re.compile(r"\b(?:symmetric(?:al)?|regular|clear|midline|homogen\w+)\b", re.IGNORECASE)
#: A sentence about an outline alone, which is as it should be.
_SMOOTH = re.compile(
    r"^(?:the\s+|its\s+|their\s+)?(?:(?!whose\b|with\b)\w+\s+){0,3}(?:contours?|borders?|margins?|edges?|surfaces?)\s+"
    r"(?:of\s+(?:the\s+)?(?:\w+\s+){1,3})?(?:is|are|was|were)\s+(?:\w+\s+)?(?:smooth|regular|sharp|clear|natural)\W*$",
    re.IGNORECASE,
)
#: Findings by name whose words also name what is there in everybody.
_OF_ORGANS: Final = frozenset(
    {
        "density_increase",
        "thickening",
        "muscle",
        "fat",
        "subcutaneous_fat",
        "bronchial_wall",
        "hollow_wall",
        "dilatation",
        "postoperative",
    }
)
#: Parts of the body whose names alone say nothing, and what makes findings of them.
_PARTS: Final = frozenset({"bronchial_wall", "hollow_wall", "muscle"})
_CHANGED = re.compile(
    r"thick|thin|calcif|irregular|(?:in|de)creas|prominen|promin|dilat|ectas|atroph|hypertroph|ed?ema|mass|nodul|densit|infiltrat|invad|"
    r"involve|enlarg|narrow|loss|sarcopen|cuff|inflam|heterogen|asymmetr",
    re.IGNORECASE,
)
_ABNORMAL_ANYWAY = re.compile(
    r"\b(?:than|above|beyond|exceed\w*|below)\s+(?:the\s+)?normal",
    re.IGNORECASE,
)
#: Smaller lymph nodes, and the like: seen, and no abnormality.
_VARIANT = re.compile(
    r"\b(?:non-?pathologic\w*|nonspecific\s+lymph|(?:not?|without|below|under|"
    r"smaller\s+than)\s+(?:in\s+|of\s+|reach\w*\s+)?(?:the\s+)?pathologic\w*|"
    r"nodes?\s+(?:(?:is|are|was|were)\s+)?(?:(?:all|regressed|shrunk)\s+)?(?:to\s+)?(?:<|below|under|smaller\s+than|less\s+than|not\s+exceeding)\s*(?:1\s*cm|10\s*mm)|"
    r"anatomic(?:al)?\s+variant|normal\s+variant|azygos\s+(?:lobe|fissure)|accessory\s+fissure|fatty\s+hil\w+)\b",
    re.IGNORECASE,
)
_PRIOR = re.compile(
    r"""\b(?:stable|stabili[sz]ed|stability|unchanged|no(?:t)?\s+(?:\w+\s+)?(?:change|difference)\w*|new(?:ly)?|progress\w*|regress\w*|
      (?:previous(?:ly)?|prior)(?!\s+(?:\w+\s+)?(?:granulom|infect|surg|operat|tubercul|tb\b|pneumon|fractur|radio|treat|
        bypass|resect|trauma|history|inflam|intervention|disease))|earlier|old\s+(?:examination|ct|study|review)|compar(?:ed|ison|ative|ing)|interval|since\s+(?:the|last)|
      current\s+(?:examination|study|review|ct)|follow-?up|(?:de|in)creas(?:ed|ing|e)\s+in\s+(?:the\s+)?(?:size|number|amount|extent)|
      (?:has|have)\s+(?:been\s+)?(?:de|in)creased|resol(?:ved|ution|ving)|persist\w*|remain(?:s|ed)?|[mc]m\s+before|still|again|redemonstrat\w*|known|
      (?:de|in)creased\s+(?:in\s+)?(?:number|size)|appeared|emerged|residual(?!\s+thym)|worsen\w*|improv\w*|became|disappear\w*)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_SPECULATION: Final = (
    r"suspicious\s+(?:for|of|in\s+terms\s+of)|suggest(?:ive|ing|s)?\s+(?:of\b)?|suspected|"
    r"suspicion|concerning\s+for|likely|probabl[ey]|possibl[ey]|"
    r"(?:was|were|is|are)?\s*(?:primarily\s+|initially\s+|first\s+)?(?:evaluated|considered|"
    r"interpreted|thought)\s+(?:primarily\s+|initially\s+)?(?:in\s+favou?r|to\s+be|as|"
    r"in\s+terms|secondary|to\s+represent)|"
    r"in\s+favou?r\s+of|may\s+be|might\s+be|could\s+be|can\s+be\s+(?:seen|considered)|reminiscent\s+of|differential"
)
_SUPPOSES = re.compile(rf"\b(?:{_SPECULATION})", re.IGNORECASE)
_SPECULATION_TAIL = re.compile(
    (
        rf"\s*(?:[,;(]|\band\b|\bwhich\b|\bthat\b|\bwith\b|\b(?:is|are|was|"
        rf"were)\b)*\s*\b(?:high(?:ly)?\s+|very\s+|most\s+|more\s+|primarily\s+|"
        rf"initially\s+|first\s+)?(?P<trigger>{_SPECULATION}).*$"
    ),
    re.IGNORECASE | re.DOTALL,
)
#: "…, possibly metastases, some with a halo": what follows the second comma is stated again.
_SUPPOSED_ASIDE = re.compile(
    r",\s*(?:possibl[ey]|probabl[ey]|likely|presumabl[ey]|which\s+may\s+(?:be|represent))\b[^,;]*,\s*(?=some|most|with|all|the\b)",
    re.IGNORECASE,
)
#: Words that leave open whether a finding is there, or what it is.
_HEDGED = re.compile(
    r"\?|\b(?:(?:cannot|could\s+not|can\s+not|not)\s+(?:be\s+)?(?:\w+\s+)?(?:excluded?|ruled?\s+out)|"
    r"(?:may|might|could)\s+(?:be|represent|indicate|suggest)|questioned|possib(?:le|ly|ility)|probabl[ey]|probability|likely|"
    r"suspicious|suspected|suspicion|suspect|questionable|doubtful|equivocal|uncertain|suggest(?:s|ive|ing)?|"
    r"in\s+favou?r\s+of|concerning\s+for|reminiscent|impression\s+of|differential)\b",
    re.IGNORECASE,
)
_NEARLY = re.compile(r"\b(?:almost|near(?:ly)?)\b[\s-]+(?:complete(?:ly)?\s+)?(?:re|dis|clear)", re.IGNORECASE)
_ORGAN: Final = (
    r"(?:kidneys?|gall\s?bladder|spleen|breasts?|thyroid(?:\s+(?:gland|lobe))?|adrenal(?:\s+glands?)?|uterus|prostate|"
    r"pancreas|stomach|lungs?|(?:upper|middle|lower)\s+lobes?|lobe\s+of\s+the\s+thyroid|thymus|ribs?|clavicles?)"
)
#: An organ that is not there: an abnormality, unless the images do not reach it.
_ABSENT_ORGAN = re.compile(
    rf"^(?:absence\s+of\s+(?:the\s+)?(?:\w+\s+){{0,2}}{_ORGAN}\b(?!\s+\w+\s+(?:stone|lesion|mass|nodule))|"
    rf"(?:surgically|congenitally)\s+absent\s+(?:(?:right|left)\s+)?{_ORGAN}\b|"
    rf"(?:the\s+)?(?:(?:right|left|both|bilateral)\s+)?{_ORGAN}\s+(?:(?:is|are|was|were)\s+)?"
    r"(?:(?:surgically\s+|congenitally\s+)?absent|removed|"
    r"not\s+(?:observed|seen|visuali[sz]ed|detected|present|monitored|found|identified|available)))"
    r"(?!.*\b(?:field\s+of\s+view|sections?|cross-section\w*|examination|study)\b)",
    re.IGNORECASE | re.DOTALL,
)
_ADVICE_TAIL = re.compile(
    r"\s*[,;]?\s*(?:and\s+|which\s+|it\s+)?(?:is|are|was|were)\s+recommended\b.*$", re.IGNORECASE | re.DOTALL
)
_PLACE = re.compile(
    r"\s(?:in|at|on)\s+(?:the\s+)?(?:both|bilateral|right|left|upper|middle|lower|lung|ling)", re.IGNORECASE
)


@lru_cache(maxsize=16384)
def is_negated(text: str) -> bool:
    """Return whether a clause says that its finding is not there."""
    text = _PSEUDO.sub(" ", text)
    found = list(_NEGATION.finditer(text))
    if not found:
        return False
    before = subject(mentions(text[: found[0].start()]))
    if before is None or (before.concept.generic and not _BESIDE.search(text, 0, found[0].end())):
        return True
    return not all(_FORWARD.match(text, match.start()) for match in found)


@lru_cache(maxsize=16384)
def is_normal(text: str) -> bool:
    """Return whether a clause calls something normal, or a normal variant."""
    if _VARIANT.search(text) or _SMOOTH.match(text) or calls_normal(text):
        return True
    if _NORMAL.search(text) or not _NORMAL_ORGAN.search(text):
        return False
    about = subject(mentions(text))
    return about is None or about.concept.name in _OF_ORGANS


def calls_normal(text: str) -> bool:
    """Return whether a clause has a word that always calls something normal."""
    return bool(_NORMAL.search(text)) and not _ABNORMAL_ANYWAY.search(text)


def mentions_prior(text: str) -> bool:
    """Return whether a text uses terms that only make sense beside an earlier examination; what it advises is none."""
    return bool(_PRIOR.search(without_advice(text)))


def is_hedged(text: str) -> bool:
    """Return whether a text leaves open whether its finding is there, or what it is."""
    return bool(_HEDGED.search(text))


def is_nearly_gone(text: str) -> bool:
    """Return whether a text says that nearly nothing is left of its finding: there for one reader, gone for another."""
    return bool(_NEARLY.search(text))


def is_bare_part(text: str) -> bool:
    """Return whether a text is about a part of the body, a wall or a muscle, of which it says nothing."""
    named = {mention.concept.name for mention in mentions(text) if mention.concept.finding}
    return bool(named) and named <= _PARTS and not _CHANGED.search(text)


def is_absent_organ(text: str) -> bool:
    """Return whether a text says that an organ is missing in the patient, as after its removal."""
    return bool(_ABSENT_ORGAN.search(text))


def is_seen(text: str) -> bool:
    """Return whether a phrase says that something abnormal is seen.

    It is not negated, normal, from the history or an earlier examination alone, nor only a reason for advice. An organ
    that is missing is abnormal, though what is said of it is a negation.
    """
    if is_absent_organ(text):
        return True
    own = own_statement(text)
    if subject(mentions(own)) is None or is_bare_part(own) or is_negated(text) or is_normal(text):
        return False
    return not (is_history(text) or is_former(text) or is_only_thought_of(text))


def digits(text: str) -> list[str]:
    """Return the numbers of a text as written, but for the one in the name of COVID-19."""
    return re.findall(r"\d+", re.sub(r"covid\W{0,2}19", "", text, flags=re.IGNORECASE))


@bounded
def without_speculation(text: str) -> str:
    """Return a phrase without what it supposes or recommends.

    All from the first word of suspicion goes or, where the end says where the finding is, only what stands before the
    place. What would lose a number, a side or a lobe stays, and so does a supposition that alone says what is seen
    ("density evaluated in favor of atelectasis").
    """
    beside = _SUPPOSED_ASIDE.sub(", ", text)
    if keeps(beside, text):
        text = beside
    advised = _ADVICE_TAIL.sub("", text)
    if keeps(advised, text):
        text = advised
    match = _SPECULATION_TAIL.search(text) if _SUPPOSES.search(text) else None
    if match is None or is_negated(text):
        return text
    place = _PLACE.search(text, match.end("trigger"))
    if not text[match.end("trigger") : place.start() if place else None].strip(" .)"):
        return text  # "an effusion is suspected on the left": the finding itself is left open
    head = text[: match.start()]
    cuts = [head] + ([head + text[place.start() :]] if place else [])
    return next((cut for cut in (cut.strip(" ,;(") for cut in cuts) if keeps(cut, text)), text)


@bounded
def keeps(cut: str, text: str) -> bool:
    """Return whether a shortened phrase keeps the numbers and places of the whole one, and what it is about."""
    if len(cut.split()) < 2 or digits(cut) != digits(text) or places(text) - places(cut):
        return False
    here, there = subject(mentions(cut)), subject(mentions(text))
    return here is not None and (not here.concept.generic or there is None or there.concept.generic)
