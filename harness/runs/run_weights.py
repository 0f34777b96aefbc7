"""The weights and parameters of a run, decided before anything starts; both are part of its identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.digests import DigestCache
from harness.engines.base import Mount
from harness.errors import PrerequisiteError, UsageError
from harness.registry.declaration import Variant
from harness.registry.discovery import Plugin
from harness.registry.pinned import Weights
from harness.upstream.weights import Received, WeightsStore, given_files

if TYPE_CHECKING:
    from harness.sandbox.contract import WeightsMode

#: How the reason begins why a run with unpinned weights is not ranked.
NOT_PINNED = "weights not pinned by the plugin"

#: Words that ``--weights`` knows; anything else is a path.
PINNED, RANDOM = "pinned", "random"


@dataclass(frozen=True)
class Loaded:
    """The weights of one run.

    Attributes
    ----------
    mode
        The mode that the job states.
    files
        (name, real path, SHA-256) of each.
    unpinned
        Those that their plugin does not pin, each with the record of its download.
    """

    mode: WeightsMode = "none"
    files: tuple[tuple[str, Path, str], ...] = ()
    unpinned: tuple[tuple[Weights, Received], ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """Their part of a run's identity: the mode, and the content of every file."""
        return {"mode": self.mode, "files": {name: digest for name, _, digest in self.files}}

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Each file, read-only, as ``/bench/weights/<name>``."""
        return tuple(Mount(path, f"weights/{name}") for name, path, _ in self.files)

    @property
    def record(self) -> list[dict[str, str]]:
        """Their part of a run's record: each file's digest and, where its plugin does not pin it, what the hub states.

        The statement counts for the file of that repository alone: it is judged by what the plugin declares.
        """
        stated = {
            weights.name: {
                "repo": weights.repo, "file": weights.file, "revision": received.revision, "hub": received.hub
            }
            for weights, received in self.unpinned
            if received.hub
        }  # fmt: skip
        return [{"name": name, "sha256": digest, **stated.get(name, {})} for name, _, digest in self.files]

    def licensed(self, plugin: Plugin, variant: Variant) -> list[Weights]:
        """Return the declarations of these weights with their licences; of files given by path none is known."""
        if self.mode not in {"pinned", "given"}:
            return []
        declared = plugin.model.loaded_by(variant)
        if self.mode == "pinned":
            return declared
        return [replace(file, licence="not stated", note="given by path") for file in declared]

    @property
    def unrankable(self) -> list[str]:
        """The reasons why a run with these weights is not ranked."""
        if self.mode == "random":
            return ["random weights: a smoke test of the architecture"]
        if self.mode == "given":
            return ["weights given by path: not those that the plugin declares"]
        return not_pinned({weights.name: received.hub for weights, received in self.unpinned if not received.pinned})


def not_pinned(files: Mapping[str, str]) -> list[str]:
    """Return the reasons why files that neither their plugin nor the public hub pins keep a run from being ranked.

    Parameters
    ----------
    files
        Name -> address of the other hub that states its digest; empty where nobody does.
    """
    reasons = []
    for hub in sorted(set(files.values())):
        names = ", ".join(name for name, by in files.items() if by == hub)
        reasons.append(f"{NOT_PINNED}{f', only by the hub at {hub}' if hub else ''}: {names}")
    return reasons


def load_weights(plugin: Plugin, variant: Variant, wanted: str, home: Path) -> Loaded:
    """Return the weights that ``--weights`` requests.

    Parameters
    ----------
    plugin, variant
        The model and its variant.
    wanted
        ``"pinned"``, ``"random"``, or a path: a folder with files of the declared names, or the file where the
        variant needs one.
    home
        Its ``weights/`` is looked into.

    Raises
    ------
    UsageError
        For a path where the variant loads no weights.
    PrerequisiteError
        When a file is missing, with the command that gets it.
    DataError
        When a file does not match its digest.
    """
    if wanted == RANDOM:
        return Loaded("random")
    if wanted == PINNED:
        if not variant.weights:
            return Loaded()
        store = WeightsStore(home / "weights")
        declared = plugin.model.loaded_by(variant)
        missing = [weights.name for weights in declared if store.find(weights) is None]
        if len(missing) > 1:
            raise PrerequisiteError(
                f"{len(missing)} of the {len(declared)} weight files that {plugin.name} {variant.name} loads "
                f"have not been downloaded: {', '.join(missing)}",
                fix=f"`bench get --plugin {plugin.name}`, or `bench weights add --from FILE` for each file; "
                "`--weights random` needs none, and is never ranked",
                lacking="weights",
            )
        found = [(weights.name, *store.check(weights)) for weights in declared]
        files = tuple((name, path.resolve(), digest) for name, path, digest in found)
        received = [(weights, store.received(weights)) for weights in declared]
        return Loaded("pinned", files, tuple((weights, record) for weights, record in received if record is not None))
    if not variant.weights:
        raise UsageError(f"{plugin.name} {variant.name} does not load weights", fix="leave --weights out")
    digests = DigestCache(home / "weights")
    given = given_files(Path(wanted), variant.weights)
    return Loaded("given", tuple((name, path, digests.digest(path)) for name, path in given))
