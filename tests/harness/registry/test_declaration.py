"""A wrong declaration fails where it is written, with a sentence that says what to change."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import Model, Params, Prompt, Resources, Source, Variant, Weights, ours, paper
from harness.registry.constraints import DeclarationError
from harness.registry.origins import Stated

COMMIT = "0123456789abcdef" * 2 + "01234567"
SHA256 = "0123456789abcdef" * 4

MODEL = {"name": "my-model", "title": "My model", "summary": "Finds it.", "version": "1", "root": Path("/")}
SOURCE = {"name": "code", "git": "https://example.org/code", "commit": COMMIT, "licence": "MIT", "tree": COMMIT}
WEIGHTS = {"name": "model.safetensors", "repo": "owner/name", "file": "a/b.safetensors", "licence": "MIT"} | {
    "revision": COMMIT,
    "sha256": SHA256,
    "size": 10,
}


def test_a_model_has_one_zero_shot_variant_by_default() -> None:
    """The least declaration is a name, three lines of text and a folder."""
    model = Model(**MODEL)
    assert [variant.name for variant in model.variants] == ["zero-shot"]
    assert model.variants[0].prompt is Prompt.TEXT
    assert model.resources == Resources()
    assert not model.reads_truth


def test_full_declarations_are_taken() -> None:
    """Everything that the documentation names can be declared."""
    model = Model(
        **MODEL,
        variants=(
            Variant("zero-shot", params={"text": "a", "number": 1, "share": 0.5, "flag": True, "none": None}),
            Variant("tuned", prompt=Prompt.BOX, fine_tuned=True, summary="s"),
            Variant("large", params={"width": 96}, reduced={"width": 8}, weights=("model.safetensors",)),
        ),
        resources=Resources(gpus=2, memory_gb=1 / 16, cpus=0.5, exec_tmp=True, gpu_gb=24),
        training=Resources.training(gpus=8, memory_gb=0.25),
        adapter="package.module:Class",
        dockerfile="Dockerfile.gpu",
        homepage="https://example.org",
        sources=(Source(**SOURCE),),
        weights=(Weights(**WEIGHTS),),
    )
    assert model.variants[1].fine_tuned


@pytest.mark.parametrize(
    ("kind", "base", "wrong", "said"),
    [
        (Model, MODEL, {"name": "My-Model"}, "lower-case letters, digits and single hyphens"),
        (Model, MODEL, {"name": "a--b"}, "single hyphens"),
        (Model, MODEL, {"name": "a\n"}, "lower-case letters"),
        (Model, MODEL, {"name": "../a"}, "lower-case letters"),
        (Model, MODEL, {"name": "a" * 65}, "at most 64 characters"),
        (Model, MODEL, {"name": ""}, "lower-case letters"),
        (Model, MODEL, {"name": None}, "lower-case letters"),
        (Model, MODEL, {"title": " "}, "title must be one line of text"),
        (Model, MODEL, {"title": "two\nlines"}, "title must be one line of text"),
        (Model, MODEL, {"summary": "\x1b[2Jgone"}, "summary must be one line of text"),
        (Model, MODEL, {"version": 1}, "version must be one line of text"),
        (Model, MODEL, {"root": "/"}, "root must be a pathlib.Path"),
        (Model, MODEL, {"variants": ()}, "variants must be a tuple of at least one"),
        (Model, MODEL, {"variants": Variant("a")}, "variants must be a tuple of at least one Variant: (Variant(...),)"),
        (Model, MODEL, {"variants": ("a",)}, "variants must be a tuple of at least one Variant"),
        (Model, MODEL, {"variants": (Variant("a"), Variant("a"))}, "variants: two of them share the name 'a'"),
        (Model, MODEL, {"resources": None}, "resources must be a Resources object"),
        (Model, MODEL, {"variants": (Variant("a", weights=("b",)),)}, "names weights that are not declared: ['b']"),
        (Model, MODEL, {"sources": Source(**SOURCE)}, "sources must be a tuple of Source objects"),
        (Model, MODEL, {"sources": (Source(**SOURCE),) * 2}, "sources: two of them share the name 'code'"),
        (
            Model,
            MODEL,
            {"weights": (Weights(**WEIGHTS),) * 2},
            "weights: two of them share the name 'model.safetensors'",
        ),
        (Model, MODEL, {"training": 1}, "training must be a Resources object or None"),
        (Model, MODEL, {"adapter": "module.Class"}, "adapter must be 'module:Class'"),
        (Model, MODEL, {"adapter": "a b:C"}, "adapter must be 'module:Class'"),
        (Model, MODEL, {"dockerfile": "../Dockerfile"}, "dockerfile must be a plain file name"),
        (Model, MODEL, {"dockerfile": ""}, "dockerfile must be a plain file name"),
        (Model, MODEL, {"homepage": "javascript:alert(1)"}, "homepage must be an https:// address"),
        (Variant, {"name": "a"}, {"name": "A"}, "variant 'A': name must be lower-case"),
        (Variant, {"name": "a"}, {"prompt": "text"}, "prompt must be one of the Prompt values"),
        (Variant, {"name": "a"}, {"params": None}, "params must be a dict"),
        (Variant, {"name": "a"}, {"params": {1: "a"}}, "parameter 1 must be text, a finite number, a boolean or None"),
        (
            Variant,
            {"name": "a"},
            {"params": {"a": [1]}},
            "parameter 'a' must be text, a finite number, a boolean or None",
        ),
        (Variant, {"name": "a"}, {"params": {"a": math.inf}}, "parameter 'a' must be text, a finite number"),
        (Variant, {"name": "a"}, {"params": {"a": math.nan}}, "parameter 'a' must be text, a finite number"),
        (Variant, {"name": "a"}, {"weights": "model.pt"}, "weights must be a tuple of names"),
        (Variant, {"name": "a"}, {"reduced": {"size": 1}}, "reduced names ['size'], which params does not have"),
        (Variant, {"name": "a"}, {"params": {"a": 1}, "reduced": {"a": [1]}}, "parameter 'a' must be text"),
        (Resources, {}, {"memory_gb": 0}, "resources.memory_gb must be a number from 0.0625 to 1,000,000, not 0"),
        (Resources, {}, {"cpus": math.nan}, "resources.cpus must be a number from 0.01"),
        (Resources, {}, {"pids": True}, "resources.pids must be a whole number from 1"),
        (Resources, {}, {"pids": 1.5}, "resources.pids must be a whole number from 1"),
        (Resources, {}, {"case_minutes": "60"}, "resources.case_minutes must be a number from 0.001"),
        (Resources, {}, {"start_minutes": math.inf}, "resources.start_minutes must be a number from 0.001"),
        (Resources, {}, {"gpu_gb": -1}, "resources.gpu_gb must be a number from 0 to"),
        (Resources, {}, {"exec_tmp": 1}, "resources.exec_tmp must be True or False"),
        (Resources, {}, {"gpus": -1}, "resources.gpus must be a whole number from 0 to 64"),
        (Resources, {}, {"gpus": True}, "resources.gpus must be a whole number from 0 to 64"),
        (
            Variant,
            {"name": "a"},
            {"params": {"a": 1}, "origins": {"a": "here"}},
            "origins must be a dict of texts that",
        ),
        (Variant, {"name": "a"}, {"origins": {"a": "ours"}}, "origins names ['a'], which params does not have"),
        (Source, SOURCE, {"name": "a/b"}, "source 'a/b': name must be lower-case"),
        (Source, SOURCE, {"commit": "main"}, "commit must be 40 hexadecimal digits"),
        (Source, SOURCE, {"commit": COMMIT.upper()}, "commit must be 40 hexadecimal digits"),
        (Source, SOURCE, {"commit": None}, "commit must be 40 hexadecimal digits"),
        (Source, SOURCE, {"tree": ""}, "tree must be 40 hexadecimal digits"),
        (Source, SOURCE, {"licence": ""}, "licence must be one line of text"),
        (Source, SOURCE, {"git": "git@example.org:code"}, "git must be an https:// address"),
        (Weights, WEIGHTS, {"name": ".."}, "name must be a plain file name"),
        (Weights, WEIGHTS, {"name": "a/b"}, "name must be a plain file name"),
        (Weights, WEIGHTS, {"name": ""}, "name must be a plain file name"),
        (Weights, WEIGHTS, {"sha256": "0"}, "sha256 must be 64 hexadecimal digits"),
        (Weights, WEIGHTS, {"revision": "main"}, "revision must be a full commit"),
        (Weights, WEIGHTS, {"size": -1}, "size must be a number of bytes"),
        (Weights, WEIGHTS, {"repo": "https://example.org/a"}, "repo must be 'owner/name'"),
        (Weights, WEIGHTS, {"file": "../a"}, "file must be a plain relative path"),
        (Weights, WEIGHTS, {"file": "/a"}, "file must be a plain relative path"),
        (Weights, WEIGHTS, {"file": "a?b"}, "file must be a plain relative path"),
        (Weights, WEIGHTS, {"repo_type": "space"}, "repo_type must be 'model' or 'dataset'"),
        (Weights, WEIGHTS, {"licence": ""}, "licence must be one line of text"),
        (Weights, WEIGHTS, {"size": "10"}, "size must be a number of bytes"),
    ],
)
def test_wrong_field_is_named(
    kind: Callable[..., object], base: dict[str, Any], wrong: dict[str, object], said: str
) -> None:
    """Each field has one rule, and the message names the field and the rule."""
    with pytest.raises(DeclarationError) as raised:
        kind(**{**base, **wrong})
    assert said in str(raised.value)


def test_an_error_carries_the_field_and_its_value() -> None:
    """What a program needs of the message is there as attributes."""
    with pytest.raises(DeclarationError) as raised:
        Resources(memory_gb=-1)
    assert (raised.value.field, raised.value.value) == ("resources.memory_gb", -1)


def test_a_long_value_is_cut_in_the_message() -> None:
    """A message stays one that can be read."""
    with pytest.raises(DeclarationError) as raised:
        Model(**{**MODEL, "title": "A" * 10_000})
    assert len(str(raised.value)) < 400


def test_a_variant_knows_where_its_numbers_come_from() -> None:
    """The adapter gets plain values; each origin is kept beside, and the later of two values brings its own."""
    published = Params(size=paper(512, "section 4"), window=ours(-1000))
    variant = Variant("a", published | Params(size=ours(256, "memory"), name="b"))
    assert variant.params == {"size": 256, "window": -1000, "name": "b"}
    assert type(variant.params) is dict
    assert variant.origins == {"size": "ours: memory", "window": "ours"}


def test_a_variant_loads_all_files_of_its_model_unless_it_names_some() -> None:
    """The list need not be written twice; an empty one means none."""
    variants = (Variant("all"), Variant("none", weights=()))
    model = Model(**MODEL, variants=variants, weights=(Weights(**WEIGHTS),))
    assert [variant.weights for variant in model.variants] == [("model.safetensors",), ()]


def test_a_trained_variant_has_what_all_trainings_share() -> None:
    """Defaults are written out before anything is hashed, and give way to what a model says."""
    recipe = Params(rate=ours(1e-4), workers=ours(2))
    variant = Variant("any").trained(recipe, reduced={"steps": 3}, summary="S")
    assert (variant.name, variant.fine_tuned, variant.summary) == ("fine-tuned", True, "S")
    assert variant.params["steps"] == 0
    assert (variant.params["workers"], variant.origins["workers"]) == (2, "ours")
    assert (variant.reduced["steps"], variant.reduced["processes"]) == (3, 2)
    assert set(variant.reduced) < set(variant.params)


def test_a_trained_variant_is_the_same_variant_with_a_recipe() -> None:
    """Its input, prompt and weights stay, with their origins; the recipe's values take the place of equal names."""
    base = Variant("box", Params(size=paper(512, "s")), prompt=Prompt.BOX, weights=("w",), reduced={"size": 8})
    variant = base.trained(Params(size=ours(256), batch=ours(2)), name="box-trained", reduced={"batch": 1})
    assert (variant.name, variant.prompt, variant.weights) == ("box-trained", Prompt.BOX, ("w",))
    assert (variant.params["size"], variant.origins["size"]) == (256, "ours")
    assert base.trained().origins["size"] == "paper, s"
    assert (variant.reduced["size"], variant.reduced["batch"]) == (8, 1)
    assert not base.fine_tuned


