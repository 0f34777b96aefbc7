"""Train the classifier: ``python -m curation.classifier.train``.

It is fitted on phrases of our own (``seeds.toml``, all 62 codes) and on nothing else, so that no data set's licence
binds its weights. Labelled findings of others measure it; they enter the weights only where somebody asks for that, in
a file of their own.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, repeat
from operator import contains
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curation.classifier.features import features, words
from curation.classifier.model import FILE, Classifier
from curation.classifier.quality import measure, table
from curation.classifier.spelling import phrases
from curation.schema import CODES, is_lung
from curation.text.lexicon import concepts
from harness.errors import DataError, PrerequisiteError
from harness.foreign import read_json_file

_JOINTS: Final = ("with", "and", "accompanied by")
_JOINED: Final = 4  # joined phrases for every ordered pair of codes of lung and pleura
_SEED_WEIGHT: Final = 2.0  # a phrase of ours counts as two labelled findings: most codes have no others
_STRENGTH: Final = 1.0  # inverse of the L2 penalty
_SMALLEST: Final = 0.03  # weights below it are dropped: they decide nothing, and make two thirds of the file
_DECIMALS: Final = 2  # far above the differences between two machines' arithmetic


@dataclass(frozen=True)
class Example:
    """One finding with its code."""

    text: str
    code: str
    group: str = ""  #: the scan that it is from: never split between training and evaluation


def read_seeds() -> list[Example]:
    """Return our own phrases, in the order of the schema."""
    return [Example(phrase, code) for code in CODES for phrase in phrases()[code]]


def read_prompts(path: Path) -> list[Example]:
    """Return the labelled findings of a file ``{"cases": [{"name", "findings", "categories"}]}``.

    Raises
    ------
    DataError
        The file is missing or of another form.
    """
    try:
        cases = read_json_file(path)["cases"]
        return [
            Example(text, case["categories"][key], case["name"])
            for case in cases
            for key, text in case["findings"].items()
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = 'give a JSON file {"cases": [{"name": …, "findings": {"0": …}, "categories": {"0": …}}]}'
        raise DataError(f"{path} has no labelled findings: {error!r}", fix=fix) from error


def joined(seeds: Sequence[Example]) -> list[Example]:
    """Return pairs of our phrases of lung and pleura as one finding, with the code of the first.

    A report often names one finding with another beside it, and it is what comes first that the finding is about.
    """
    by_code = {code: [seed.text for seed in seeds if seed.code == code] for code in CODES if is_lung(code)}
    result: list[Example] = []
    for first, second in permutations((code for code, texts in by_code.items() if texts), 2):
        for _ in range(_JOINED):
            n = len(result)  # steps through the phrases without a generator of random numbers
            before = by_code[first][7 * n % len(by_code[first])]
            after = by_code[second][5 * n % len(by_code[second])]
            result.append(Example(f"{before} {_JOINTS[n % len(_JOINTS)]} {after[:1].lower()}{after[1:]}", first))
    return result


def vocabulary(seeds: Sequence[Example]) -> list[str]:
    """Return every feature that the classifier may weigh, sorted: those of our own phrases, and of every concept."""
    names = {feature for seed in seeds for feature in features(seed.text)}
    for name, concept in concepts().items():
        names |= {f"{kind}:{name}" for kind in ("csn" if concept.finding else "c")}
    return sorted(names)


def unheard(seeds: Sequence[Example], findings: Sequence[Example]) -> list[Example]:
    """Return our own phrases without those that stand word for word in one of `findings`."""
    spoken = [_spoken(finding.text) for finding in findings]
    return [seed for seed in seeds if not any(map(contains, spoken, repeat(_spoken(seed.text))))]


def _spoken(text: str) -> str:
    return f" {' '.join(words(text))} "


def train(examples: Sequence[Example] = (), seeds: Sequence[Example] | None = None) -> Classifier:
    """Fit the classifier; the same input gives the same weights.

    Parameters
    ----------
    examples
        Labelled findings; the shipped weights are fitted without any. The vocabulary stays that of `seeds`: no word
        pair of other texts enters the weights.
    seeds
        Our own phrases, which give the vocabulary too; by default all of them.

    Raises
    ------
    PrerequisiteError
        scikit-learn, which only development needs, is not installed.
    """
    try:
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError as error:
        raise PrerequisiteError(
            "training needs scikit-learn", fix="`make curation-classifier` installs it with what development needs"
        ) from error
    seeds = read_seeds() if seeds is None else seeds
    names = vocabulary(seeds)
    column = {name: number for number, name in enumerate(names)}
    everything = [*seeds, *joined(seeds), *examples]
    rows = [sorted(column[name] for name in features(example.text) if name in column) for example in everything]
    pointers = np.cumsum([0, *map(len, rows)])
    indices = np.concatenate([np.array(row, dtype=np.int64) for row in rows])
    matrix: Any = csr_matrix((np.ones(len(indices)), indices, pointers), shape=(len(rows), len(names)))
    weight = np.where(np.arange(len(rows)) < len(seeds), _SEED_WEIGHT, 1.0)
    model: Any = LogisticRegression(C=_STRENGTH, max_iter=5000, tol=1e-5)
    with threadpool_limits(1):  # the sums' order, and so their last digits, must not depend on the machine's cores
        model.fit(matrix, np.array([example.code for example in everything]), sample_weight=weight)
    return _compact(names, [str(code) for code in model.classes_], model.coef_, model.intercept_)


def _compact(
    names: list[str], codes: list[str], coefficients: npt.NDArray[Any], intercepts: npt.NDArray[Any]
) -> Classifier:
    weights: dict[str, dict[str, float]] = {}
    for number, name in enumerate(names):
        kept = {
            code: round(float(value), _DECIMALS)
            for code, value in zip(codes, coefficients[:, number], strict=True)
            if abs(value) >= _SMALLEST
        }
        if kept:
            weights[name] = kept
    bias = {code: round(float(value), _DECIMALS) for code, value in zip(codes, intercepts, strict=True)}
    return Classifier(bias, weights)


def fold_of(group: str, folds: int) -> int:
    """Return the fold of a scan: from its name alone, so that it does not depend on the order of the file."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") % folds


