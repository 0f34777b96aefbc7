"""What the rules read in a finding's text; every sentence here is invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.categories import CATEGORIES
from plugins.rules.grounding.lexicon import Kind
from plugins.rules.grounding.places import Place
from plugins.rules.grounding.text import Query, parse


def places(text: str) -> set[tuple[str | None, str | None, frozenset[str]]]:
    return {(place.side, place.level, place.parts) for place in parse(text).places.within}


def place(
    side: str | None = None, level: str | None = None, *parts: str
) -> tuple[str | None, str | None, frozenset[str]]:
    return side, level, frozenset(parts)


def test_every_kind_is_filed_under_a_category_of_the_benchmark() -> None:
    """The plugin's own table names all 14 categories and no other."""
    assert {kind.category for kind in Kind} == set(CATEGORIES)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Thickened bronchial walls", Kind.BRONCHIAL_WALL),
        ("Peribronchial cuffing at the hila", Kind.BRONCHIAL_WALL),
        ("Cylindrical bronchiectasis of the lingula", Kind.BRONCHIECTASIS),
        ("Paraseptal emphysema", Kind.EMPHYSEMA),
        ("Giant bulla at the left apex", Kind.BULLA),
        ("Interlobular septal thickening", Kind.SEPTAL),
        ("Peripheral reticulation", Kind.SEPTAL),
        ("Tree-in-bud opacities", Kind.MICRONODULES),
        ("Centrilobular nodules", Kind.MICRONODULES),
        ("Miliary pattern", Kind.MICRONODULES),
        ("Mosaic attenuation", Kind.MOSAIC),
        ("Mucus plugging in the right main bronchus", Kind.AIRWAY_CONTENT),
        ("Linear atelectasis at the left base", Kind.LINEAR),
        ("Apical pleuroparenchymal scarring", Kind.LINEAR),
        ("Fibrotic band", Kind.LINEAR),
        ("Lobar consolidation with air bronchograms", Kind.CONSOLIDATION),
        ("Compressive atelectasis", Kind.CONSOLIDATION),
        ("Hazy ground glass opacity", Kind.GROUND_GLASS),
        ("Crazy-paving pattern", Kind.GROUND_GLASS),
        ("Spiculated nodule", Kind.NODULE),
        ("Large mass", Kind.NODULE),
        ("Right pleural effusion", Kind.EFFUSION),
        ("Focal pleural thickening", Kind.PLEURAL_THICKENING),
        ("Calcified pleural plaques", Kind.PLEURAL_CALCIFICATION),
        ("Subpleural honeycombing", Kind.HONEYCOMBING),
        ("Small apical pneumothorax", Kind.PNEUMOTHORAX),
        ("Thin-walled cyst", Kind.CYST),
        ("Cavitary lesion", Kind.CYST),
        ("Something unheard of", Kind.OTHER),
    ],
)
def test_a_plain_term_names_its_kind(text: str, kind: Kind) -> None:
    """One term, one kind."""
    assert parse(text).kind is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Ground-glass nodule", Kind.NODULE),
        ("Nodular ground-glass opacity", Kind.GROUND_GLASS),
        ("Nodular consolidation", Kind.CONSOLIDATION),
        ("Part-solid nodule with a ground-glass halo", Kind.NODULE),
        ("Linear ground-glass opacity", Kind.GROUND_GLASS),
        ("Ground-glass opacities adjacent to the consolidation", Kind.GROUND_GLASS),
        ("Increased density consistent with linear atelectasis", Kind.LINEAR),
        ("Opacities with a tree-in-bud pattern", Kind.MICRONODULES),
    ],
)
def test_compounds_are_what_their_head_says(text: str, kind: Kind) -> None:
    """Adjectives, accompanying findings and vague words do not decide the kind."""
    assert parse(text).kind is kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Nodule in the right upper lobe", {place("right", "upper lobe")}),
        ("Nodule in the upper lobe of the right lung", {place("right", "upper lobe")}),
        ("Nodule, RUL", {place("right", "upper lobe")}),
        ("Nodule in the middle lobe", {place("right", "middle lobe")}),
        ("Scar in the lingula", {place("left", "upper lobe", "lingula")}),
        ("Scar in the inferior lingular segment", {place("left", "upper lobe", "lingula", "inferior")}),
        (
            "Nodule in the posterobasal segment of the left lower lobe",
            {place("left", "lower lobe", "posterior", "basal")},
        ),
        ("Opacity in the apicoposterior segment of the LUL", {place("left", "upper lobe", "apical", "posterior")}),
        (
            "Opacities in the upper and lower lobes of both lungs",
            {place(None, "upper lobe"), place(None, "lower lobe")},
        ),
        ("Scars at both apices", {place(None, "apex")}),
        ("Biapical scarring", {place(None, "apex")}),
        ("Scarring at the apices of both upper lobes", {place(None, "upper lobe", "apical")}),
        ("Atelectasis at the right base", {place("right", "base")}),
        ("Mass in the lower part of the left lung", {place("left", "lower zone")}),
        ("Nodule in the upper zone of the right lung", {place("right", "upper zone")}),
        ("Emphysema in both lungs", {place()}),
        ("Emphysema", set()),
        ("Nodules in the right middle and lower lobes", {place("right", "middle lobe"), place("right", "lower lobe")}),
    ],
)
def test_a_place_is_side_level_and_parts(text: str, expected: set[object]) -> None:
    """Side, lobe or zone, and segment are read in any order."""
    assert places(text) == expected


