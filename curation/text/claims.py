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

from curation.text import attributes, changes, contrasts, measurements, places
from curation.text.assertion import calls_normal, is_negated, is_normal, is_seen
from curation.text.attributes import SAYS, SHAPES
from curation.text.bounded import bounded
from curation.text.clauses import phrases_of
from curation.text.details import counts, segments, severity
from curation.text.lexicon import concepts, mentions, subject
from curation.text.unseen import is_former

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
    "pleural_effusion": re.compile(r"\bfluid\b", re.IGNORECASE),
    "stone": re.compile(r"\bcalci\w* (?:\w+ ){0,2}nodul|\bnodul\w* (?:\w+ ){0,2}calci", re.IGNORECASE),
}
#: A place that a finding spares.
_EXCEPTED = re.compile(
    r"\b(?:except(?:ing)?(?:\s+for)?|other\s+than|apart\s+from|sparing|spares?|with\s+the\s+exception\s+of)\s+([^,;.]+)",
    re.IGNORECASE,
)
_CYST = re.compile(r"\bcysts?\b", re.IGNORECASE)
_ELLIPSIS = re.compile(
    r"^(?:an?\s+)?(?:\w+\s+)?(?:right|left)(?:-sided)?$", re.IGNORECASE
)  #: "moderate right | and small left effusions"
_LIMIT = re.compile(r"\blimits? of normal\b", re.IGNORECASE)
_CA = re.compile(r"\b(?:ca|cancer|carcinoma|malignan\w*|tumou?r\w*)\b", re.IGNORECASE)
#: A word for a disease, by its ending or as it is.
_DISEASE = re.compile(
    r"\b(?:\w{3,}(?:omas?|omata|itis|osis|oses|iasis|pathy|pathies)|infarct\w*|embol\w*|sarcoid\w*|tubercul\w*|carcino\w*|"
    r"cancers?|metasta\w*|malignan\w*|fung\w+|abscess\w*|h(?:a)?emorrhag\w*|fistula\w*|edema)\b",
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
_GRAVE = re.compile(r"\b(?:metasta|malign|carcino|cancer|embol|lymphoma|empyem|abscess|infarct)", re.IGNORECASE)
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
        if not _OPEN.search(phrase, 0, main.start) and not changes.FADES.search(phrase)
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
    sources = list(sources)
    allowed = frozenset[str]().union(*(_all_findings(source) | _former_findings(source) for source in sources))
    text = contrasts.without_denied(stated(target))
    found = [mention for mention in mentions(text) if mention.concept.finding and not mention.concept.generic]
    if not any(m.concept.finding for source in sources for m in mentions(source)):
        found = [
            mention for mention in mentions(text) if mention.concept.finding
        ]  # "normal": not even a lesion is there
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
    named = frozenset(m.concept.name for m in mentions(denied))
    exact = named - {m.concept.name for m in mentions(stated(source))}
    if not main.concept.generic and main.concept.name in exact:
        return [name]
    if beside := sorted(_kept_apart(target) & (named | contrasts.lacking(source)) - _kept_apart(source)):
        return beside
    gone = {_grouped(m.concept.name) for m in mentions(denied) if m.concept.finding}
    return [name] if name in gone and name not in _all_findings(source) else []


def _kept_apart(text: str) -> frozenset[str]:
    """Return what a text says is there of the findings that may be denied beside another one of their group."""
    names = frozenset(m.concept.name for m in mentions(stated(text))) - contrasts.lacking(text)
    return names & {"bulla", "bleb", "air_cyst"}


@bounded
def turned(source: str, target: str) -> list[str]:
    """Return what `source` says is there, and `target` says is not there."""
    there = (phrase for phrase in phrases_of(source) if is_seen(phrase) and not changes.FADES.search(phrase))
    return sorted({name for phrase in there for name in denied_findings(phrase, target)})


def facts(text: str) -> frozenset[str]:
    """Return every detail of a text that a joined wording must keep: places, segments, severity, numbers, counts."""
    counted = {f"count {n}" for n in counts(text) if n not in {"many", "1"}}
    placed = places.places(text) | places.implied(text)
    shaped = {name for name in (*SHAPES, "calcified") if SAYS[name].search(text)}
    return placed | segments(text) | severity(text) | measurements.numbers(text) | counted | shaped


def is_open(text: str, *, widely: bool = False) -> bool:
    """Return whether a text leaves open if its finding is there; `widely`: or uses any word of interpretation."""
    return bool(_OPEN.search(text) or (widely and _OPEN_TOO.search(text)))


@bounded
def clashes(source: str, target: str) -> list[str]:
    """Return sizes and findings that two texts put on different sides, or in different lobes."""
    problems = []
    for of in (places.sides, places.lobes, _segments, severity, _named, _specific):
        here, there = _placed(source, of, widely=True), _placed(target, of)
        for thing in sorted(here.keys() & there.keys()):
            if here[thing] and there[thing] and not here[thing] & there[thing]:
                where = [" and ".join(sorted(names)).replace("_", " ") for names in (here[thing], there[thing])]
                problems.append(f"{thing.replace('_', ' ')} is {where[0]} in the source, and {where[1]} here")
    problems += _exchanged_degrees(source, target)
    _, denied = _by_side(source)
    there, _ = _by_side(target)
    problems += [
        f"its source says that there is no {thing.replace('_', ' ')} on the {side}"
        for thing in sorted(denied.keys() & there.keys())
        for side in sorted(denied[thing] & there[thing])
    ]
    for match in _EXCEPTED.finditer(source):
        if subject(mentions(match[1])) is not None:
            continue  # a finding is excepted, not a place
        spared = places.places(match[1]) - places.places(source[: match.start()] + source[match.end() :])
        if spared and spared <= places.places(target) and not _EXCEPTED.search(target) and not is_negated(source):
            problems.append(f"its source excepts {' '.join(sorted(spared))}")
    return problems


def _segments(text: str) -> frozenset[str]:
    """Return the segments of a text; the bases are those of the lower lobes."""
    named = segments(text)
    return named | {"lower"} if "basal" in named else named


def _exchanged_degrees(source: str, target: str) -> list[str]:
    """Return the findings to which a text gives on one side the degree that its source gives them on the other."""
    here, there = _placed(source, severity, widely=True), _placed(target, severity)
    problems = []
    for thing in sorted(there.keys() - here.keys()):
        name, _, side = thing.rpartition(" ")
        other = {"left": "right", "right": "left"}.get(side, "")
        if here.get(f"{name} {other}", frozenset()) & there[thing]:
            problems.append(f"the degree of {name.replace('_', ' ')} is that of the other side")
    return problems


def _by_side(text: str) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """Return on which sides a text says that its findings are there, and on which of the others that they are not."""
    there: dict[str, frozenset[str]] = {}
    denied: dict[str, frozenset[str]] = {}
    for phrase in phrases_of(text):
        main = subject(mentions(phrase))
        if main is None or main.concept.generic:
            continue
        said = denied if is_negated(phrase) else there
        said[_grouped(main.concept.name)] = said.get(_grouped(main.concept.name), frozenset()) | places.sides(phrase)
    return there, {name: sides - there[name] for name, sides in denied.items() if name in there}


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
    headless: list[tuple[str, frozenset[str]]] = []  # "moderate right and small left effusions"
    for chunk in _CHUNK.split(text):
        where, names = of(chunk), _kinds(chunk)
        if widely and not names and not last:
            leading |= where
            headless += [(chunk, where)] if _ELLIPSIS.match(chunk) else []
        if widely and names and headless:
            _add_headless(found, headless, names, of)
            leading, headless = frozenset(), []
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


def _add_headless(
    found: dict[str, frozenset[str]],
    headless: Iterable[tuple[str, frozenset[str]]],
    names: Iterable[str],
    of: Callable[[str], frozenset[str]],
) -> None:
    """Give the parts of a list that come before their finding to it: "moderate right" and "small left effusions"."""
    for chunk, where in headless:
        for name in names:
            for thing in [f"{name} {side}" for side in places.sides(chunk)] if of is severity else [name]:
                found[thing] = found.get(thing, frozenset()) | where


def descriptions(source: str, target: str) -> list[str]:
    """Return what a text adds to its source, or puts in place of it: attributes, changes, organs, contrasts."""
    problems = attributes.added(source, target) + changes.invented(source, target)
    if any(map(calls_normal, phrases_of(_LIMIT.sub(" ", target)))) and not (is_normal(source) or is_negated(source)):
        problems.append("it calls normal what its source does not")
    problems += [f"{disease!r} is not in its source" for disease in new_diseases(source, target)]
    problems += [f"the {organ} is not in its source" for organ in sorted(_named(target) - _named(source))]
    return problems + contrasts.exchanged(source, target) + contrasts.turned_signs(source, target)


def is_bolder(sources: Iterable[str], target: str) -> bool:
    """Return whether `target` states a grave disease that each of `sources` that names one only supposes."""
    if not _GRAVE.search(target) or _TENTATIVE.search(target):
        return False
    named = [source for source in sources if _GRAVE.search(source)]
    return bool(named) and all(_TENTATIVE.search(source) for source in named)


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
