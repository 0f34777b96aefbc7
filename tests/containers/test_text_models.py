"""What all text-prompted models share: texts that fit the encoder, and the Dice that chooses a checkpoint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groundbench_sdk.text_models import TextModel, dice_of_findings, logit


class Words:
    """An encoder that accepts three words."""

    max_tokens = 3

    def count_tokens(self, text: str) -> int:
        return len(text.split())


@pytest.fixture
def model() -> Any:
    """Return a model whose network is the encoder."""
    model: Any = TextModel()
    model.network = Words()
    return model


def _case(*texts: str, labels: Any = None) -> Any:
    findings = [SimpleNamespace(id=f"f{number}", text=text) for number, text in enumerate(texts)]
    warnings: list[str] = []
    return SimpleNamespace(findings=findings, labels=lambda: labels, warn=warnings.append, warnings=warnings)


def test_a_text_is_cut_at_the_encoders_limit_and_the_case_is_warned(model: Any) -> None:
    """The warning names finding, limit, encoder and the words that were cut; a text that fits causes none."""
    case = _case("small\n nodule", "a b c d e")
    model.encoder_name = "the toy"
    assert [model.fit_text(case, finding) for finding in case.findings] == ["small nodule", "a b c"]
    (warning,) = case.warnings
    assert all(part in warning for part in ("f1", "3 tokens", "the toy", "'d e'"))


def test_a_model_with_an_encoder_of_its_own_uses_that_limit() -> None:
    """The network then need not know tokens at all; what is cleaned away does not count."""

    class Own(TextModel):
        text_encoder = Words()

        def clean_text(self, text: str) -> str:
            return super().clean_text(text.replace("-", ""))

    assert Own().shorten("a - b c d") == ("a b c", "d")


def test_dice_of_each_finding() -> None:
    """Against the set formula; entities count as one finding, both empty is 1, one empty is 0."""
    labels = np.zeros((3, 4, 4, 2), np.uint8)
    labels[0, :2], labels[0, 0, 0] = 1, 2
    labels[1, 3] = 1
    masks = np.zeros((3, 4, 4, 2), bool)
    masks[0, 1:3] = True
    case = _case("a", "b", "c", labels=labels)
    assert dice_of_findings(case, ((f"f{number}", masks[number]) for number in range(3))) == [0.5, 0.0, 1.0]


@pytest.mark.parametrize(("empty", "told"), [(0, False), (2, False), (3, True), (4, True)])
def test_mostly_empty_masks_in_a_validation_are_told(empty: int, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that has learnt to say no is seen at its first validation; the Dice is what it was."""
    labels = np.ones((2, 2, 2, 2), np.uint8)
    cases = [_case("a", "b", labels=labels), _case("c", "d", labels=labels)]
    masks = iter([np.full((2, 2, 2), number >= empty) for number in range(4)])
    model: Any = TextModel()
    monkeypatch.setattr(model, "predict", lambda case: ((finding.id, next(masks)) for finding in case.findings))
    said: list[str] = []
    dices = model.validate(cases, SimpleNamespace(warn=said.append))
    assert dices == [0.0] * empty + [1.0] * (4 - empty)
    assert bool(said) is told
    assert all(f"{empty} of 4 masks" in line and f"({empty / 4:.0%})" in line for line in said)


def test_nothing_to_validate_is_nothing_to_tell() -> None:
    """As a process has it that got no case."""
    assert TextModel().validate([], SimpleNamespace(warn=pytest.fail)) == []  # type: ignore[arg-type]


def test_the_logit_of_a_half_is_exactly_zero() -> None:
    """Thresholds of networks with logits are declared as probabilities, and change no mask."""
    assert logit(0.5) == 0.0
    assert logit(0.9) == pytest.approx(np.log(9))


def test_the_bases_are_imported_without_torch() -> None:
    """Adapters can be imported and tested where torch is not installed."""
    code = "import sys; sys.modules['torch'] = None; import groundbench_sdk.slice_models, groundbench_sdk.volume_models"
    sdk = Path(__file__).resolve().parents[2] / "containers" / "sdk"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(sdk)}, timeout=60)