def cross_validate(examples: Sequence[Example], folds: int = 10, *, withhold: bool = True) -> list[str]:
    """Return the code that each example gets from a classifier that has seen no finding of its scan.

    With `withhold`, it has not seen those of our own phrases either that stand word for word in a finding of the fold.
    """
    predicted = [""] * len(examples)
    for fold in range(folds):
        inside = [number for number, example in enumerate(examples) if fold_of(example.group, folds) == fold]
        if inside:
            kept = [example for example in examples if fold_of(example.group, folds) != fold]
            seeds = read_seeds()
            classifier = train(kept, unheard(seeds, [examples[number] for number in inside]) if withhold else seeds)
            for number in inside:
                predicted[number] = classifier.categorise(examples[number].text)
    return predicted


def report(examples: Sequence[Example], folds: int) -> str:
    """Return the cross-validated quality as text, and what it is with more and with less knowledge of the findings."""
    truth = [example.code for example in examples]
    blind = train([], unheard(read_seeds(), examples))
    others = {
        "all our own phrases in every fold": cross_validate(examples, folds, withhold=False),
        "no labelled finding at all, in no fold": [blind.categorise(example.text) for example in examples],
    }
    lines = [table(measure(truth, cross_validate(examples, folds)))]
    for name, codes in others.items():
        quality = measure(truth, codes)
        lines.append(f"{name:<51}{quality.precision:>11.2f}{quality.recall:>8.2f}   accuracy {quality.accuracy:.3f}")
    return "\n".join(lines)


def main() -> int:
    """Fit the weights on our own phrases; with labelled findings, print the cross-validated quality on them.

    Weights that labelled findings enter are written only to a file that is named: their licence may bind it.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("prompts", type=Path, nargs="?", help="labelled findings (rex_val_prompts.json)")
    parser.add_argument("--out", type=Path, help=f"the file of weights; without PROMPTS, by default the shipped {FILE}")
    parser.add_argument("--folds", type=int, default=10, help="0: do not cross-validate")
    options = parser.parse_args()
    try:
        examples = read_prompts(options.prompts) if options.prompts else []
    except DataError as error:
        sys.stderr.write(f"error: {error.message}\n  fix: {error.fix}\n")
        return error.exit_code
    if examples and options.folds:
        print(report(examples, options.folds))  # noqa: T201 - a program's output
    if out := options.out or (None if options.prompts else Path(__file__).with_name(FILE)):
        out.write_text(train(examples).dump(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
