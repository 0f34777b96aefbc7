"""What a plugin declares: a model, its variants, its resources, and where its code and weights come from.

Plain frozen dataclasses that import nothing heavy, so that listing the plugins costs milliseconds. Each checks itself
when it is made: a wrong declaration fails where it is written, with a sentence that says what to change.
"""

from __future__ import annotations

import enum
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


#: A parameter's value: what JSON can say in one word.
Param = str | int | float | bool | None


class DeclarationError(ValueError):
    """A plugin declares something that cannot be; the message names the field and what is allowed."""


def _require(condition: object, message: str) -> None:
    if not condition:
        raise DeclarationError(message)


def _require_name(value: str, what: str) -> None:
    _require(
        isinstance(value, str) and _NAME.fullmatch(value) and len(value) <= 64,
        f"{what} must be lower-case letters, digits and single hyphens, at most 64 characters, not {value!r}",
    )


def _require_line(value: object, what: str) -> None:
    _require(
        isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= 300,
        f"{what} must be one line of text, at most 300 characters, not {value!r}",
    )


def _require_file(value: object, what: str) -> None:
    _require(
        isinstance(value, str) and _FILE.fullmatch(value) and len(value) <= 200,
        f"{what} must be a plain file name, not {value!r}",
    )


def _require_params(params: object, what: str) -> None:
    _require(isinstance(params, dict), f"{what} must be a dict")
    assert isinstance(params, dict)  # noqa: S101 - required above
    for key, value in params.items():
        _require(
            isinstance(key, str) and (value is None or isinstance(value, str | int | float)),
            f"{what}: parameter {key!r} must be text, a number, a boolean or None",
        )
        _require(
            not isinstance(value, float) or math.isfinite(value),
            f"{what}: parameter {key!r} must be finite, as JSON has no {value}",
        )


def _require_names(items: object, kind: type, what: str) -> None:
    _require(
        isinstance(items, tuple) and all(isinstance(item, kind) for item in items),
        f"{what} must be a tuple of {kind.__name__} objects",
    )
    assert isinstance(items, tuple)  # noqa: S101 - required above
    names = [item.name for item in items]
    _require(len(set(names)) == len(names), f"{what}: two of them share a name")


class Prompt(enum.StrEnum):
    """How a variant is told what to find."""

    TEXT = "text"  #: the finding's free text as it stands
    STRUCTURED_TEXT = "structured-text"  #: a text rewritten or reduced to known classes
    BOX = "box"  #: boxes simulated from the ground truth (paper, section 4.1)


@dataclass(frozen=True)
class Variant:
    """One way to use a model; one row of the leaderboard.

    Parameters
    ----------
    name
        Unique within the model, e.g. ``"zero-shot"``.
    prompt
        How it is told what to find.
    fine_tuned
        Whether it is trained on the training split of this benchmark's data.
    summary
        One line for people.
    params
        Parameters handed to the adapter as ``job.params``; part of a run's identity. JSON values only.
    weights
        Names of the model's weights that this variant loads; mounted as ``/bench/weights/<name>``.
    reduced
        Values that take the place of those in `params` under ``--weights random``: the true architecture, small
        enough for a CPU.
    """

    name: str
    prompt: Prompt = Prompt.TEXT
    fine_tuned: bool = False
    summary: str = ""
    params: dict[str, Param] = field(default_factory=dict)
    weights: tuple[str, ...] = ()
    reduced: dict[str, Param] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_name(self.name, "a variant's name")
        _require(isinstance(self.prompt, Prompt), f"variant {self.name!r}: prompt must be one of the Prompt values")
        _require_params(self.params, f"variant {self.name!r}: params")
        _require_params(self.reduced, f"variant {self.name!r}: reduced")
        unknown = [name for name in self.reduced if name not in self.params]
        _require(not unknown, f"variant {self.name!r}: reduced names {unknown}, which params does not have")
        _require(
            isinstance(self.weights, tuple) and all(isinstance(name, str) for name in self.weights),
            f"variant {self.name!r}: weights must be a tuple of names",
        )


