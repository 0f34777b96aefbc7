"""``bench plugin check``: what a model has to do before it meets real data, one line a check.

The model is run in the ordinary way, in its container, over a small data set in every form that the contract allows
(:mod:`harness.authoring.torture`), and again over the same cases under other names and in the reversed order.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import numpy.typing as npt

from harness.authoring.new import TAKEN
from harness.authoring.torture import Form, forms, write_torture
from harness.dataset import open_dataset
from harness.errors import ModelError
from harness.images.context import plugin_files
from harness.registry.declaration import Prompt, Variant
from harness.registry.discovery import Plugin
from harness.registry.protocol import BoxRule
from harness.rows import CaseRow, RunRow
from harness.runs.plan import RunRequest
from harness.runs.run import execute
from harness.sandbox.watch import Stop
from harness.status import Status
from harness.store.database import Store
from harness.store.trainings import TrainingPoint

Outcome = Literal["pass", "FAIL", "skip"]

#: What the harness keeps of models in a home, and a check may use.
_SHARED = ("sources", "weights", "wheels")

_NOTHING = "the plain CT has no mask with a voxel, so that nothing can be compared"
_DRAWN = "its boxes are moved, by another draw for each case"

#: Of what turns with the array's axes, the Dice below which a model does not turn with them.
_ALIKE = 0.8


@dataclass(frozen=True)
class PluginCheck:
    """One line.

    Attributes
    ----------
    name
        What was checked.
    outcome
        ``"pass"``, ``"FAIL"`` or ``"skip"``.
    found
        What was found; of a skipped one, why.
    fix
        What to do; empty where nothing is wrong.
    """

    name: str
    outcome: Outcome
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Surroundings:
    """Where and how the model is run.

    Attributes
    ----------
    work
        A folder for data, masks and results; the caller removes it.
    home
        The home whose sources and builds of torch are used; nothing is written there.
    engine
        As for ``bench run``.
    log
        Shows one line of what a run or a build says.
    stop
        Ends it early.
    """

    work: Path
    home: Path
    engine: str
    log: Callable[[str], None]
    stop: Stop

    def begin(self, run: RunRow, done: int, kept: int) -> None:
        """Show nothing: the cases are made up."""

    def case(self, run: str, case: CaseRow, done: int) -> None:
        """Show nothing."""

    def training(self, name: str, points: Sequence[TrainingPoint]) -> None:
        """Show nothing."""


def check_plugin(plugin: Plugin, variant: Variant, around: Surroundings) -> Iterator[PluginCheck]:
    """Yield the checks of a variant, each as soon as it is known.

    Raises
    ------
    BenchError
        When something outside the plugin is missing, such as an engine.
    """
    yield _declares(plugin, variant)
    yield _packs(plugin, around.work / "wheel")
    (around.work / "home").mkdir()
    for name in _SHARED:
        if (around.home / name).is_dir():
            (around.work / "home" / name).symlink_to((around.home / name).resolve())
    chosen = list(forms(boxed=variant.prompt is Prompt.BOX))
    first = _Answers(plugin, variant, chosen, around, "first")
    try:
        first.run(last_first=False)
    except ModelError as error:
        yield PluginCheck("runs", "FAIL", error.message, error.fix)
        return
    yield first.answered()
    yield first.read_alike()
    yield first.turned_alike()
    again = _Answers(plugin, variant, chosen, around, "again")
    again.run(last_first=True)
    yield again.repeats(first)
    yield first.heeds_its_prompt()


def _declares(plugin: Plugin, variant: Variant) -> PluginCheck:
    """Hold what is declared against what a reader of the board wants to know; the rest was checked when it was read."""
    model = plugin.model
    unsaid = [what for what, said in (
        ("licence", model.licence not in ("", "not stated")),
        ("exposure", variant.exposure.value != "unknown"),
    ) if not said]  # fmt: skip
    unpinned = [file.name for file in model.loaded_by(variant) if not file.pinned]
    if unsaid or unpinned:
        parts = [f"not stated: {', '.join(unsaid)}"] if unsaid else []
        parts += [f"not pinned: {', '.join(unpinned)}"] if unpinned else []
        return PluginCheck("declares", "FAIL", "; ".join(parts), "state them in the declaration; nothing is guessed")
    return PluginCheck("declares", "pass", f"{model.name} {model.version}, {variant.name}, {model.licence}")


def _packs(plugin: Plugin, folder: Path) -> PluginCheck:
    """Build the wheel of a plugin that has a ``pyproject.toml``, and look for everything that its image needs in it."""
    root = plugin.model.root
    project = next((path for path in (root, root.parent) if (path / "pyproject.toml").is_file()), None)
    if project is None or plugin.shipped:
        return PluginCheck("packs", "skip", "there is no pyproject.toml beside it")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        last = (done.stderr.strip().splitlines() or ["it made no wheel"])[-1]
        return PluginCheck("packs", "FAIL", f"pip cannot build it: {last}", f"see `pip wheel {project}`")
    with zipfile.ZipFile(wheels[0]) as packed:
        names = set(packed.namelist())
    package = next((name.rpartition("/")[0] for name in sorted(names) if name.endswith(f"{root.name}/__init__.py")), "")
    needed = [name for name, _ in plugin_files(plugin) if not name.startswith("sdk/")]
    lacking = [name for name in needed if f"{package}/{name}".lstrip("/") not in names]
    if lacking:
        return PluginCheck(
            "packs",
            "FAIL",
            f"the wheel lacks {', '.join(lacking)}, which the image needs",
            "declare them as the package's data; hatchling takes everything in the folder",
        )
    if taken := sorted({name.split("/")[0] for name in names} & TAKEN):
        return PluginCheck("packs", "FAIL", f"the wheel holds {taken[0]}/, which is another one's name", "rename it")
    return PluginCheck("packs", "pass", f"{wheels[0].name} holds the {len(needed)} files that the image needs")


class _Answers:
    """The masks of one run over the torture set."""

    def __init__(self, plugin: Plugin, variant: Variant, chosen: list[Form], around: Surroundings, name: str) -> None:
        self._plugin, self._variant, self._forms, self._around = plugin, variant, chosen, around
        self._folder, self._home = around.work / name, around.work / "home"
        self._names: list[str] = []
        self._row: RunRow | None = None
        self._failed: dict[str, tuple[str, str]] = {}

    def run(self, *, last_first: bool) -> None:
        self._names = write_torture(self._folder, self._forms, last_first=last_first)
        dataset = open_dataset(self._folder)
        request = RunRequest(
            self._plugin,
            self._variant,
            dataset,
            "test",
            "mlhc2025",
            engine=self._around.engine,
            weights="random" if self._variant.weights else "pinned",
        )
        with Store(self._home / "results.db") as store:
            self._row = execute(request, home=self._home, store=store, watcher=self._around, stop=self._around.stop)
            rows = store.findings(self._row.id)
        self._failed = {row.case: (row.status, row.reason) for row in rows if row.status != Status.OK}

    def masks(self, place: int) -> list[npt.NDArray[np.bool_]] | None:
        """Return the masks of a form, in the plain one's array order; None where one is lacking."""
        name, form = self._names[place], self._forms[place]
        if name in self._failed or self._row is None:
            return None
        folder = self._home / "runs" / self._row.id / "masks" / name
        paths = [folder / f"{finding}.nii.gz" for finding in range(len(form.texts))]
        return [form.back(np.asarray(nib.load(path).dataobj).reshape(form.ct.shape) > 0) for path in paths]  # type: ignore[attr-defined]

    @property
    def _steady(self) -> bool:
        """Whether a prompt that fills the CT is the same under every name."""
        return self._variant.prompt is not Prompt.BOX or self._variant.boxes is not BoxRule.MOVED

    def answered(self) -> PluginCheck:
        """Whether every finding of every form has a valid mask."""
        if not self._failed:
            return PluginCheck("answers", "pass", f"every finding of {len(self._forms)} CTs, in every form")
        words = dict(zip(self._names, (form.words for form in self._forms), strict=True))
        said = [
            f"{words[case]}: {status}{f', {reason}' if reason else ''}"
            for case, (status, reason) in self._failed.items()
        ]
        return PluginCheck(
            "answers", "FAIL", "; ".join(said), "answer each, with an empty mask where there is nothing to find"
        )

    def read_alike(self) -> PluginCheck:
        """Whether the same voxels have the same masks, however they are stored."""
        if not self._steady:
            return PluginCheck("reads", "skip", _DRAWN)
        compared = list(self._compared("same", np.array_equal))
        if not compared:
            return PluginCheck("reads", "skip", _NOTHING)
        other = [form.words for form, same in compared if not same]
        if other:
            return PluginCheck(
                "reads",
                "FAIL",
                f"the masks are not those of 16-bit integers where the same voxels are stored as {', '.join(other)}",
                "read voxels by a library that knows NIfTI, with scale and byte order; `case.volume()` does",
            )
        return PluginCheck("reads", "pass", "the same masks however the voxels are stored")

    def turned_alike(self) -> PluginCheck:
        """Whether the masks turn with the array's axes."""

        def alike(plain: npt.NDArray[np.bool_], turned: npt.NDArray[np.bool_]) -> bool:
            both = int(plain.sum() + turned.sum())
            return both == 0 or 2 * int((plain & turned).sum()) / both >= _ALIKE

        if not self._steady:
            return PluginCheck("orients", "skip", _DRAWN)
        compared = list(self._compared("turned", alike))
        if not compared:
            return PluginCheck("orients", "skip", _NOTHING)
        other = [form.words for form, same in compared if not same]
        if other:
            return PluginCheck(
                "orients",
                "FAIL",
                f"the masks lie elsewhere in the body where the array has {', '.join(other)}",
                "reorient by the affine before the model, and back after it; `groundbench_sdk.grids` does",
            )
        return PluginCheck("orients", "pass", "the same place in the body, whatever the array's axes")

    def _compared(self, held: str, same: Callable[[Any, Any], bool]) -> Iterator[tuple[Form, bool]]:
        plain = self.masks(0)
        if plain is None or not any(mask.any() for mask in plain):
            return  # of nothing but empty masks, nothing could differ
        for place, form in enumerate(self._forms):
            masks = self.masks(place)
            if place and form.held == held and masks is not None:
                yield form, all(map(same, plain, masks))

    def repeats(self, first: _Answers) -> PluginCheck:
        """Whether this run, under other names and in another order, has the masks of the first."""
        if not self._steady:
            return PluginCheck("repeats", "skip", _DRAWN)
        other = []
        for place, form in enumerate(self._forms):
            if not form.steady:
                continue
            mine, before = self.masks(place), first.masks(place)
            if (mine is None) != (before is None) or (
                mine is not None and before is not None and not all(map(np.array_equal, mine, before))
            ):
                other.append(form.words)
        if not other and not any(mask.any() for place in range(len(self._forms)) for mask in self.masks(place) or ()):
            return PluginCheck("repeats", "skip", "no form has a mask with a voxel")
        if other:
            return PluginCheck(
                "repeats",
                "FAIL",
                f"other masks under other names and in another order: {', '.join(other)}",
                "draw every random choice from job.seed and the voxels, and keep nothing of earlier cases",
            )
        return PluginCheck("repeats", "pass", "the same masks twice, under other names and in another order")

    def heeds_its_prompt(self) -> PluginCheck:
        """Whether another text, or a box elsewhere, has another mask."""
        any_mask, by = False, "box" if self._variant.prompt == Prompt.BOX else "text"
        for place, form in enumerate(self._forms):
            masks = self.masks(place) or []
            any_mask |= any(mask.any() for mask in masks)
            for one, two in combinations(range(len(masks)), 2):
                other_prompt = (
                    not np.array_equal(form.truth[one], form.truth[two])
                    if by == "box"
                    else form.texts[one] != form.texts[two]
                )
                if other_prompt and not np.array_equal(masks[one], masks[two]):
                    return PluginCheck("heeds its prompt", "pass", f"another {by} has another mask")
        if not any_mask:
            return PluginCheck("heeds its prompt", "skip", "every mask is empty")
        return PluginCheck(
            "heeds its prompt",
            "FAIL",
            f"every finding of a CT has the same mask, whatever its {by}",
            "segment what is asked for; a model that finds one thing answers the others with an empty mask",
        )
