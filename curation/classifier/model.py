"""The trained classifier: a sum of weights, so that using it needs neither scikit-learn nor numpy."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from curation.classifier.features import features
from curation.schema import CODES
from harness.errors import DataError
from harness.foreign import parse_json

FILE: Final = "classifier.json"


@dataclass(frozen=True)
class Classifier:
    """A multinomial logistic regression over binary features."""

    bias: Mapping[str, float]  #: code -> intercept
    weights: Mapping[str, Mapping[str, float]]  #: feature -> code -> weight; what is not there is 0

    def scores(self, text: str) -> dict[str, float]:
        """Return the score (log-probability up to a constant) of every code for one finding."""
        total = dict(self.bias)
        for feature in sorted(features(text)):
            for code, weight in self.weights.get(feature, {}).items():
                total[code] += weight
        return total

    def categorise(self, text: str, among: Container[str] = CODES) -> str:
        """Return the likeliest code of one finding; of equal ones, the first in the schema's order."""
        return self.judge(text, among)[0]

    def judge(self, text: str, among: Container[str] = CODES) -> tuple[str, float]:
        """Return the likeliest code of one finding and its probability among all codes.

        Parameters
        ----------
        text
            The finding.
        among
            The codes that come into question.
        """
        total = self.scores(text)
        best = max((code for code in CODES if code in among), key=lambda code: total[code])
        most = max(total.values())
        return best, math.exp(total[best] - most) / sum(math.exp(value - most) for value in total.values())

    def dump(self) -> str:
        """Return the classifier as JSON: one line a feature, sorted, so that equal weights are equal bytes."""
        rows = [
            f"{json.dumps(name)}: {json.dumps(self.weights[name], sort_keys=True)}" for name in sorted(self.weights)
        ]
        bias = json.dumps({code: self.bias[code] for code in CODES})
        return '{"bias": ' + bias + ',\n"weights": {\n' + ",\n".join(rows) + "\n}}\n"


def parse(text: str) -> Classifier:
    """Read what :meth:`Classifier.dump` wrote; raises DataError where it is nothing of the kind."""
    try:
        document = parse_json(text)
        classifier = Classifier(document["bias"], document["weights"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("the weights of the categories cannot be read", fix="run `make curation-classifier`") from error
    if set(classifier.bias) != set(CODES):
        raise DataError("the weights were made for another schema", fix="run `make curation-classifier`")
    return classifier


@cache
def load(path: Path | None = None) -> Classifier:
    """Load the classifier at `path`, by default the one that is shipped.

    Raises
    ------
    DataError
        It is missing or cannot be read.
    """
    file = resources.files(__package__).joinpath(FILE) if path is None else path
    try:
        return parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"the weights file {file} does not exist", fix="run `make curation-classifier`") from error