def test_licence_and_home_page_are_those_of_the_first_source() -> None:
    """Unless the model declares its own; without sources they stay unknown."""
    sources = (Source(**SOURCE), Source(**SOURCE | {"name": "other", "licence": "GPL-3.0"}))
    model = Model(**MODEL, sources=sources)
    assert (model.licence, model.homepage) == (SOURCE["licence"], SOURCE["git"])
    own = Model(**MODEL, sources=sources, licence="MPL-2.0", homepage="https://example.org/own")
    assert (own.licence, own.homepage) == ("MPL-2.0", "https://example.org/own")
    assert (Model(**MODEL).licence, Model(**MODEL).homepage) == ("", "")


def test_the_example_of_the_page_is_a_declaration(tmp_path: Path) -> None:
    """Copied and with true digits in place of the brackets, it declares a model."""
    page = Path(__file__).resolve().parents[3] / "docs" / "declaration.md"
    code = page.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    code = code.replace("<40-digit commit>", COMMIT).replace("<40-digit tree>", COMMIT).replace("<SHA-256>", SHA256)
    names: dict[str, Any] = {"__file__": str(tmp_path / "__init__.py")}
    exec(code, names)  # noqa: S102 - our own page
    model = names["bench_models"]()
    assert model.variants[1].origins["rate"] == "paper, section 4"
    assert [weights.pinned for weights in model.weights] == [True, False]


