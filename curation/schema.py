"""The vocabulary of the pipeline: 7 anatomical regions, 12 categories, 61 subcategories (paper, Figures S2, S6, S9)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: Name of a region in a rewritten report -> letter of its sentence codes, in the paper's order.
REGIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Lungs/Airways/Pleura": "L",
        "Heart/Vessels": "H",
        "Mediastinum/Hila": "M",
        "Chest wall/Axilla": "C",
        "Lower neck": "N",
        "Bones": "B",
        "Upper abdomen": "A",
    }
)

#: Letter of a sentence code -> name of the region.
REGION_OF: Final[Mapping[str, str]] = MappingProxyType({letter: name for name, letter in REGIONS.items()})

#: Code of a category -> its name and, by letter, the names of its subcategories.
SCHEMA: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "1": (
            "Typically non-focal lung/airway/pleural abnormalities",
            (
                "Bronchial wall thickening",
                "Bronchiectasis",
                "Emphysema (including Centrilobular, Paraseptal, Bullous)",
                "Septal thickening (including Interlobular, Reticulation)",
                "Micronodules (including Centrilobular, Tree-in-bud, Perilymphatic)",
                "Other",
            ),
        ),
        "2": (
            "Typically focal lung/airway/pleural opacities",
            (
                "Linear (including subsegmental atelectasis, scarring, fibrosis)",
                "Atelectasis, consolidation",
                "Groundglass opacity",
                "Pulmonary nodules/masses",
                "Pleural effusion or thickening",
                "Honeycombing",
                "Pneumothorax",
                "Other",
            ),
        ),
        "3": (
            "Non-pulmonary lesions",
            (
                "Lymphadenopathy lesions",
                "Liver lesions",
                "Gallbladder lesions",
                "Renal/kidneys, collecting system, and ureters lesions",
                "Spleen lesions",
                "Adrenal lesions",
                "Pancreas lesions",
                "Thyroid lesions",
                "Skin/subcutaneous lesions",
                "Bone/Osseous structures lesions",
                "Other lesions",
            ),
        ),
        "4": (
            "Bones (non-lesion)",
            (
                "Fractures",
                "Degenerative joint disease, degenerative disc disease, arthritis",
                "Spinal curvature abnormalities: kyphosis, scoliosis",
                "Other",
            ),
        ),
        "5": ("Stones/organ calcifications (non-lesion)", ("Nephroliths, choleliths", "Granulomas", "Other")),
        "6": (
            "Hollow viscera abnormalities",
            ("Hiatus hernia", "Wall thickening", "Dilated", "Diverticulum (including diverticulosis)", "Other"),
        ),
        "7": (
            "Skin/subcutaneous (non-lesion)",
            (
                "Skin thickening",
                "Stranding",
                "Abdominal wall hernia: ventral, umbilical, inguinal",
                "Gynecomastia",
                "Other",
            ),
        ),
        "8": (
            "Cardiovascular",
            (
                "Atherosclerosis (including coronary, non-coronary)",
                "Vessel aneurysm, ectasia, enlargement",
                "Vessel occlusion or stenosis",
                "Cardiac chamber enlargement",
                "Valvular calcification",
                "Pericardial effusion",
                "Other",
            ),
        ),
        "9": (
            "Body composition",
            (
                "Visceral fat",
                "Superficial subcutaneous fat",
                "Skeletal muscle",
                "Osteoporosis",
                "Hepatic steatosis",
                "Other",
            ),
        ),
        "10": (
            "Diffuse/whole organ",
            (
                "Organomegaly (including splenomegaly, multinodular goiter, thyromegaly, lung hyperinflation)",
                "Atrophy",
                "Other",
            ),
        ),
        "11": (
            "Device",
            (
                "Elongated (including catheter, pacemaker/defibrillator, spinal stimulator)",
                "Surgical clips",
                "Other",
            ),
        ),
        "12": ("Other", ()),
    }
)

#: Every code that a finding may have -> its name: 61 subcategories, and ``12``, which has none.
CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        f"{number}{letter}": subcategory
        for number, (_, subcategories) in SCHEMA.items()
        for letter, subcategory in zip("abcdefghijk", subcategories, strict=False)
    }
    | {"12": "Other"}
)


def is_lung(code: str) -> bool:
    """Return whether `code` lies in the lung, the airways or the pleura (paper, section 3.5: categories 1 and 2)."""
    return code in CODES and code[0] in "12" and code[1:].isalpha() and len(code) == 2
