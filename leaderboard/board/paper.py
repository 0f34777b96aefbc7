"""The rows of a reference such as the paper's Table 4: what runs each here, what that needs, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.engines.allocation import Allocation
from harness.engines.gpus import enough
from harness.errors import PrerequisiteError, UsageError
from harness.images.context import BuildContext
from harness.images.torch import cuda_build
from harness.registry.declaration import Model, Prompt, Variant
from harness.registry.discovery import Plugin, Registry
from harness.registry.pinned import Weights
from harness.registry.resources import Resources
from harness.upstream.missing import missing
from harness.upstream.sources import SourceStore
from harness.upstream.weights import WeightsStore
from leaderboard.board.board import Row
from leaderboard.board.reported import Reference, row_name

#: Cost of the rows as the paper states it (section 4); it does not state the others, nor the cost of prediction.
TRAINING = "about one day on two A100 with 80 GB, as the paper aimed at"
NOT_STATED = "the paper does not state it"


@dataclass(frozen=True)
class Needs:
    """What a row would take.

    Attributes
    ----------
    build_bytes
        Free disk that building the image takes; None where not known. Its final size is known once it is built.
    weights_bytes
        Weights whose size is known, together.
    unknown_sizes
        Names of the weights whose size is not.
    log_ins
        Repositories of the hub that want a log-in and an agreement.
    unpinned
        Names of the weights that neither the plugin nor the hub pins so far.
    gpus, gpu_memory_mb
        GPUs that one container needs, and memory of each in MiB; the greater of predicting and training.
    training, predicting
        Time as the paper states it; `training` is empty for models that are not trained.
    """

    build_bytes: int | None
    weights_bytes: int
    unknown_sizes: tuple[str, ...]
    log_ins: tuple[str, ...]
    unpinned: tuple[str, ...]
    gpus: int
    gpu_memory_mb: int
    training: str
    predicting: str = NOT_STATED


@dataclass(frozen=True)
class ReferenceRow:
    """One row of a reference.

    Attributes
    ----------
    theirs
        What was reported.
    plugin, variant
        What runs it here; None where no plugin does.
    needs
        What that takes; None where no plugin does.
    lacking
        What is missing, each item with the command that gets it.
    """

    theirs: Row
    plugin: Plugin | None = None
    variant: Variant | None = None
    needs: Needs | None = None
    lacking: tuple[str, ...] = ("no plugin runs this row",)

    @property
    def name(self) -> str:
        """The row in words."""
        return row_name(self.theirs)


def variant_for(model: Model, row: Row) -> Variant | None:
    """Return the variant of `model` that makes a row: the one it names, or the first of its prompt and training."""
    if row.stands_for[0] is not None:
        named = row.stands_for == (model.name, row.stands_for[1])
        return next((variant for variant in model.variants if named and variant.name == row.stands_for[1]), None)
    wanted = (row.title, row.prompt, row.fine_tuned)
    for variant in model.variants:
        prompt = "box" if variant.prompt is Prompt.BOX else "text"
        if (model.title, prompt, variant.fine_tuned) == wanted:
            return variant
    return None


def plan(
    reference: Reference, registry: Registry, home: Path, asked: int, here: Allocation, *, only: Sequence[str] = ()
) -> list[ReferenceRow]:
    """Find the variant that runs each row of a table, in the table's order, and what this machine lacks for it.

    Parameters
    ----------
    reference
        The table.
    registry
        The plugins.
    home
        Where sources and weights lie.
    asked
        How many GPUs may be used.
    here
        The GPUs that may be used here.
    only
        Plugins to keep; empty for all rows, those without a plugin too.

    Raises
    ------
    UsageError
        When a plugin of `only` does not exist or runs no row.
    PrerequisiteError
        When one of them is broken.
    """
    plugins = [registry.get(name) for name in only] or list(registry.plugins.values())
    rows = []
    for row in reference.in_table:
        matching = ((plugin, variant_for(plugin.model, row)) for plugin in plugins)
        plugin, variant = next(((p, v) for p, v in matching if v is not None), (None, None))
        if plugin is not None and variant is not None:
            needs = _needs(plugin, variant, home)
            lacking = (*_files_lacking(plugin, variant, home), *_gpus_lacking(needs, asked, here))
            rows.append(ReferenceRow(row, plugin, variant, needs, lacking))
        elif not only:
            rows.append(ReferenceRow(row))
    idle = set(only) - {row.plugin.name for row in rows if row.plugin is not None}
    if idle:
        runs = {p.name for p in registry.plugins.values() for e in reference.in_table if variant_for(p.model, e)}
        raise UsageError(
            f"no row of {reference.title} is run by {', '.join(sorted(idle))}",
            fix=f"one of: {', '.join(sorted(runs)) or 'none'}",
        )
    return rows


def _weights(model: Model, variant: Variant) -> list[Weights]:
    return [file for file in model.weights if file.name in variant.weights]


def _needs(plugin: Plugin, variant: Variant, home: Path) -> Needs:
    model, store = plugin.model, WeightsStore(home / "weights")
    files = _weights(model, variant)
    found = {file.name: store.find(file) for file in files}
    sizes = {file.name: path.stat().st_size if (path := found[file.name]) else file.size for file in files}
    limits: list[Resources] = [model.resources]
    if variant.fine_tuned and model.training is not None:
        limits.append(model.training)
    # The size of an image without torch is not declared.
    context = BuildContext(plugin, SourceStore(home / "sources"), cuda_build())
    return Needs(
        build_bytes=context.torch.bytes_needed if context.uses_torch else None,
        weights_bytes=sum(sizes.values()),
        unknown_sizes=tuple(name for name, size in sizes.items() if not size),
        log_ins=tuple(dict.fromkeys(file.repo for file in files if file.gated)),
        unpinned=tuple(
            file.name for file in files if not (file.pinned or ((record := store.received(file)) and record.pinned))
        ),
        gpus=max(limit.gpus for limit in limits),
        gpu_memory_mb=max(limit.gpu_memory_mb for limit in limits),
        training=TRAINING if variant.fine_tuned else "",
    )


def _files_lacking(plugin: Plugin, variant: Variant, home: Path) -> Iterator[str]:
    lacking = missing(plugin.model, home, [variant])
    if lacking:
        yield f"{lacking.words} have not been downloaded: `bench get --plugin {plugin.name}`"


def _gpus_lacking(needs: Needs, asked: int, here: Allocation) -> Iterator[str]:
    if needs.gpus > asked:
        yield f"it needs {_gpus(needs.gpus)}, {asked} may be used: `--gpus {needs.gpus}`"
    elif needs.gpus:
        try:
            enough(here, asked, memory_mb=needs.gpu_memory_mb)
        except PrerequisiteError as error:
            yield error.message


def _gpus(count: int) -> str:
    return f"{count} GPU{'' if count == 1 else 's'}"
