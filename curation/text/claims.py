"""What a text claims of the images, in a form in which a rewriting and its source can be compared.

Two wordings of one statement name the same findings with the same polarity, and give them the same sides, lobes,
segments, sizes, numbers and severity. Only what both can be read for is compared: a difference found here is a real
one nearly always, and two texts without a difference may still differ in what no rule reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from curation.text import contrasts, measurements, places
from curation.text.assertion import calls_normal, is_former, is_negated, is_normal, is_seen, mentions_prior
from curation.text.bounded import bounded
from curation.text.clauses import phrases_of
from curation.text.details import counts, segments, severity
from curation.text.lexicon import concepts, mentions, subject

#: Concepts that good wordings exchange for each other, named by their first.
_SAME: Final = (
    ("nodule", "lesion", "micronodule"),
    ("scar", "linear", "pleural_irregular"),
    ("atelectasis", "subsegmental"),
    ("consolidation", "density_increase"),
    ("emphysema", "bulla", "bleb", "air_cyst", "aeration", "mosaic"),
    ("stone", "organ_calcification", "granuloma", "calcification", "atherosclerosis"),
    ("vessel_enlarged", "chamber", "dilatation", "hollow_dilated", "organomegaly"),
    ("clip", "device", "elongated_device", "postoperative", "missing_organ"),
    ("bone_lesion", "degenerative", "bone_other", "fracture", "osteoporosis"),
    ("pleural_thickening", "bronchial_wall", "hollow_wall", "thickening", "skin_thickening"),
    ("hiatal", "hernia", "wall_hernia"),
    ("pleural_effusion", "pericardial_effusion", "free_fluid"),
    ("septal", "crazy_paving", "stranding"),
    ("fat", "subcutaneous_fat", "steatosis"),
    ("organ_diffuse", "atrophy"),
    ("displaced", "distortion"),
)
_GROUP: Final = {name: names[0] for names in _SAME for name in names}
#: Too general, or too often a word of something else, to be missed where they are gone.
_WEAK: Final = frozenset({"variant", "muscle", "edema", "lymph_node"})

#: Findings by other names than their own.
_ALSO: Final = {
    "consolidation": re.compile(r"\bpneumonia", re.IGNORECASE),
    "nodule": re.compile(r"\bgranulom", re.IGNORECASE),
    "scar": re.compile(r"\bchronic", re.IGNORECASE),
    "stone": re.compile(r"\bcalci\w* (?:\w+ ){0,2}nodul|\bnodul\w* (?:\w+ ){0,2}calci", re.IGNORECASE),
}
#: Words that describe a finding: one that is not among those of its source, in any of these spellings, is invented.
_ATTRIBUTES: Final = {
    "calcified": re.compile(r"calci|granulom", re.IGNORECASE),
    "spiculated": re.compile(r"spicul|radial", re.IGNORECASE),
    "cavitary": re.compile(r"cavit|excavat", re.IGNORECASE),
    "necrotic": re.compile(r"necro", re.IGNORECASE),
    "subsolid": re.compile(r"\b(?:semi|part|sub)(?:ly)?[- ]?solid|ground", re.IGNORECASE),
    "loculated": re.compile(r"locul|encyst|encapsul|septat|ankyst", re.IGNORECASE),
    "peripheral": re.compile(r"periph|subpleural|cortical", re.IGNORECASE),
    "central": re.compile(r"cent(?:ral|er|re)|hilar|hilum|hilus|caudal|midline", re.IGNORECASE),
    "new": re.compile(
        r"\bnew|emerg|appear|develop|de novo|recent|(?:not|no)\b.*\b(?:previous|prior|old|former|earlier)|occur",
        re.IGNORECASE,
    ),
    "stable": re.compile(
        r"stab|unchang|\b(?:no|not|without)\b.*\b(?:chang|differ|increas|decreas|progress|regress)|same|similar|persist|"
        r"continu|remain|preserv|still|again|previous",
        re.IGNORECASE,
    ),
}
_SAID: Final = {
    "calcified": r"calcif",
    "spiculated": r"spiculat",
    "cavitary": r"cavitary|cavitat",
    "necrotic": r"necrotic",
    "subsolid": r"(?:semi|part|sub)[- ]?solid",
    "loculated": r"loculat",
    "peripheral": r"peripheral",
    "central": r"central(?:ly)?\b(?!\s+(?:\w+\s+)?(?:catheter|line))",
    "new": r"new(?:ly)?\b",
    "stable": r"stable|unchanged",
}
_SAYS: Final = {name: re.compile(rf"\b(?:{words})", re.IGNORECASE) for name, words in _SAID.items()}
#: Attributes that make another finding of a finding of the same name.
_SHAPES: Final = frozenset({"spiculated", "cavitary", "necrotic", "subsolid", "loculated"})
#: Growing and shrinking, as of a comparison with an earlier examination: not "increased density".
_GROWS = re.compile(
    r"\bincreas\w* (?:in )?(?:the |its |their )?(?:size|number|amount|extent|dimension|diameter|volume)|"
    r"\b(?:has|have) (?:been )?(?:increased|grown|progressed|enlarged)|"
    r"\b(?:progress|worsen|enlarging|enlarged (?:since|from|compared)|grow)|\blarger than(?! (?:the )?normal| \d)",
    re.IGNORECASE,
)
_SHRINKS = re.compile(
    r"\b(?:decreas|reduc|diminish)\w* (?:in )?(?:the |its |their )?"
    r"(?:size|number|amount|extent|dimension|diameter|volume)|"
    r"\b(?:has|have) (?:been )?(?:decreased|regressed|shrunk|resolved|resorbed|disappeared|diminished)|"
    r"\b(?:regress|improv|smaller than(?! (?:the )?normal| \d))",
    re.IGNORECASE,
)
#: A place that a finding spares.
_EXCEPTED = re.compile(
    r"\b(?:except(?:ing)?(?:\s+for)?|other\s+than|apart\s+from|sparing|spares?|with\s+the\s+exception\s+of)\s+([^,;.]+)",
    re.IGNORECASE,
)
#: What is calcified in any case.
_CALCIUM = re.compile(r"\b(?:athero|plaque|stone|calcul|granulom|sequel)", re.IGNORECASE)
_CYST = re.compile(r"\bcysts?\b", re.IGNORECASE)
#: What is gone, or nearly: one wording names it, another says that it is not there.
_FADES = re.compile(r"\b(?:resorb|resol|disappear)", re.IGNORECASE)
_COURSE = re.compile(r"\b(?:has|have) (?:been )?(?:in|de)creased|\b(?:progress|regress|worsen)", re.IGNORECASE)
_THICKER = re.compile(r"\bthickness\w*\b[^,;.]{0,60}?\b(?:has|have) increased", re.IGNORECASE)  #: is thickened
_BESIDE = re.compile(
    r"\b(?:compared|(?:also|still|already)\b.*\b(?:previous|prior|old)|previously|again)\b", re.IGNORECASE
)
_CA = re.compile(r"\b(?:ca|cancer|carcinoma|malignan\w*|tumou?r\w*)\b", re.IGNORECASE)
#: A word for a disease, by its ending or as it is.
_DISEASE = re.compile(
    r"\b(?:\w{3,}(?:omas?|omata|itis|osis|oses|iasis|pathy|pathies)|infarct\w*|embol\w*|sarcoid\w*|tubercul\w*|carcino\w*|"
    r"cancers?|metasta\w*|malignan\w*|fung\w+|abscess\w*|h(?:a)?emorrhag\w*|fistula\w*|edema)\b",
    re.IGNORECASE,
)
_COMPARES = re.compile(
    r"increas|decreas|reduc|diminish|resorb|resol|disappear|progress|regress|worsen|improv|grow|chang|differ|larger|smaller|enlarg|expan|more|less|loss|"
    r"dilat|ectas|wide|aneurysm|megal",
    re.IGNORECASE,
)
#: Organs outside the lung that good wordings do not exchange.
_ORGANS: Final = frozenset({"liver", "gallbladder", "kidney", "spleen", "adrenal", "pancreas", "thyroid", "esophagus"})
_OPEN = re.compile(
    r"\?|\b(?:(?:cannot|could\s+not|can\s+not|not)\s+(?:be\s+)?(?:\w+\s+)?(?:excluded|ruled\s+out)|"
    r"(?:may|might|could)\s+(?:be|represent)|possib(?:le|ly|ility)|probabl[ey]|suspicious|suspected|suspicion|"
    r"questionable|equivocal|uncertain)\b",
    re.IGNORECASE,
)
_OPEN_TOO = re.compile(
    r"\b(?:likely|may|might|could|suggest\w*|favou?r\w*|presum\w*|attribut\w*|concerning|consider\w*|consistent|compatible|potential|differential|"
    r"interpreted|evaluated|thought|questioned|raises?|indeterminate|exclude\w*)\b",
    re.IGNORECASE,
)
_GRAVE = re.compile(r"\b(?:metasta|malign|carcino|cancer|embol|lymphoma)", re.IGNORECASE)
_TENTATIVE = re.compile(
    rf"{_OPEN.pattern}|\b(?:likely|suggest\w*|in\s+favou?r|favou?red|concerning|may)\b", re.IGNORECASE
)
#: Where the parts of a text begin; "middle and lower lobes" are one place.
_CHUNK = re.compile(
    r"\s*[,;:]\s*|\.\s+|(?<!upper)(?<!middle)(?<!lower)\s+and\s+|\s+(?:while|whereas|with|but)\s+", re.IGNORECASE
)


@bounded
@lru_cache(maxsize=16384)
def stated(text: str) -> str:
    """Return the part of a text that says that something abnormal is there."""
    return "; ".join(phrase for phrase in phrases_of(text) if not phrase.endswith("?") and is_seen(phrase))


@bounded
@lru_cache(maxsize=16384)
def findings(text: str, *, weak: bool = False) -> frozenset[str]:
    """Return the findings that a text says are there, wordings of one thing under one name.

    Parameters
    ----------
    text
        One sentence, or several.
    weak
        Whether general words and question marks count: for what may be said, not for what must.
    """
    there = text if weak else stated(text)
    found = [m.concept for m in mentions(there) if m.concept.finding]
    names = {c.name for c in found if weak or (not c.generic and c.name not in _WEAK)}
    return frozenset(_grouped(name) for name in names)


@bounded
def lost_findings(source: str, target: str) -> list[str]:
    """Return the findings that `source` says are there, and `target` does not name as there."""
    # A word that only qualifies another finding may go with it ("traction", "calcified"): the subjects must stay.
    subjects = {
        _grouped(main.concept.name)
        for phrase in phrases_of(source)
        if is_seen(phrase) and not phrase.endswith("?") and (main := subject(mentions(phrase))) is not None
        if not main.concept.generic and main.concept.name not in _WEAK
        if not _OPEN.search(phrase, 0, main.start) and not _FADES.search(phrase)
    }
    return sorted(subjects - _all_findings(target) - _supposed(target))


@lru_cache(maxsize=16384)
def _all_findings(text: str) -> frozenset[str]:
    there = stated(text)
    named = findings(there, weak=True) if there else frozenset[str]()
    return named if is_negated(text) else named | _also(text)


def _also(text: str) -> frozenset[str]:
    """Return the findings for which the words of a text are other names: pneumonia, granulomas, calcified nodules."""
    return frozenset(name for name, words in _ALSO.items() if words.search(text))


def _supposed(text: str) -> frozenset[str]:
    """Return all findings that a text names and does not deny, what it only supposes among them."""
    denied = _kinds(" . ".join(filter(is_negated, phrases_of(text))))
    return _kinds(text) - denied


@bounded
def invented_findings(target: str, sources: Iterable[str]) -> list[str]:
    """Return the findings that `target` says are there, and none of `sources`, each a sentence, does.

    Words that name several findings ("hyperinflation") are invented where none of these is there.
    """
    allowed = frozenset[str]().union(*(_all_findings(source) | _former_findings(source) for source in sources))
    text = stated(target)
    found = [mention for mention in mentions(text) if mention.concept.finding and not mention.concept.generic]
    new = [m for m in found if _grouped(m.concept.name) not in allowed and m.concept.name not in _WEAK]
    return sorted({_grouped(m.concept.name) for m in new if not _names_at(text, m.start) & allowed})


def _names_at(text: str, start: int) -> set[str]:
    """Return all findings that the words at a place can name."""
    return {_grouped(c.name) for c in concepts().values() if c.finding and c.pattern.match(text, start)}


def _grouped(name: str) -> str:
    return _GROUP.get(name, name)


@lru_cache(maxsize=16384)
def _former_findings(text: str) -> frozenset[str]:
    former = "; ".join(filter(is_former, phrases_of(text)))
    return findings(former, weak=True) if former else frozenset()


@bounded
def denied_findings(target: str, source: str) -> list[str]:
    """Return what `target` is about, where `source` says that this is not there."""
    main = subject(mentions(target))
    if main is None or is_negated(target):
        return []
    name = _grouped(main.concept.name)
    denied = " . ".join(phrase for phrase in phrases_of(source) if is_negated(phrase))
    exact = {m.concept.name for m in mentions(denied)} - {m.concept.name for m in mentions(stated(source))}
    if not main.concept.generic and main.concept.name in exact:
        return [name]
    gone = {_grouped(m.concept.name) for m in mentions(denied) if m.concept.finding}
    return [name] if name in gone and name not in _all_findings(source) else []


@bounded
def turned(source: str, target: str) -> list[str]:
    """Return what `source` says is there, and `target` says is not there."""
    there = (phrase for phrase in phrases_of(source) if is_seen(phrase) and not _FADES.search(phrase))
    return sorted({name for phrase in there for name in denied_findings(phrase, target)})


def facts(text: str) -> frozenset[str]:
    """Return every detail of a text that a joined wording must keep: places, segments, severity, numbers, counts."""
    counted = {f"count {n}" for n in counts(text) if n not in {"many", "1"}}
    placed = places.places(text) | places.implied(text)
    shaped = {name for name in (*_SHAPES, "calcified") if _SAYS[name].search(text)}
    return placed | segments(text) | severity(text) | measurements.numbers(text) | counted | shaped


def is_open(text: str, *, widely: bool = False) -> bool:
    """Return whether a text leaves open if its finding is there; `widely`: or uses any word of interpretation."""
    return bool(_OPEN.search(text) or (widely and _OPEN_TOO.search(text)))


@bounded
def clashes(source: str, target: str) -> list[str]:
    """Return sizes and findings that two texts put on different sides, or in different lobes."""
    problems = []
    for of in (places.sides, places.lobes, segments, severity, _named, _specific):
        here, there = _placed(source, of, widely=True), _placed(target, of)
        for thing in sorted(here.keys() & there.keys()):
            if here[thing] and there[thing] and not here[thing] & there[thing]:
                where = [" and ".join(sorted(names)).replace("_", " ") for names in (here[thing], there[thing])]
                problems.append(f"{thing.replace('_', ' ')} is {where[0]} in the source, and {where[1]} here")
    for match in _EXCEPTED.finditer(source):
        if subject(mentions(match[1])) is not None:
            continue  # a finding is excepted, not a place
        spared = places.places(match[1]) - places.places(source[: match.start()] + source[match.end() :])
        if spared and spared <= places.places(target) and not _EXCEPTED.search(target) and not is_negated(source):
            problems.append(f"its source excepts {' '.join(sorted(spared))}")
    return problems


def _kinds(text: str) -> frozenset[str]:
    """Return the findings that a text names, wordings of one thing under one name."""
    named = {_grouped(m.concept.name) for m in mentions(text) if m.concept.finding}
    return frozenset(named | {"cyst"} if _CYST.search(text) else named)


def _specific(text: str) -> frozenset[str]:
    found = {_grouped(m.concept.name) for m in mentions(text) if m.concept.finding and not m.concept.generic}
    return (_also(text) | found) - _WEAK - {"fat"}


def _placed(text: str, of: Callable[[str], frozenset[str]], *, widely: bool = False) -> dict[str, frozenset[str]]:
    """Return where the parts of a text put their sizes and findings; a part with two sizes says it of neither.

    `widely`: a place that stands first, or last in a list, is that of all findings beside it.
    """
    found: dict[str, frozenset[str]] = {}
    last = frozenset[str]()  # findings of the part before: those of one without any, "and in the left lower lobe"
    waiting = frozenset[str]()  # findings of a list that has not come to its place
    leading = frozenset[str]()  # "in the lingula, …"
    for chunk in _CHUNK.split(text):
        where, names = of(chunk), _kinds(chunk)
        if widely and not names and not last:
            leading |= where
        where = where or (leading if names else where)
        things = set[str]() if of in (_specific, _named) else set(names or last)
        waiting = waiting | names if widely and not where else waiting
        last = names or last
        if not where:
            continue
        if of is severity:
            things = {f"{name} {side}" for name in things for side in places.sides(chunk)}
        elif waiting and of not in (_specific, _named):
            things, waiting = things | waiting, frozenset()
            last = frozenset(things)
        if of is places.sides:
            things |= {f"{lobe} lobe" for lobe in places.lobes(chunk)}
        lengths = {n for n in measurements.numbers(chunk) if n.endswith(" mm")}
        for thing in (lengths if len(measurements.sizes(chunk)) == 1 else set()) | things:
            found[thing] = found.get(thing, frozenset()) | where
    return found


def descriptions(source: str, target: str) -> list[str]:
    """Return what a text adds to its source, or puts in place of it: attributes, changes, organs, contrasts."""
    added = [name for name, says in _SAYS.items() if says.search(target) and not _ATTRIBUTES[name].search(source)]
    problems = [f"{name!r} is not in its source" for name in added]
    for says, other in ((_GROWS, _SHRINKS), (_SHRINKS, _GROWS)):
        if says is _SHRINKS and _FADES.search(target) and is_negated(source) and mentions_prior(source):
            continue  # "has resolved": was there, and is not seen any more
        if (
            says.search(target)
            and not says.search(source)
            and (other.search(source) or _SAYS["stable"].search(source) or not _COMPARES.search(source))
        ):
            problems.append("the change since an earlier examination is not in its source")
    if any(map(calls_normal, phrases_of(target))) and not (is_normal(source) or is_negated(source)):
        problems.append("it calls normal what its source does not")
    problems += [f"{disease!r} is not in its source" for disease in new_diseases(source, target)]
    problems += [f"the {organ} is not in its source" for organ in sorted(_named(target) - _named(source))]
    return problems + contrasts.exchanged(source, target) + contrasts.turned_signs(source, target)


def dropped(source: str, target: str) -> list[str]:
    """Return attributes that `source` gives its findings, and `target` leaves out, in words."""
    names = (*sorted(_SHAPES), *(() if _CALCIUM.search(source) else ("calcified",)))
    return [f"{n!r} is lost" for n in names if _SAYS[n].search(source) and not _ATTRIBUTES[n].search(target)]


def compares(text: str) -> bool:
    """Return whether a text has any word of a change, or of none."""
    return bool(_COMPARES.search(text))


@bounded
def compares_less(source: str, target: str) -> bool:
    """Return whether `source` says that something is new, unchanged, grown or shrunk, and `target` nothing like it."""
    if compares(target) or any(_ATTRIBUTES[name].search(target) for name in ("new", "stable")):
        return False
    source = _THICKER.sub(" ", source)
    return any(says.search(source) for says in (_SAYS["new"], _SAYS["stable"], _COURSE))


def is_bolder(sources: Iterable[str], target: str) -> bool:
    """Return whether `target` states a malignancy or an embolism that each of `sources` that names one supposes."""
    if not _GRAVE.search(target) or _TENTATIVE.search(target):
        return False
    named = [source for source in sources if _GRAVE.search(source)]
    return bool(named) and all(_TENTATIVE.search(source) for source in named)


def compares_time(text: str) -> bool:
    """Return whether a text says what has changed, or has not, since an earlier examination."""
    return any(says.search(text) for says in (_SAYS["new"], _SAYS["stable"], _COURSE, _BESIDE))


def lost_organs(source: str, target: str) -> list[str]:
    """Return the organs of the abdomen and neck that `source` names, and `target` does not."""
    return sorted(_named(source) - _named(target) - {"esophagus"})


def new_diseases(source: str, target: str) -> list[str]:
    """Return diseases that `target` names, and `source` by no word of the same stem or finding of the same name."""
    known, allowed = _stems(_CA.sub("cancer carcinoma malignant", source)), _kinds(source)
    found = []
    for match in _DISEASE.finditer(target):
        word = match.group().lower()
        if not _stems(word) & known and not _names_at(target, match.start()) & allowed:
            found.append(word)
    return found


def _named(text: str) -> frozenset[str]:
    return frozenset(mention.concept.name for mention in mentions(text)) & _ORGANS


def shared_words(text: str, sources: Iterable[str]) -> float:
    """Return the share of a text's longer words that its sources have, between 0 and 1; 1 where it has none."""
    wanted = _stems(text)
    known = frozenset().union(*(_stems(source) for source in sources))
    return len(wanted & known) / len(wanted) if wanted else 1.0


@lru_cache(maxsize=16384)
def _stems(text: str) -> frozenset[str]:
    return frozenset(word[:5] for word in re.findall(r"[a-z]{4,}", text.lower()))