def test_segments_in_a_row_share_the_lobe_that_follows() -> None:
    """Directions before "segments of the lobe" all belong to that lobe."""
    assert places("Opacities in the medial, lateral and posterior basal segments of the left lower lobe") == {
        place("left", "lower lobe", "medial", "basal"),
        place("left", "lower lobe", "lateral", "basal"),
        place("left", "lower lobe", "posterior", "basal"),
    }


def test_segments_in_a_row_share_the_lobe_that_precedes() -> None:
    """Directions after a lobe stay with it, until another lobe is named."""
    assert places(
        "Scars in the right lower lobe superior segment and lateral segment, left upper lobe anterior segment"
    ) == {
        place("right", "lower lobe", "superior"),
        place("right", "lower lobe", "lateral"),
        place("left", "upper lobe", "anterior"),
    }


def test_a_lobe_without_a_side_lies_where_the_last_one_did() -> None:
    """A side holds until the next one."""
    assert places("Nodules in the left lower lobe and the posterior segment of the upper lobe") == {
        place("left", "lower lobe"),
        place("left", "upper lobe", "posterior"),
    }


def test_involving_narrows_both_lungs() -> None:
    """A list after "involving" replaces the whole lungs before it."""
    assert places("Bands in both lungs involving the lingula and the left lower lobe") == {
        place("left", "upper lobe", "lingula"),
        place("left", "lower lobe"),
    }


def test_emphasis_does_not_restrict() -> None:
    """Prominence says where it is strongest, not where it ends."""
    query = parse("Ground-glass opacities in both lungs, more prominent in the lower lobes")
    assert query.places.within == (Place(),)
    assert query.places.emphasised == (Place(None, "lower lobe"),)


def test_the_largest_in_a_place_lies_there() -> None:
    """Emphasis without any other place is the place."""
    assert places("Largest nodule in the left upper lobe") == {place("left", "upper lobe")}


@pytest.mark.parametrize(
    ("text", "spared"),
    [
        ("Emphysema in both lungs, sparing the right upper lobe", Place("right", "upper lobe")),
        ("Ground glass in all lobes except the lingula", Place("left", "upper lobe", frozenset({"lingula"}))),
        ("Diffuse consolidation in both lungs other than the left upper lobe", Place("left", "upper lobe")),
        ("Nodules in the left lung but not in the lower lobe", Place(None, "lower lobe")),
        ("Diffuse reticulation in both lungs, the right middle lobe is spared", Place("right", "middle lobe")),
        ("Diffuse emphysema with relative sparing of the bases", Place(None, "base")),
    ],
)
def test_a_negated_location_is_spared(text: str, spared: Place) -> None:
    """A place that a text excludes is not a place of the finding."""
    found = parse(text)
    assert found.places.spared == (spared,)
    assert spared not in found.places.within
    assert not found.absent


@pytest.mark.parametrize(
    ("text", "sizes", "largest"),
    [
        ("6 mm nodule", (6.0,), None),
        ("Nodule measuring 12 x 8 mm", (12.0,), None),
        ("Nodule measuring 12\u00d78mm", (12.0,), None),
        ("Mass of 3.5 x 2 x 4 cm", (40.0,), None),
        ("Nodule of 5,5 mm", (5.5,), None),
        ("Two nodules of 4 mm and 7 mm", (7.0, 4.0), None),
        ("Subcentimeter nodules", (), 10.0),
        ("Nodules up to 5 mm", (), 5.0),
        ("Nodules, each less than 3 mm", (), 3.0),
        ("Millimetric nodules", (), 5.0),
        ("Effusion, right up to 20 mm and left up to 12 mm", (), 20.0),
        ("Areas below -950 HU", (), None),
        ("Nodule, no larger than 6 mm, in the right upper lobe", (), 6.0),
        ("Nodule of no more than 6 mm", (), 6.0),
        ("Nodules not exceeding 4 mm", (), 4.0),
        ("Nodule, not bigger than 1 cm", (), 10.0),
        ("Nodule of 1.5 cm x 12 mm", (15.0,), None),
        ("Nodule measuring 12 mm by 1.5 cm", (15.0,), None),
        ("Mass of 40 mm x 3 cm x 25 mm", (40.0,), None),
        ("Nodules of 5 mm to 7 mm", (7.0, 5.0), None),
        ("Mass larger than 3 cm", (), None),
        ("Nodule", (), None),
    ],
)
def test_sizes_are_millimetres(text: str, sizes: tuple[float, ...], largest: float | None) -> None:
    """Stated diameters and upper bounds, in mm."""
    query = parse(text)
    assert (query.sizes_mm, query.largest_mm) == (sizes, largest)


