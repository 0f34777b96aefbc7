"""What a model lacks is one list, and each variant needs its own weights."""

from __future__ import annotations

from pathlib import Path

from harness.errors import PrerequisiteError
from harness.registry.declaration import Model, Variant
from harness.registry.pinned import Hub, Source
from harness.upstream.missing import missing
from harness.upstream.weights import WeightsStore

GATED, FREE = Hub("owner/gated", licence="MIT", gated=True), Hub("owner/free", licence="MIT")
MODEL = Model(
    "m", "M", "A model.", "1", Path("/nowhere"),
    variants=(Variant("one", weights=("a",)), Variant("both"), Variant("none", weights=())),
    sources=(Source("code", "https://example.org/x", "1" * 40, "MIT", "2" * 40),),
    weights=(FREE.file("a"), GATED.file("b")),
)  # fmt: skip


def test_everything_that_is_missing_is_named_with_the_command_that_gets_it(tmp_path: Path) -> None:
    """Code, weights and log-ins; what is here is not."""
    found = missing(MODEL, tmp_path)
    assert found.words == "upstream code (code) and weights (a, b; owner/gated wants a log-in at the hub)"
    error = found.error("m both")
    assert isinstance(error, PrerequisiteError)
    assert error.fix.startswith("`bench get --plugin m`; `--weights random`")
    (tmp_path / "a").write_bytes(b"x")
    WeightsStore(tmp_path / "weights").add(MODEL.weights, tmp_path / "a", print)
    (tmp_path / "sources" / f"code-{'1' * 12}").mkdir(parents=True)
    assert missing(MODEL, tmp_path).words == "weights (b; owner/gated wants a log-in at the hub)"


def test_a_variant_lacks_only_what_it_loads(tmp_path: Path) -> None:
    """Nothing, one file or all of them, beside the code."""
    one, both, none = ([file.name for file in missing(MODEL, tmp_path, [v]).weights] for v in MODEL.variants)
    assert (one, both, none) == (["a"], ["a", "b"], [])
    assert missing(MODEL, tmp_path, MODEL.variants[2:]), "the code"
