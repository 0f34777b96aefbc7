"""Which licences an image has, and whether it may be passed on: never where somebody's code in it has no licence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.images.build import _labels
from harness.images.context import BuildContext
from harness.images.identity import CONTEXT_LABEL, REDISTRIBUTION_LABEL
from harness.images.rights import licence_expression, redistribution
from harness.images.torch import cuda_build
from harness.registry.declaration import Model
from harness.registry.discovery import Plugin
from harness.registry.pinned import Source
from harness.upstream.sources import SourceStore
from tests.conftest import Bench


def _model(*licences: str, own: str = "") -> Model:
    sources = tuple(
        Source(f"source-{number}", "https://example.org/a", "1" * 40, licence, "2" * 40)
        for number, licence in enumerate(licences)
    )
    return Model("mine", "Mine", "Does.", "1", licence=own, sources=sources)


@pytest.mark.parametrize(
    ("licences", "own", "cuda", "answer", "expression"),
    [
        ((), "Apache-2.0", False, "yes", "Apache-2.0"),
        (("MIT", "MIT"), "", False, "yes", "MIT AND Apache-2.0"),
        (("MIT",), "", True, "unknown", "MIT AND Apache-2.0"),
        (("MIT", "none"), "", False, "no", "MIT AND LicenseRef-no-licence AND Apache-2.0"),
        (("none",), "MIT", True, "no", "MIT AND LicenseRef-no-licence AND Apache-2.0"),
        ((), "none", False, "no", "LicenseRef-no-licence AND Apache-2.0"),
        ((), "", False, "unknown", "LicenseRef-not-stated AND Apache-2.0"),
        (("research only, ask us",), "MIT", False, "unknown", "MIT AND LicenseRef-not-stated AND Apache-2.0"),
        (("CC-BY-NC-SA-4.0",), "", False, "yes", "CC-BY-NC-SA-4.0 AND Apache-2.0"),
    ],
)
def test_an_image_is_as_free_as_the_code_in_it(
    licences: tuple[str, ...], own: str, cuda: bool, answer: str, expression: str
) -> None:
    """Every source counts; what is not known is not a yes, and NVIDIA's libraries have agreements of their own."""
    model = _model(*licences, own=own)
    found, reason = redistribution(model, cuda=cuda)
    assert found == answer
    assert bool(reason) == (answer != "yes")
    assert licence_expression(model) == expression


def test_an_image_carries_both_and_is_known_without_them(tmp_path: Path) -> None:
    """Labels say it to whoever has the image; the digest of what it is built from has no label in it."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY torch/ /opt/torch/\n")
    model = Model("mine", "Mine", "Does.", "1", tmp_path, licence="MIT")
    context = BuildContext(Plugin(model, "test"), SourceStore(tmp_path / "sources"), cuda_build())
    other = replace(context, plugin=Plugin(replace(model, licence="none"), "test"))
    labels, without = _labels(context), _labels(other)
    assert labels["org.opencontainers.image.licenses"] == "MIT AND Apache-2.0"
    assert (labels[REDISTRIBUTION_LABEL], without[REDISTRIBUTION_LABEL]) == ("unknown", "no")
    assert labels[CONTEXT_LABEL] == without[CONTEXT_LABEL]


def test_an_image_with_code_that_nobody_licensed_is_not_exported(bench: Bench, tmp_path: Path) -> None:
    """The refusal comes before anything is built or written, and says what may be done instead."""
    failed = bench("images", "export", "--plugin", "rules,sat", tmp_path / "images", code=3)
    assert "the image of 'sat' may not be passed on: nobody has licensed sat-" in failed.stderr
    assert "bench build --plugin sat" in failed.stderr
    assert not (tmp_path / "images").exists()