@pytest.mark.parametrize(
    ("text", "smallest"),
    [
        ("Mass larger than 3 cm", 30.0),
        ("Nodule of more than 8 mm", 8.0),
        ("Nodule > 8 mm", 8.0),
        ("Nodules, each at least 4 mm", 4.0),
        ("Nodule, no larger than 6 mm", None),
        ("6 mm nodule", None),
    ],
)
def test_a_lower_bound_is_not_a_diameter(text: str, smallest: float | None) -> None:
    """Something larger than 3 cm is not 3 cm."""
    assert parse(text).smallest_mm == smallest


@pytest.mark.parametrize(
    ("text", "count", "plural"),
    [
        ("10 nodules in both lungs", 10, True),
        ("12 nodules", 12, True),
        ("Ten nodules", 10, True),
        ("Nodules (seven) in the left lung", 7, True),
        ("Series 3 image 45: 6 mm nodule", None, False),
        ("10 mm nodules", None, True),
        ("Two nodules in the left lung", 2, True),
        ("3 nodules", 3, True),
        ("A single nodule", 1, False),
        ("Solitary nodule", 1, False),
        ("Nodules (two) in the lingula", 2, True),
        ("One or two nodules", 2, True),
        ("Multiple nodules", None, True),
        ("4 x 2 mm nodule", None, False),
        ("Nodule in both lungs", None, True),
    ],
)
def test_counts(text: str, count: int | None, *, plural: bool) -> None:
    """Stated numbers, in words or digits; a size is not a number of lesions."""
    query = parse(text)
    assert (query.count, query.plural) == (count, plural)


@pytest.mark.parametrize(
    "text",
    [
        "No pleural effusion",
        "No evidence of pneumothorax on the left",
        "Without consolidation",
        "The effusion has resolved",
    ],
)
def test_a_negated_finding_is_absent(text: str) -> None:
    """A text that denies its finding asks for nothing."""
    assert parse(text).absent


@pytest.mark.parametrize(
    "text",
    [
        "No change in size of the left lower lobe nodule.",
        "No significant interval change in the 6 mm nodule in the right upper lobe.",
        "No increase in the size of the nodule",
        "No interval growth of the left lower lobe nodule",
        "Nodule without change",
        "There is no doubt about the 8 mm nodule in the right upper lobe",
        "No significant difference in the pleural effusion",
        "Nodule, no larger than 6 mm, in the right upper lobe",
    ],
)
def test_a_denied_change_or_doubt_leaves_the_finding(text: str) -> None:
    """What is denied is that it changed, that it is doubtful, or that it is larger; it is there."""
    assert not parse(text).absent


@pytest.mark.parametrize(
    "text",
    [
        "No new nodule",
        "No longer visible nodule in the right lung",
        "No nodule larger than 6 mm",
        "No residual effusion",
        "No change, and no pleural effusion",
    ],
)
def test_what_resembles_a_denied_change_is_absent(text: str) -> None:
    """The finding itself is denied."""
    assert parse(text).absent


@pytest.mark.parametrize(
    "text",
    ["Nodule without calcification", "Noncalcified nodule", "Pleural effusion, no loculation", "Nonspecific nodule"],
)
def test_a_negated_attribute_leaves_the_finding(text: str) -> None:
    """Only the denied attribute goes."""
    query = parse(text)
    assert not query.absent
    assert "calcified" not in query.modifiers


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("Subpleural nodule", {"peripheral"}),
        ("Perihilar opacities", {"central"}),
        ("Peripheral and central opacities", set()),
        ("Predominantly subpleural opacities", set()),
        ("Nodule along the minor fissure", {"fissural"}),
        ("Opacities in the dependent lung", {"dependent"}),
        ("Nondependent opacities", set()),
        ("Nodule with a peripheral ground-glass halo", set()),
    ],
)
def test_settings_restrict_unless_preferred_or_opposed(text: str, settings: set[str]) -> None:
    """Subpleural and the like count when they are said of the finding itself, firmly."""
    assert parse(text).settings == settings


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """No text makes the parser fail."""
    assert isinstance(parse(text), Query)