def test_files_are_looked_for_when_asked(tmp_path: Path) -> None:
    """Folder and Dockerfile are checked by the registry, not by the declaration itself."""
    model = Model(**{**MODEL, "root": tmp_path / "plugin"})
    with pytest.raises(DeclarationError, match="is not a folder"):
        model.check_files()
    model.root.mkdir()
    with pytest.raises(DeclarationError, match="does not contain Dockerfile"):
        model.check_files()
    (model.root / "Dockerfile").touch()
    model.check_files()


def test_weights_may_be_declared_before_anybody_could_pin_them() -> None:
    """Digest, size and revision may be left open; only the digest decides whether a file is pinned."""
    assert Weights(**WEIGHTS).pinned
    assert Weights(**{**WEIGHTS, "revision": "", "size": 0, "repo_type": "dataset"}).pinned
    assert not Weights(**{**WEIGHTS, "sha256": ""}).pinned


def test_declarations_do_not_change() -> None:
    """What was checked stays as it was checked."""
    with pytest.raises(AttributeError):
        Model(**MODEL).name = "other"  # type: ignore[misc]


def test_exposure_is_unknown_unless_stated() -> None:
    """Nobody is called zero-shot for having said nothing."""
    assert Variant("zero-shot").exposure.value == "unknown"


@pytest.mark.parametrize("stated", ["none", Stated("some", "ours"), Stated("none", ""), Stated(True, "ours"), None])
def test_an_exposure_without_an_origin_or_of_another_kind_is_refused(stated: Any) -> None:
    """A statement about training data that names no source is none."""
    with pytest.raises(DeclarationError, match="exposure"):
        Variant("zero-shot", exposure=stated)


def test_what_a_model_sees_is_unknown_unless_stated() -> None:
    """A model that says nothing is not taken for one that sees the whole volume."""
    assert Model(**MODEL).sees.value == "unknown"
    assert Model(**MODEL, sees=Stated("slices with memory", "ours")).sees.origin == "ours"


@pytest.mark.parametrize("stated", ["3-D", Stated("3D", "ours"), Stated("3-D", ""), Stated(3, "ours"), None])
def test_what_a_model_sees_is_one_of_few_words_with_an_origin(stated: Any) -> None:
    """Another spelling would be another group on the board."""
    with pytest.raises(DeclarationError, match="sees"):
        Model(**MODEL, sees=stated)
