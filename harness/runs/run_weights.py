"""The weights and parameters of a run, decided before anything starts; both are part of its identity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.digests import DigestCache
from harness.engines.base import Mount
from harness.errors import PrerequisiteError, UsageError
from harness.registry.declaration import Variant
from harness.registry.discovery import Plugin
from harness.sandbox.contract import WeightsMode
from harness.upstream.weights import WeightsStore, given_files

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
        Names of those that their plugin does not pin.
    """

    mode: WeightsMode = "none"
    files: tuple[tuple[str, Path, str], ...] = ()
    unpinned: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """Their part of a run's identity: the mode, and the content of every file."""
        return {"mode": self.mode, "files": {name: digest for name, _, digest in self.files}}

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """Each file, read-only, as ``/bench/weights/<name>``."""
        return tuple(Mount(path, f"weights/{name}") for name, path, _ in self.files)

    @property
    def unrankable(self) -> list[str]:
        """The reasons why a run with these weights is not ranked."""
        if self.mode == "random":
            return ["random weights: a smoke test of the architecture"]
        if self.mode == "given":
            return ["weights given by path: not those that the plugin declares"]
        if self.unpinned:
            return [f"weights not pinned by the plugin: {', '.join(self.unpinned)}"]
        return []


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
        declared = [weights for weights in plugin.model.weights if weights.name in variant.weights]
        missing = [weights.name for weights in declared if store.find(weights) is None]
        if len(missing) > 1:
            raise PrerequisiteError(
                f"{len(missing)} of the {len(declared)} weight files that {plugin.name} {variant.name} loads "
                f"have not been downloaded: {', '.join(missing)}",
                fix=f"`bench weights fetch --plugin {plugin.name}`, or `bench weights add --from FILE` for each file; "
                "`--weights random` needs none, and is never ranked",
                lacking="weights",
            )
        found = [(weights.name, *store.check(weights)) for weights in declared]
        files = tuple((name, path.resolve(), digest) for name, path, digest in found)
        return Loaded("pinned", files, tuple(weights.name for weights in declared if not weights.pinned))
    if not variant.weights:
        raise UsageError(f"{plugin.name} {variant.name} does not load weights", fix="leave --weights out")
    digests = DigestCache(home / "weights")
    given = given_files(Path(wanted), variant.weights)
    return Loaded("given", tuple((name, path, digests.digest(path)) for name, path in given))