@dataclass(frozen=True)
class Resources:
    """What one container of a model may use; the limits are absolute and enforced.

    Parameters
    ----------
    memory_mb
        Memory of the container, temporary files and shared memory included, in MiB.
    cpus
        CPU cores.
    pids
        Processes and threads.
    shm_mb
        Size of ``/dev/shm`` in MiB (data loaders need it).
    tmp_mb
        Size of ``/tmp`` in MiB.
    gpus
        GPUs that one container needs; 0 for a model that runs on the CPU.
    out_mb
        Bytes that a container may leave in its output folder, in MiB.
    start_timeout_s
        Seconds from the container's ``started`` event until its model is loaded (imports and weights).
    case_timeout_s
        Seconds for one case.
    exec_tmp
        Whether files in ``/tmp`` may be executed (just-in-time compilers need it).
    gpu_memory_mb
        Memory that each GPU must have, in MiB; checked before a run that uses GPUs. 0 for no demand.
    stall_timeout_s
        Seconds between two ``train`` events of a container that fine-tunes.
    """

    memory_mb: int = 4096
    cpus: float = 2.0
    pids: int = 256
    shm_mb: int = 64
    tmp_mb: int = 512
    gpus: int = 0
    out_mb: int = 1024
    start_timeout_s: float = 120.0
    case_timeout_s: float = 600.0
    exec_tmp: bool = False
    gpu_memory_mb: int = 0
    stall_timeout_s: float = 1800.0

    def __post_init__(self) -> None:
        positive = ("memory_mb", "cpus", "pids", "shm_mb", "tmp_mb", "out_mb")
        for name in (*positive, "start_timeout_s", "case_timeout_s", "stall_timeout_s"):
            value = getattr(self, name)
            _require(
                isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**9,
                f"resources.{name} must be a positive number, not {value!r}",
            )
        for name, most in (("gpus", 64), ("gpu_memory_mb", 10**9)):
            value = getattr(self, name)
            _require(
                isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most,
                f"resources.{name} must be a whole number from 0 to {most}, not {value!r}",
            )
        _require(self.memory_mb >= 64, "resources.memory_mb must be at least 64")


@dataclass(frozen=True)
class Source:
    """Upstream code at a pinned commit; never vendored.

    Parameters
    ----------
    name
        Folder name in the build context, below ``sources/``.
    git
        Address of the repository.
    commit
        Full 40-digit commit.
    licence
        SPDX identifier, or ``"none"`` where the authors state none.
    tree
        Full 40-digit tree of that commit (``git rev-parse COMMIT^{tree}``), or of `path` in it
        (``git rev-parse COMMIT:PATH``): what the files are held against, however they came here.
    path
        The one folder of the repository that is taken, without demonstration data and pictures; empty for all of it.
    """

    name: str
    git: str
    commit: str
    licence: str
    tree: str
    path: str = ""

    def __post_init__(self) -> None:
        _require_name(self.name, "a source's name")
        _require(_COMMIT.fullmatch(str(self.commit)), f"source {self.name!r}: commit must be 40 hexadecimal digits")
        _require(_COMMIT.fullmatch(str(self.tree)), f"source {self.name!r}: tree must be 40 hexadecimal digits")
        _require(str(self.git).startswith("https://"), f"source {self.name!r}: git must be an https:// address")
        _require_line(self.licence, f"source {self.name!r}: licence")
        _require(
            self.path == "" or all(_FILE.fullmatch(part) for part in str(self.path).split("/")),
            f"source {self.name!r}: path must be a plain relative folder, not {self.path!r}",
        )


