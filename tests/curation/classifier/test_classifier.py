"""The category classifier: the paper's examples, its file, and its quality on scans that it has not seen."""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from curation.classifier.features import features, words
from curation.classifier.model import load, parse
from curation.classifier.quality import PAPER, measure, table
from curation.classifier.spelling import slips, spelled
from curation.classifier.train import Example, cross_validate, fold_of, joined, read_prompts, read_seeds, train, unheard
from curation.schema import CODES, REGIONS, SCHEMA, is_lung
from harness.categories import CATEGORIES
from harness.errors import DataError, PrerequisiteError


def test_schema_has_the_papers_size() -> None:
    """12 categories, 61 subcategories, 7 regions; the first two categories are the benchmark's 14."""
    assert len(SCHEMA) == 12
    assert sum(len(names) for _, names in SCHEMA.values()) == 61
    assert "".join(REGIONS.values()) == "LHMCNBA"
    assert [code for code in CODES if is_lung(code)] == list(CATEGORIES)


def test_the_papers_examples(real_data: Path) -> None:
    """Of the 28 findings of Figures S7 and S8, none of which it was trained on, at least 26 get the paper's code."""
    examples = json.loads((real_data / "text/paper_examples.json").read_text())["categorize_S7_S8"]
    pairs = [(example["input"][key], example["output"][key]) for example in examples for key in example["input"]]
    assert len(pairs) == 28
    assert sum(load().categorise(text) == code for text, code in pairs) >= 26


def test_findings_in_the_words_of_strangers() -> None:
    """Of findings that no phrase was written for, slips and abbreviations included, nine in ten get their code."""
    table = tomllib.loads(Path(__file__).with_name("unseen_findings.toml").read_text(encoding="utf-8"))
    pairs = [(text, code) for code, texts in table.items() for text in texts]
    assert {code for _, code in pairs} == set(CATEGORIES)
    assert not {text.lower() for text, _ in pairs} & {seed.text.lower() for seed in read_seeds()}
    quality = measure([code for _, code in pairs], [load().categorise(text) for text, _ in pairs])
    assert quality.accuracy >= 0.9
    assert min(row.recall or 0 for row in quality.rows if row.truth) >= 0.6


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("GGOs in the RUL", "ground-glass opacities in the right upper lobe"),
        ("Emphysmatous pneumotorax", "emphysematous pneumothorax"),
        ("Broncheictasis", "bronchiectasis"),
        ("Honeycoming", "honeycombing"),
        ("Ground\u2011glass\u00a0nod\u00adules, n\u00f3dule", "Ground-glass nodules, nodule"),
        ("Consolidation of the lingula", "Consolidation of the lingula"),
        ("costal, distal and medial", "costal, distal and medial"),
    ],
)
def test_abbreviations_and_slips_are_undone(text: str, meant: str) -> None:
    """Abbreviations are written out, long words that are a slip or two away from a known one are that word."""
    assert spelled(text) == meant


def test_slips_by_hand() -> None:
    """A letter lost, doubled, wrong or exchanged with its neighbour is one slip each."""
    assert [slips("nodule", other) for other in ("nodule", "nodle", "noddule", "nodvle", "nodlue")] == [0, 1, 1, 1, 1]
    assert slips("nodule", "mass") > 2


def test_joined_phrases_are_about_the_first() -> None:
    """Every ordered pair of lung codes comes as often; the text is the two phrases, the code that of the first."""
    seeds = [Example("Emphysema", "1c"), Example("Atelectasis", "2b"), Example("Gallstones", "5a")]
    assert {(example.text, example.code) for example in joined(seeds)} == {
        ("Emphysema with atelectasis", "1c"),
        ("Emphysema and atelectasis", "1c"),
        ("Atelectasis accompanied by emphysema", "2b"),
        ("Atelectasis with emphysema", "2b"),
    }
    counts = Counter(example.code for example in joined(read_seeds()))
    assert set(counts) == set(CATEGORIES)
    assert len(set(counts.values())) == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Bronchial wall thickening and mucus plugging in both lower lobes", "1a"),
        ("Interlobular septal thickening accompanied by pleural effusion", "1d"),
        ("Right pleural effusion with adjacent compressive atelectasis", "2e"),
        ("Compressive atelectasis in the right lower lobe adjacent to the pleural effusion", "2b"),
    ],
)
def test_a_finding_is_what_it_names_first(text: str, code: str) -> None:
    """What stands beside the finding does not decide."""
    assert load().categorise(text) == code


