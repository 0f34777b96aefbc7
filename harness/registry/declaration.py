"""The declaration of a plugin: a model, and the variants in which it is used.

Plain frozen dataclasses that import nothing heavy, so that listing the plugins costs milliseconds. Each checks itself
when it is made: a wrong declaration fails where it is written, with a message that names the correction.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self

from harness.registry.constraints import (
    ADDRESS_OR_NONE,
    FILE_NAME,
    FLAG,
    LINE,
    NAME,
    PARAMETERS,
    TEXT_OR_NONE,
    TITLE,
    Rule,
    check,
    every,
    instance,
    matching,
    one_of,
    require,
    shown,
)
from harness.registry.licences import commercial_use
from harness.registry.origins import KINDS, Param, Params, Stated, ours
from harness.registry.pinned import Source, Weights
from harness.registry.protocol import BoxRule
from harness.registry.resources import Resources
from harness.status import of_parts

#: Weights of a variant that loads every file of its model.
ALL = ("*",)

#: What all trainings with the SDK's loop share: the length is counted in epochs, one process for each GPU.
_TRAINED = Params(
    steps=ours(0, "as many as `epochs` needs"),
    at_once=ours(1, "the samples of a step are shared by up to `batch` GPUs"),
    validations=ours(10),
    processes=ours(1, "without GPUs; else one for each"),
    workers=ours(6),
    cache_mb=ours(131072),
    save_every_s=ours(300.0),
    loader_timeout_s=ours(300.0),
)
#: The same under ``--weights random``: two steps on two processes, as a test that it trains at all.
_TRAINED_REDUCED = Params(steps=2, at_once=1, validations=1, processes=2, workers=1, cache_mb=64)

_ADAPTER = matching(r"(?:[A-Za-z_][\w.]*:[A-Za-z_]\w*)?", "'module:Class', or empty")
_ORIGINS = Rule(
    f"a dict of texts that begin with {', '.join(map(repr, KINDS))}",
    lambda value: (
        isinstance(value, dict)
        and all(TEXT_OR_NONE.holds(one) and str(one).startswith(KINDS) for one in value.values())
    ),
)


#: Which of this benchmark's cases the weights that a variant loads were trained on before, elsewhere: none, some or all
#: of the training split, those and some of the validation split, or nobody has said.
EXPOSURES = ("none", "train", "train+val", "unknown")
NOT_STATED = Stated("unknown", "")
#: What of a CT a model sees at once: one slice (with its next neighbours at most), slices in order with a memory of
#: those before, a volume, or, as a control, nothing.
SEES = ("2-D", "slices with memory", "3-D", "nothing", "unknown")
_EXPOSURE = Rule(
    f"one of {', '.join(map(repr, EXPOSURES))} with its origin, e.g. theirs('none', 'their paper, section 3')",
    lambda stated: (
        isinstance(stated, Stated)
        and stated.value in EXPOSURES
        and TEXT_OR_NONE.holds(stated.origin)
        and (stated.value == "unknown" or bool(stated.origin))
    ),
)
_SEES = Rule(
    f"one of {', '.join(map(repr, SEES))} with its origin, e.g. theirs('3-D', 'their paper, section 3')",
    lambda stated: (
        isinstance(stated, Stated)
        and stated.value in SEES
        and TEXT_OR_NONE.holds(stated.origin)
        and (stated.value == "unknown" or bool(stated.origin))
    ),
)


class Prompt(enum.StrEnum):
    """The prompt from which a variant knows what to segment."""

    TEXT = "text"  #: the finding's free text, unchanged
    STRUCTURED_TEXT = "structured-text"  #: a text rewritten or reduced to known classes
    BOX = "box"  #: boxes simulated from the ground truth (paper, section 4.1)


def _each_of(kind: type[enum.StrEnum]) -> str:
    return ", ".join(repr(one.value) for one in kind)


@dataclass(frozen=True)
class Variant:
    """One way to use a model; one row of the leaderboard.

    Parameters
    ----------
    name
        Unique within the model, e.g. ``"zero-shot"``.
    params
        Parameters that the adapter receives as ``job.params``; part of a run's identity, but for those that say how
        the SDK's loop is executed: ``processes``, ``workers``, ``cache_mb``, ``save_every_s``, ``loader_timeout_s``,
        and ``ahead``, which every variant has.
        JSON values only. A :class:`~harness.registry.origins.Params` also states the origin of each value.
    prompt
        Its prompt: free text, structured text, or boxes.
    boxes
        How its boxes are made, where it is prompted with boxes; part of a run's identity.
    fine_tuned
        Whether it is trained on the training split of this benchmark's data.
    exposure
        The benchmark's cases that its weights were trained on elsewhere, with the origin of that statement:
        ``paper("none", "Table 4")``, ``theirs("train", "issue 11")``, ``ours("none", "it has no weights")``. Only
        ``"none"`` is shown as zero-shot.
    summary
        One line for people.
    weights
        Names of the model's weights that this variant loads; mounted as ``/bench/weights/<name>``. All of them unless
        it names some.
    reduced
        Values that take the place of those in `params` under ``--weights random``: the real architecture, small
        enough for a CPU.
    origins
        The origins of the values in `params`, by name: ``"paper, …"``, ``"upstream, …"`` or ``"ours"``. Read from
        `params` where these state them; not part of a run's identity.
    """

    name: Annotated[str, NAME]
    params: Annotated[dict[str, Param], PARAMETERS] = field(default_factory=dict)
    prompt: Annotated[Prompt, instance(Prompt, f"one of the Prompt values ({_each_of(Prompt)})")] = Prompt.TEXT
    boxes: Annotated[BoxRule, instance(BoxRule, f"one of the BoxRule values ({_each_of(BoxRule)})")] = BoxRule.WIDENED
    fine_tuned: Annotated[bool, FLAG] = False
    exposure: Annotated[Stated, _EXPOSURE] = NOT_STATED
    summary: Annotated[str, TEXT_OR_NONE] = ""
    weights: Annotated[tuple[str, ...], every(str, "a tuple of names")] = ALL
    reduced: Annotated[dict[str, Param], PARAMETERS] = field(default_factory=dict)
    origins: Annotated[dict[str, str], _ORIGINS] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"variant {shown(self.name)}: "
        if isinstance(self.params, Params) and isinstance(self.origins, dict):
            object.__setattr__(self, "origins", self.params.origins | self.origins)
        check(self, where)
        # Plain copies: a checked value cannot change afterwards.
        for name in ("params", "reduced", "origins"):
            object.__setattr__(self, name, dict(getattr(self, name)))
        for name in ("reduced", "origins"):
            unknown = [one for one in getattr(self, name) if one not in self.params]
            require(not unknown, f"{where}{name} names {shown(unknown)}, which params does not have")

    def trained(
        self,
        recipe: Mapping[str, Param | Stated] | None = None,
        *,
        name: str = "fine-tuned",
        reduced: Mapping[str, Param] | None = None,
        summary: str = "",
    ) -> Self:
        """Return this variant fine-tuned by the SDK's training loop, with the parameters of all such trainings.

        Parameters
        ----------
        recipe
            Parameters of the training, in addition to those of this variant or in their place. Both come before the
            shared ones, which the reference lists.
        name, summary
            As of any variant.
        reduced
            Values of `recipe` under ``--weights random``, in addition to those of this variant.
        """
        own = Params(self.params)
        own.origins = dict(self.origins)
        params = own | (recipe or {})
        return replace(
            self,
            name=name,
            params=params | _TRAINED | params,  # in this order they are shown
            origins={},
            fine_tuned=True,
            reduced=dict(_TRAINED_REDUCED | self.reduced | (reduced or {})),
            summary=summary,
        )

    def reading(self, name: str, params: Mapping[str, Param | Stated] | None = None, **fields: Any) -> Self:
        """Return this variant by another reading of the paper or of upstream's code, a row of its own.

        Parameters
        ----------
        name
            What is read in another way; it follows this variant's name.
        params
            Parameters that differ; a :class:`~harness.registry.origins.Params` states their origins.
        fields
            Fields that differ.
        """
        own = Params(self.params)
        own.origins = dict(self.origins)
        return replace(self, name=f"{self.name}-{name}", params=own | (params or {}), origins={}, **fields)


@dataclass(frozen=True)
class Model:
    """A model as its plugin declares it.

    Parameters
    ----------
    name
        What the user types: ``bench run --plugin NAME``.
    title
        Name on the leaderboard.
    summary
        One line on what it is.
    version
        Version of the plugin (not of the weights); changing code or Dockerfile changes the image id anyway.
    root
        Folder that holds the Dockerfile and everything it copies; by default the folder of the plugin's module.
    variants
        At least one; the first is the default.
    sees
        What of a CT it sees at once, with the origin of that statement: ``paper("2-D", "section 4.2")``; slices with
        their next neighbours are ``"2-D"``, slices that are read in order with a memory of those before are
        ``"slices with memory"``, and ``"nothing"`` is for controls.
    resources
        Limits of one container.
    adapter
        ``"module:Class"`` inside `root`, used where no container engine answers (the ``local`` engine). Empty for
        a model that runs in containers only.
    dockerfile
        Name of the Dockerfile below `root`.
    base
        The base image of a model without a Dockerfile, ``"slim"`` or ``"torch"``: the harness then writes one, which
        installs ``requirements.lock`` where there is one and copies the plugin's files.
    licence
        SPDX identifier of the model's code; by default that of the first source.
    homepage
        Web page of the model; by default the address of the first source.
    citation
        Publication to cite.
    sources, weights
        Code and weights to fetch ahead of a build or a run.
    training
        Limits of a container that fine-tunes; None for those in `resources`.
    reads_truth
        Requests the test-only grant of the ground truth. Only the harness's own known-answer plugin receives it;
        any other plugin that requests it is refused.
    """

    name: Annotated[str, NAME]
    title: Annotated[str, TITLE]
    summary: Annotated[str, LINE]
    version: Annotated[str, LINE]
    root: Annotated[Path, instance(Path, "a pathlib.Path")] = Path()
    variants: Annotated[
        tuple[Variant, ...], every(Variant, "a tuple of at least one Variant: (Variant(...),)", least=1)
    ] = (Variant("zero-shot"),)
    sees: Annotated[Stated, _SEES] = NOT_STATED
    resources: Annotated[Resources, instance(Resources, "a Resources object")] = field(default_factory=Resources)
    adapter: Annotated[str, _ADAPTER] = ""
    dockerfile: Annotated[str, FILE_NAME] = "Dockerfile"
    base: Annotated[str, one_of("slim", "torch", says="'slim' or 'torch'")] = "slim"
    licence: Annotated[str, TEXT_OR_NONE] = ""
    homepage: Annotated[str, ADDRESS_OR_NONE] = ""
    citation: Annotated[str, TEXT_OR_NONE] = ""
    sources: Annotated[tuple[Source, ...], every(Source, "a tuple of Source objects")] = ()
    weights: Annotated[tuple[Weights, ...], every(Weights, "a tuple of Weights objects")] = ()
    training: Annotated[Resources | None, instance(Resources | None, "a Resources object or None")] = None
    reads_truth: Annotated[bool, FLAG] = False

    def __post_init__(self) -> None:
        where = f"model {shown(self.name)}: "
        check(self, where)
        for what, items in (("variants", self.variants), ("sources", self.sources), ("weights", self.weights)):
            names = [item.name for item in items]
            twice = sorted({name for name in names if names.count(name) > 1})
            require(not twice, f"{where}{what}: two of them share the name {', '.join(map(repr, twice))}")
        placed = tuple(replace(file, root=self.root) if file.local else file for file in self.weights)
        object.__setattr__(self, "weights", placed)
        files = tuple(weights.name for weights in self.weights)
        variants = tuple(
            replace(variant, weights=files) if variant.weights == ALL else variant for variant in self.variants
        )
        object.__setattr__(self, "variants", variants)
        for source in self.sources[:1]:
            object.__setattr__(self, "licence", self.licence or source.licence)
            object.__setattr__(self, "homepage", self.homepage or source.git)
        for variant in variants:
            unknown = sorted(set(variant.weights) - set(files))
            require(
                not unknown, f"{where}variant {variant.name!r} names weights that are not declared: {shown(unknown)}"
            )

    def licences(self, weights: Iterable[Weights]) -> dict[str, Any]:
        """Return the licences of the code and of some weights, and whether all of them allow commercial use.

        Parameters
        ----------
        weights
            The files that are loaded.

        Returns
        -------
        dict
            ``code`` and ``sources``, whose licences the image holds; ``weights``, each with its note; ``commercial``:
            ``"yes"``, ``"no"`` or ``"unknown"``.
        """
        files = list(weights)
        code = [self.licence, *(source.licence for source in self.sources)]
        return {
            "code": self.licence,
            "sources": {source.name: source.licence for source in self.sources},
            "weights": {file.name: {"licence": file.licence, "note": file.note} for file in files},
            "commercial": of_parts([*map(commercial_use, code), *(file.commercial for file in files)]),
        }

    def loaded_by(self, variant: Variant) -> list[Weights]:
        """Return the weights that a variant loads."""
        return [file for file in self.weights if file.name in variant.weights]

    @property
    def has_dockerfile(self) -> bool:
        """Whether the plugin has a Dockerfile; else the harness writes one."""
        return (self.root / self.dockerfile).is_file()

    def check_files(self) -> None:
        """Raise :class:`DeclarationError` unless the model's folder exists, with a Dockerfile or what one needs."""
        where = f"model {self.name!r}: "
        require(self.root.is_dir(), f"{where}root {self.root} is not a folder", field="root", value=self.root)
        if self.has_dockerfile:
            return
        lacks = f"{where}{self.root} does not contain {self.dockerfile}"
        require(self.dockerfile == "Dockerfile", lacks, field="dockerfile")
        require(self.adapter, f"{lacks}, and no adapter is declared for which one could be written", field="dockerfile")
        require(not self.sources, f"{lacks}, which has to copy its sources", field="dockerfile")
        locked = not (self.root / "requirements.in").exists() or (self.root / "requirements.lock").exists()
        require(locked, f"{lacks}, and its requirements.in is not locked in a requirements.lock", field="dockerfile")
