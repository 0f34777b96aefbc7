"""The words of a chest-CT report and their meanings: kinds of finding with their categories, and modifiers.

The vocabulary follows the Fleischner Society's glossary of terms for thoracic imaging (Hansell et al., Radiology
2008;246:697-722; Bankier et al., Radiology 2024;310:e232558) and the variants that reports use for the same things.
"""

from __future__ import annotations

import enum
import re
from typing import Self


class Kind(enum.StrEnum):
    """The kind of finding; one segmenter each. Its category is the one that the benchmark assigns to it."""

    def __new__(cls, name: str, category: str) -> Self:
        """Make a member whose value is its name and which carries its category."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.category = category
        return member

    category: str

    BRONCHIAL_WALL = "bronchial wall thickening", "1a"
    BRONCHIECTASIS = "bronchiectasis", "1b"
    EMPHYSEMA = "emphysema", "1c"
    BULLA = "bulla", "1c"
    SEPTAL = "septal thickening", "1d"
    MICRONODULES = "micronodules", "1e"
    MOSAIC = "mosaic attenuation", "1f"
    AIRWAY_CONTENT = "airway content", "1f"
    LINEAR = "linear opacity", "2a"
    CONSOLIDATION = "consolidation", "2b"
    GROUND_GLASS = "ground-glass opacity", "2c"
    NODULE = "nodule or mass", "2d"
    EFFUSION = "pleural effusion", "2e"
    PLEURAL_THICKENING = "pleural thickening", "2e"
    PLEURAL_CALCIFICATION = "pleural calcification", "2e"
    HONEYCOMBING = "honeycombing", "2f"
    PNEUMOTHORAX = "pneumothorax", "2g"
    CYST = "cyst or cavity", "2h"
    OTHER = "other opacity", "2h"


_GGO = r"ground[- ]?glass|ggos?\b|crazy[- ]?paving"
_DENSITY = r"(?:opacit(?:y|ies)|densit(?:y|ies)|infiltrat\w*|changes?|attenuation|areas?|consolidations?|appearances?)"
_THICK = r"thicken\w*"
_LINE = r"(?:linear|band[- ]?like|bandlike|plate[- ]?like|discoid|reticulonodular|fibro\w+|pleuroparenchymal)"

#: Tried at every position of the text; the first that matches there wins, so compound terms come before their parts.
TERMS: tuple[tuple[re.Pattern[str], Kind], ...] = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        # 1e before nodules
        (r"tree[- ]in[- ]bud", Kind.MICRONODULES),
        (r"micro-?nodul\w*|miliary", Kind.MICRONODULES),
        (
            r"(?:centri-?(?:lobular|acinar)|perilymphatic|peribronchiolar)\s+(?:\w+\s+){0,2}?nodul\w*",
            Kind.MICRONODULES,
        ),
        # compounds of density words
        (rf"nodular\s+(?:\w+\s+)?(?:{_GGO})", Kind.GROUND_GLASS),
        (rf"(?:{_GGO})[\s-]+(?:attenuation\s+|density\s+|opacity\s+)?nodules?\b", Kind.NODULE),
        (rf"(?:{_GGO})", Kind.GROUND_GLASS),
        (r"(?:faint|hazy)\s+(?:\w+\s+)?(?:opacit|densit|increase)\w*", Kind.GROUND_GLASS),
        (r"hazy\b|haziness", Kind.GROUND_GLASS),
        (r"nodul\w*\s+(?:\w+\s+)?consolidat\w*", Kind.CONSOLIDATION),
        (rf"nodul\w*\s+{_DENSITY}", Kind.NODULE),
        (r"(?:part|semi|sub)[- ]?solid\s+(?:\w+\s+){0,3}?(?:nodul|lesion|mass|component)\w*", Kind.NODULE),
        (r"honey-?\s?comb\w*", Kind.HONEYCOMBING),
        # pleura
        (
            r"(?:hydro-?pneumo-?thora|pneumo-?thora)(?:x|ces)|(?:pleural|extrapleural)\s+(?:free\s+)?(?:air|gas)\b",
            Kind.PNEUMOTHORAX,
        ),
        (
            (
                r"(?:pleural\s+(?:\w+\s+)?)?(?:effusions?|empyema)|(?:hydro|haemo|hemo|pyo|chylo)-?thora(?:x|ces)"
                r"|pleural\s+(?:free\s+)?(?:fluid|collection)s?|fluid\s+(?:in|within)\s+the\s+(?:\w+\s+)?pleura\w*"
            ),
            Kind.EFFUSION,
        ),
        (
            (
                r"pleural?\s+(?:\w+\s+)?(?:calcifi\w+|calcified\s+plaques?)|calcified\s+(?:\w+\s+)?pleural?\w*(?:\s+plaques?)?"
                r"|calcifi\w+\s+(?:\w+\s+){0,6}pleura\b"
            ),
            Kind.PLEURAL_CALCIFICATION,
        ),
        (
            (
                rf"pleural?\s+(?:\w+\s+)?(?:{_THICK}|plaques?)|{_THICK}\s+(?:of|in|along)\s+(?:the\s+)?"
                rf"(?:\w+\s+){{0,2}}(?:pleura|fissure)\w*|fissural\s+{_THICK}"
            ),
            Kind.PLEURAL_THICKENING,
        ),
        (r"pleural?\s+irregularit\w+", Kind.PLEURAL_THICKENING),
        # bronchi
        (r"(?:traction\s+)?bronchi(?:ol)?ectas[ie]s|bronchi(?:ol)?ectatic", Kind.BRONCHIECTASIS),
        (r"(?:dilat\w+|enlarge\w+)\s+(?:of\s+|in\s+)?(?:the\s+)?(?:\w+\s+)?bronch\w+", Kind.BRONCHIECTASIS),
        (r"thickened\s+(?:bronch\w+|airway)\s+walls?", Kind.BRONCHIAL_WALL),
        (r"thickened\s+(?:\w+\s+)?sept(?:a|um)\b", Kind.SEPTAL),
        (r"bronch\w+\s+(?:dilat\w+|enlarge\w+)", Kind.BRONCHIECTASIS),
        (
            (
                rf"(?:peri-?)?bronch\w+\s+(?:wall\s+)?(?:{_THICK}|cuffing)|{_THICK}\s+(?:of|in)\s+(?:the\s+)?"
                rf"(?:\w+\s+){{0,2}}bronch\w+(?:\s+walls?)?|airway\s+(?:wall\s+)?{_THICK}"
            ),
            Kind.BRONCHIAL_WALL,
        ),
        (
            (
                r"(?:bronch\w+|trachea\w*|airway\w*)\s+(?:\w+\s+){0,3}(?:occlu\w+|obstruct\w+|plug\w*|secretions?|impact\w+)"
                r"|(?:mucus|mucous|mucoid)\s+(?:plug\w*|impact\w*)|secretions?\b"
            ),
            Kind.AIRWAY_CONTENT,
        ),
        # septa and reticulation
        (
            rf"(?:inter-?lobular|inter-?lobar|intra-?lobular|septal)\s+(?:\w+\s+)?(?:{_THICK}|lines?|prominence)",
            Kind.SEPTAL,
        ),
        (rf"{_THICK}\s+(?:of|in)\s+(?:the\s+)?(?:\w+\s+)?(?:septa|septum|interstitium)", Kind.SEPTAL),
        (rf"reticulonodular\s+{_DENSITY}", Kind.SEPTAL),
        (r"reticul(?:ar\w*|ation\w*)|interstitial\s+(?:\w+\s+)?(?:thicken|mark|lung|fibros|pattern)\w*", Kind.SEPTAL),
        # air
        (r"mosaic|air[- ]trapping|aeration\s+differenc\w+|differenc\w+\s+in\s+aeration", Kind.MOSAIC),
        (r"bullae?\b|bullous|blebs?\b", Kind.BULLA),
        (
            r"emphysem\w+|hyper-?(?:aerat|inflat|lucen)\w+|low[- ](?:attenuation|density)\s+areas?",
            Kind.EMPHYSEMA,
        ),
        (
            r"(?:air|pulmonary|lung|parenchymal|thin-?walled)\s+cysts?|cysts?\b|cystic|cavit\w+|pneumatocel\w+",
            Kind.CYST,
        ),
        # lines
        (
            rf"{_LINE}\s+(?:\w+\s+)?(?:sub-?segment\w*\s+)?(?:atelecta\w+|scar\w*|band\w*|opacit\w+|densit\w+)",
            Kind.LINEAR,
        ),
        (r"sub-?segmental\s+atelecta\w+", Kind.LINEAR),
        (r"fibro-?(?:sis|tic|atelectat\w+|band\w*)|scars?\b|scarring|sequel\w*", Kind.LINEAR),
        (r"parenchymal\s+bands?|architectural\s+distortion", Kind.LINEAR),
        # dense lung
        (r"atelecta\w+|collapse\w*", Kind.CONSOLIDATION),
        (r"consolidat\w+", Kind.CONSOLIDATION),
        # nodules and masses
        (r"nodul\w+|mass(?:es)?\b|metastas[ie]s|tumou?rs?\b|neoplas\w+|granulomas?\b", Kind.NODULE),
        (r"\blesions?\b|solid\s+component|sequestration", Kind.NODULE),
    )
)

#: Words that describe density without naming a finding; they count only where no term of :data:`TERMS` occurs.
VAGUE_TERMS: tuple[tuple[re.Pattern[str], Kind], ...] = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"linear\s+\w+|band[- ]?like\s+\w+|thicken\w*/density", Kind.LINEAR),
        (r"air[- ]?space\s+\w+|opacifi\w+|infiltrat\w+|pneumoni\w+", Kind.CONSOLIDATION),
        (r"opacit(?:y|ies)|densit(?:y|ies)|attenuation", Kind.CONSOLIDATION),
        (r"calcifi\w+", Kind.NODULE),
    )
)

#: Words that say more about a finding of any kind.
MODIFIERS: dict[str, re.Pattern[str]] = {
    "calcified": re.compile(r"(?<!non)(?<!non-)\bcalcifi\w+|\bcalcific\b"),
    "partly calcified": re.compile(r"\b(?:some|partly|partially|several of)\b[^;.]*calcif"),
    "ground glass": re.compile(rf"{_GGO}|pure\s+gg|non-?solid"),
    "part-solid": re.compile(r"(?:part|semi|sub)[- ]?solid"),
    "solid component": re.compile(r"solid\s+(?:component|part|portion)"),
    "solid": re.compile(r"(?<!part)(?<!semi)(?<!sub)(?<!non)(?:^|[^-\w])solid"),
    "cavitary": re.compile(r"cavit\w+"),
    "pleural based": re.compile(r"pleural?[- ]based|juxta-?pleural"),
    "mass": re.compile(r"\bmass(?:es)?\b|tumou?r"),
    "diffuse": re.compile(r"diffuse\w*|extensive|widespread|throughout|multifocal|multilobar|patchy"),
    "scattered": re.compile(r"scattered|multiple|several|numerous|few|many"),
    "mild": re.compile(r"\b(?:mild|minimal|slight|subtle|faint|small|tiny|trace)\w*"),
    "severe": re.compile(r"\b(?:severe|marked|large(?!st)|extensive|massive|gross|advanced)\w*"),
    "centrilobular": re.compile(r"centri-?(?:lobular|acinar)"),
    "paraseptal": re.compile(r"paraseptal"),
    "fissural": re.compile(r"fissur\w+"),
}

#: Sub-pleural and the like: where in a lobe, whatever the lobe.
SETTINGS: dict[str, re.Pattern[str]] = {
    "peripheral": re.compile(r"sub-?pleural\w*|peripher\w+|paraseptal|pleural?[- ]based|juxta-?pleural|cortical"),
    "central": re.compile(r"\bcentral\w*|peri-?hilar|hilar|peri-?bronch\w+|broncho-?vascular"),
    "fissural": re.compile(r"\b(?:peri-?)?fissur\w+"),
    "paraspinal": re.compile(r"para-?(?:spinal|vertebral)|costo-?vertebral"),
    "mediastinal": re.compile(r"para-?(?:mediastinal|cardiac)"),
    "diaphragmatic": re.compile(r"diaphragm\w*"),
    "dependent": re.compile(r"(?<!non)(?<!non-)\bdependent"),
}