@dataclass(frozen=True)
class Weights:
    """One file of released weights, pinned by content.

    A file whose digest its plugin's author could not look up is declared without one: *not pinned yet*. The first copy
    that arrives is then recorded and taken from there on, and a run with it is never ranked.

    Parameters
    ----------
    name
        File name below ``/bench/weights``.
    repo
        Repository on the model hub, ``owner/name``.
    file
        Path inside the repository.
    revision
        Full commit of the repository; empty for whatever is newest when the file is fetched.
    sha256
        Digest of the file; empty when it is not pinned yet.
    size
        Bytes; 0 where not known.
    licence
        SPDX identifier or the licence's name.
    gated
        Whether the hub wants a log-in and an agreement first.
    repo_type
        ``"model"`` or ``"dataset"``: which kind of repository of the hub.
    """

    name: str
    repo: str
    file: str
    revision: str
    sha256: str
    size: int
    licence: str
    gated: bool = False
    repo_type: str = "model"

    def __post_init__(self) -> None:
        what = f"weights {self.name!r}"
        _require_file(self.name, f"{what}: the name")
        _require(_REPO.fullmatch(str(self.repo)), f"{what}: repo must be 'owner/name', not {self.repo!r}")
        _require(
            isinstance(self.file, str) and all(_FILE.fullmatch(part) for part in self.file.split("/")),
            f"{what}: file must be a plain relative path, not {self.file!r}",
        )
        _require(
            self.sha256 == "" or _SHA256.fullmatch(str(self.sha256)),
            f"{what}: sha256 must be 64 hexadecimal digits, or empty when it is not pinned yet",
        )
        _require(
            self.revision == "" or _COMMIT.fullmatch(str(self.revision)),
            f"{what}: revision must be a full commit, or empty when it is not pinned yet",
        )
        _require(
            isinstance(self.size, int) and not isinstance(self.size, bool) and self.size >= 0,
            f"{what}: size must be a number of bytes, or 0 where it is not known",
        )
        _require_line(self.licence, f"{what}: licence")
        _require(self.repo_type in {"model", "dataset"}, f"{what}: repo_type must be 'model' or 'dataset'")

    @property
    def pinned(self) -> bool:
        """Whether the declaration says what the file's content is."""
        return bool(self.sha256)


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
        Folder that holds the Dockerfile and everything it copies; usually ``Path(__file__).parent``.
    variants
        At least one; the first is the default.
    resources
        Limits of one container.
    adapter
        ``"module:Class"`` inside `root`, used where no container engine answers (the ``local`` engine). Empty for
        a model that runs in containers only.
    dockerfile
        Name of the Dockerfile below `root`.
    licence
        SPDX identifier of the model's code.
    homepage, citation
        Where it comes from.
    sources, weights
        What has to be fetched ahead of a build or a run.
    training
        Limits of a container that fine-tunes; None for those in `resources`.
    reads_truth
        Asks for the test-only grant of the ground truth. Only the harness's own known-answer plugin is granted it;
        any other plugin that asks is refused.
    """

    name: str
    title: str
    summary: str
    version: str
    root: Path
    variants: tuple[Variant, ...] = (Variant("zero-shot"),)
    resources: Resources = Resources()
    adapter: str = ""
    dockerfile: str = "Dockerfile"
    licence: str = ""
    homepage: str = ""
    citation: str = ""
    sources: tuple[Source, ...] = ()
    weights: tuple[Weights, ...] = ()
    training: Resources | None = None
    reads_truth: bool = False

    def __post_init__(self) -> None:
        _require_name(self.name, "a model's name")
        for text in ("title", "summary", "version"):
            _require_line(getattr(self, text), f"model {self.name!r}: {text}")
        _require(isinstance(self.root, Path), f"model {self.name!r}: root must be a pathlib.Path")
        _require(
            isinstance(self.variants, tuple) and self.variants,
            f"model {self.name!r}: variants must be a tuple of at least one: (Variant(...),)",
        )
        for variant in self.variants:
            _require(isinstance(variant, Variant), f"model {self.name!r}: variants must hold Variant objects")
        names = [variant.name for variant in self.variants]
        _require(len(set(names)) == len(names), f"model {self.name!r}: two variants share a name")
        _require(isinstance(self.resources, Resources), f"model {self.name!r}: resources must be a Resources object")
        _require(
            self.training is None or isinstance(self.training, Resources),
            f"model {self.name!r}: training must be a Resources object or None",
        )
        _require_names(self.sources, Source, f"model {self.name!r}: sources")
        _require_names(self.weights, Weights, f"model {self.name!r}: weights")
        for variant in self.variants:
            unknown = set(variant.weights) - {weights.name for weights in self.weights}
            _require(
                not unknown,
                f"model {self.name!r}: variant {variant.name!r} names weights that are not declared: {sorted(unknown)}",
            )
        _require(
            not self.adapter or re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", self.adapter),
            f"model {self.name!r}: adapter must read 'module:Class', not {self.adapter!r}",
        )
        _require_file(self.dockerfile, f"model {self.name!r}: dockerfile")
        _require(
            not self.homepage or str(self.homepage).startswith("https://"),
            f"model {self.name!r}: homepage must be an https:// address, not {self.homepage!r}",
        )

    def check_files(self) -> None:
        """Raise :class:`DeclarationError` unless the folder and the Dockerfile that the model names are there."""
        _require(self.root.is_dir(), f"model {self.name!r}: root {self.root} is not a folder")
        path = self.root / self.dockerfile
        _require(path.is_file(), f"model {self.name!r}: there is no {self.dockerfile} in {self.root}")