def test_phrases_that_stand_in_an_evaluated_finding_are_withheld() -> None:
    """Word for word, plurals and numbers aside; single letters in common are not enough."""
    seeds = [Example(text, "2d") for text in ("Lung nodules", "Lung nodule of 4 mm", "Nodule", "Module")]
    left = unheard(seeds, [Example("Several lung nodules", "2d"), Example("Lung nodule of 9 mm", "2d")])
    assert [seed.text for seed in left] == ["Module"]


def test_no_phrase_of_ours_is_anybodys_finding(real_data: Path) -> None:
    """None is, as a whole, a finding of the validation split or one of the paper's examples."""
    examples = json.loads((real_data / "text/paper_examples.json").read_text())["categorize_S7_S8"]
    texts = [text for example in examples for text in example["input"].values()]
    texts += [example.text for example in read_prompts(real_data / "text/rex_val_prompts.json")]
    assert not {" ".join(words(text)) for text in texts} & {" ".join(words(seed.text)) for seed in read_seeds()}


def test_every_phrase_of_ours_has_a_code_and_every_code_a_phrase() -> None:
    """The phrases cover all 62 codes, and the shipped classifier knows nearly all of them again."""
    seeds = read_seeds()
    assert {seed.code for seed in seeds} == set(CODES)
    assert sum(load().categorise(seed.text) == seed.code for seed in seeds) / len(seeds) > 0.9


def test_weights_survive_their_file() -> None:
    """Writing and reading the weights changes nothing, and the bytes are those that are shipped."""
    classifier = load()
    text = classifier.dump()
    assert parse(text) == classifier
    assert parse(text).dump() == text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bias": {"1a": 0}, "weights": {}}'])
def test_foreign_weights_are_refused(text: str) -> None:
    """A file that is no classifier of this schema is refused with what to do."""
    with pytest.raises(DataError) as refusal:
        parse(text)
    assert "curation-weights" in refusal.value.fix


def test_missing_weights_are_told(tmp_path: Path) -> None:
    """Without the file the error says how to make it."""
    with pytest.raises(DataError, match=r"weights file .* does not exist"):
        load(tmp_path / "weights.json")


def test_numbers_and_plurals_are_one() -> None:
    """The classifier sees neither sizes nor plurals."""
    assert words("Two 4 mm nodules") == words("two 12 mm nodule")
    assert features("3.5 cm masses") >= {"w:0", "w:mass"} or "w:masse" in features("3.5 cm masses")


def test_a_scan_never_leaves_its_fold() -> None:
    """The fold depends on the scan's name alone."""
    assert {fold_of("train_1_a_1", 10) for _ in range(3)} == {fold_of("train_1_a_1", 10)}
    assert 0 < len({fold_of(f"train_{n}_a_1", 10) for n in range(200)}) <= 10


def test_macro_means_by_hand() -> None:
    """Precision and recall are means over the true categories; one that nothing was put into counts 0."""
    quality = measure(["1a", "1a", "2d", "2g"], ["1a", "2d", "2d", "2d"])
    assert quality.precision == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert quality.recall == pytest.approx((0.5 + 1 + 0) / 3)
    assert quality.accuracy == 0.5
    assert "0.87" in table(quality)


def test_our_phrases_alone_reach_the_papers_quality(real_data: Path) -> None:
    """Trained on no real finding, nor on a phrase that stands in one, the macro means are the paper's or better."""
    examples = read_prompts(real_data / "text/rex_val_prompts.json")
    classifier = train([], unheard(read_seeds(), examples))
    quality = measure([e.code for e in examples], [classifier.categorise(e.text) for e in examples])
    assert (quality.precision, quality.recall) >= PAPER
    assert quality.recall >= PAPER[1]


@pytest.mark.slow
def test_quality_on_unseen_scans(real_data: Path) -> None:
    """Cross-validated by scan, the macro means are the paper's or better; the shipped weights are today's."""
    examples = read_prompts(real_data / "text/rex_val_prompts.json")
    predicted = cross_validate(examples)
    quality = measure([example.code for example in examples], predicted)
    assert quality.precision >= PAPER[0]
    assert quality.recall >= PAPER[1]
    fresh, shipped = train(examples), load()
    texts = [example.text for example in examples] + [seed.text for seed in read_seeds()]
    same = Counter(fresh.categorise(text) == shipped.categorise(text) for text in texts)
    assert same[False] <= 2


def test_training_without_its_library_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn is there for development only: without it the error gives the command that installs it."""
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(PrerequisiteError) as missing:
        train([])
    assert "make curation-weights" in missing.value.fix
